"""Turns: one run at a time has the turn; interrupts are for it and for the open runs."""

from asyncio import Lock, get_running_loop  # as they are before user code can replace them
from collections.abc import Callable

from .hidden_task import HiddenTask
from .interrupts import Interrupts
from .recorder import Recorder
from .scheduler import Scheduler
from .state_updates import PendingUpdates


class Turn:
    """The context manager of one run, or of the runs that states caused: nothing else runs in its block.

    `on_open` is called when runs are left that have given their turn away. A class, since

    `on_open` is called when runs are left that have given their turn away. A class, since
    `asynccontextmanager` would be a tenth of the calls of a trivial run.
    """

    def __init__(
        self,
        recorder: Recorder,
        scheduler: Scheduler,
        updates: PendingUpdates,
        interrupts: Interrupts,
        on_open: Callable[[], object],
    ) -> None:
        self._recorder = recorder
        self._scheduler = scheduler
        self._updates = updates
        self._interrupts = interrupts
        self._on_open = on_open
        self._lock = Lock()
        #: Whether it is entered.
        self.taken = False

    async def __aenter__(self) -> None:
        loop = get_running_loop()
        if self._updates.loop is not loop:
            # A lock belongs to the loop whose tasks wait for it.
            self._updates.wake_on(loop)
            self._lock = Lock()
            self._scheduler.turns.hidden = HiddenTask(loop)
        await self._lock.acquire()
        self.taken = True
        # In this order: a signal counts from the moment when something runs, and is not forgotten.
        if not self._scheduler.runs:
            self._interrupts.reset()
        self._interrupts.running = True

    async def __aexit__(self, *_: object) -> None:
        self._recorder.flush()
        self.taken = False
        if self._scheduler.runs:
            self._on_open()
        else:
            self._interrupts.running = False
        self._lock.release()
