"""Every bound of cellwire in one place, with its default.

A kernel is launched with one `Limits`; frontends read them in `Welcome`. Sizes are bytes of the
encoded form unless the name says otherwise. Reaching a bound is visible to the user and has no other
effect.
"""

from typing import Final

import msgspec

#: The largest value of any bound, exact in every language, and of the sizes of what travels in one frame.
LARGEST: Final = 1 << 53
LARGEST_IN_FRAME: Final = (1 << 30) - (1 << 20)
_IN_FRAME = frozenset({"item_bytes", "request_bytes"})
#: Bounds that may be 0.
_MAY_BE_ZERO = frozenset({"items", "console_chars", "drain_seconds", "exit_seconds", "versions"})


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bounds of one kernel."""

    #: Largest output item; a larger one is replaced by an item that says so.
    item_bytes: int = 16 * 1024 * 1024
    #: Items one cell may hold; one last item says that further ones are dropped.
    items: int = 100_000
    #: Characters of console text kept for each cell; the oldest chunks go first.
    console_chars: int = 4 * 1024 * 1024
    #: Events the kernel keeps; a frontend that is further behind gets a snapshot.
    ring_bytes: int = 16 * 1024 * 1024
    #: Bytes sent to one frontend that it may leave unacknowledged.
    window_bytes: int = 1024 * 1024
    #: Events packed into one message; a larger event gets a frame of its own.
    batch_bytes: int = 64 * 1024
    #: Largest request frame a frontend may send.
    request_bytes: int = 64 * 1024 * 1024
    #: Runs that may be accepted and not finished; beyond it the answer is `busy`.
    queued_runs: int = 100_000
    #: Seconds after which a frontend is dropped that has a full window and acknowledges nothing.
    stuck_seconds: float = 30.0
    #: Seconds without a sign of life from a busy runner until frontends are notified.
    unresponsive_seconds: float = 3.0
    #: Seconds that a shutdown waits for frontends to acknowledge the last events.
    drain_seconds: float = 2.0
    #: Versions of one name that are kept beside the one in use, 0 for no bound; a cell whose version was
    #: dropped runs again when a reader needs it.
    versions: int = 100
    #: Seconds that a runner has to end in order when it is replaced or the kernel shuts down: for `finally`
    #: blocks, atexit functions and finalizers. Then it is killed.
    exit_seconds: float = 2.0

    def __post_init__(self) -> None:
        """Raise ValueError if a bound is negative, too large, or 0 where that makes no sense."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            most = LARGEST_IN_FRAME if name in _IN_FRAME else LARGEST
            # Not a number is in no range.
            if not (0 <= value <= most) or (value == 0 and name not in _MAY_BE_ZERO):
                least = "at least 0" if name in _MAY_BE_ZERO else "more than 0"
                raise ValueError(f"limits.{name} is {value}: it must be {least} and at most {most}")
