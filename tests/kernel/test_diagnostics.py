"""What the kernel reports about itself."""

import os

from cellwire.kernel.diagnostics import report, resident_memory


def test_a_line_is_written_where_it_can_be():
    reading, writing = os.pipe()
    report("something", writing)
    assert os.read(reading, 100) == b"cellwire kernel: something\n"
    os.close(reading)
    os.close(writing)


def test_a_full_pipe_loses_the_line_and_does_not_block():
    reading, writing = os.pipe()
    for _ in range(10_000):
        report("x" * 100, writing)
    assert os.get_blocking(writing), "the mode is the launcher's business"
    os.close(reading)
    report("there is no reader", writing)
    os.close(writing)
    report("it is closed", writing)


def test_resident_memory_is_the_size_of_the_process():
    assert 5 << 20 < resident_memory() < 5 << 30
