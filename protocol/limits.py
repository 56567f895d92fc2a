"""Every bound of cellwire in one place, with its default.

A kernel is launched with one `Limits`; frontends read it in `Welcome`. Sizes are bytes of the
encoded form unless the name says otherwise. Reaching a bound is visible to the user and changes
nothing else.
"""

import msgspec


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bounds of one kernel."""

    #: Largest encoded output item; a larger one is replaced by an item that says so.
    item_bytes: int = 16 * 1024 * 1024
    #: Items one cell may hold; a further append is dropped with one item that says so.
    items: int = 100_000
    #: Characters of console text kept for each cell; the oldest chunks go first.
    console_chars: int = 4 * 1024 * 1024
    #: Events the kernel keeps for cursors to read; one behind it is sent a snapshot.
    ring_bytes: int = 16 * 1024 * 1024
    #: Bytes that one frontend may have received without acknowledging them.
    window_bytes: int = 1024 * 1024
    #: Events put into one message; a larger event travels in a frame of its own.
    batch_bytes: int = 64 * 1024
    #: Largest request frame a frontend may send.
    request_bytes: int = 64 * 1024 * 1024
    #: Runs accepted and not yet finished.
    queued_runs: int = 100_000
    #: Seconds after which a frontend with a full window that acknowledges nothing is dropped.
    stuck_seconds: float = 30.0
    #: Seconds without a sign of life from a busy runner until frontends are told.
    unresponsive_seconds: float = 3.0
    #: Seconds that a shutdown waits for frontends to acknowledge.
    drain_seconds: float = 2.0
    #: Versions of one name that are kept beside the one in use, 0 for no bound; a cell whose version was
    #: dropped runs again when a reader needs it.
    versions: int = 100
