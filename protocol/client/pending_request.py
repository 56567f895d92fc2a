"""A request that the kernel has not answered yet."""

import anyio

from ..messages import Reply


class PendingRequest:
    """A request without an answer yet: its bytes, to send it again, and the place for its reply."""

    __slots__ = ("answered", "frame", "reply", "until_finished")

    def __init__(self, frame: bytes, until_finished: bool) -> None:
        self.frame = frame
        #: Set when the caller can go on.
        self.answered = anyio.Event()
        self.reply: Reply | None = None
        #: The caller waits for the end of the run that the reply names.
        self.until_finished = until_finished
