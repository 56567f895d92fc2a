"""The prompts of `pdb` and of IPython's debugger under a Jupyter frontend, and interrupts there."""

import pytest
from support.jupyter import Jupyter

ASKING = {
    "pdb": "import pdb; pdb.set_trace()",
    "breakpoint": "breakpoint()",
    "ipdb": "from IPython.core.debugger import set_trace; set_trace()",
}


@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING.keys())
def test_an_interrupt_leaves_the_debugger_and_what_waits_runs(kernel: Jupyter, asking: str) -> None:
    running = kernel.execute(f"x = 3\n{asking}\nprint('went on', x)")
    waiting = kernel.execute("x + 4")
    kernel.input_request()
    kernel.ask("interrupt_request", channel="control")
    ran = kernel.ran(running)
    assert ran.reply["status"] == "ok"
    assert ran.text().endswith("went on 3\n")
    assert kernel.ran(waiting).result == "7"


@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING.keys())
def test_a_second_interrupt_ends_a_cell_that_asks_again_and_again(kernel: Jupyter, asking: str) -> None:
    for _ in range(2):
        running = kernel.execute(f"while True:\n    {asking}")
        for _ in range(2):
            kernel.input_request()
            kernel.ask("interrupt_request", channel="control")
        assert kernel.ran(running).reply["ename"] == "KeyboardInterrupt"
    assert kernel.run("1 + 1").result == "2"


def test_an_interrupt_after_one_that_left_the_debugger_is_for_the_cell(kernel: Jupyter) -> None:
    running = kernel.execute("breakpoint()\nprint('on')\nwhile True: pass")
    kernel.input_request()
    kernel.ask("interrupt_request", channel="control")
    kernel.until(running, lambda message: "on\n" in str(message["content"].get("text")))
    kernel.ask("interrupt_request", channel="control")
    assert kernel.ran(running).reply["ename"] == "KeyboardInterrupt"


def test_an_interrupt_of_a_look_at_the_last_error_leaves_it(kernel: Jupyter) -> None:
    kernel.run("1 / 0")
    running = kernel.execute("%debug")
    assert kernel.input_request()["prompt"] == "ipdb> "
    kernel.ask("interrupt_request", channel="control")
    assert kernel.ran(running).reply["status"] == "ok"
    assert kernel.run("1 + 1").result == "2"
