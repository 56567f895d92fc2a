"""Whose turn it is to run: one run at a time, and the interrupts are for that."""

from asyncio import Lock, get_running_loop  # as they are before user code can replace them

from .hidden_task import HiddenTask
from .interrupts import Interrupts
from .recorder import Recorder
from .scheduler import Scheduler
from .state_updates import PendingUpdates


class Turn:
    """The context of one run, or of the runs that states have caused: nothing else runs while it is entered.

    A class, since `asynccontextmanager` would be a tenth of the calls of a trivial run.
    """

    def __init__(
        self, recorder: Recorder, scheduler: Scheduler, updates: PendingUpdates, interrupts: Interrupts
    ) -> None:
        self._recorder = recorder
        self._scheduler = scheduler
        self._updates = updates
        self._interrupts = interrupts
        # Held while `interrupts.running`.
        self._lock = Lock()

    async def __aenter__(self) -> None:
        loop = get_running_loop()
        if self._updates.loop is not loop:
            # A lock belongs to the loop on which tasks have waited for it.
            self._updates.wake_on(loop)
            self._lock = Lock()
            self._scheduler.hidden = HiddenTask(loop)
        await self._lock.acquire()
        # In this sequence: a signal counts as soon as something runs, and is not forgotten.
        self._interrupts.reset()
        self._interrupts.running = True

    async def __aexit__(self, *_: object) -> None:
        self._recorder.flush()
        self._interrupts.running = False
        self._lock.release()
