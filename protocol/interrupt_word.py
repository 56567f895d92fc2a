"""The word of shared memory that says which run a SIGINT is for.

A module of its own, since a kernel needs it before it starts the runner, and should import little until then.
"""


def interrupt_word(run: int, times: int, number: int) -> int:
    """Return what the kernel writes into the memory that it shares with the runner, before it sends SIGINT.

    `run` is the one that was sent to the runner, 0 if it has none; it has been interrupted `times` times.
    `number` is that of this interrupt, and goes round. Whatever the signal overtakes or is overtaken by,
    the word says what it is for.
    """
    return run << 32 | min(times, 0xFFFF) << 16 | number & 0xFFFF
