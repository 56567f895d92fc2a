"""A cell that embeds a notebook is interrupted at each of its steps in turn, in there and around it."""

import asyncio
import gc
import inspect
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cellwire.protocol.events import RunFinished
from cellwire.runner import engine as engine_module
from cellwire.runner.engine import Engine
from support.waiting import PATIENCE

RUNNER = os.path.dirname(engine_module.__file__) + os.sep
STEPPED = ("<cell", RUNNER + "engine.py", RUNNER + "execution" + os.sep, RUNNER + "embedding" + os.sep)
_SUSPENDS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ITERABLE_COROUTINE
SOURCES = {
    "sync": "# %% a\nfor _i in range(3): pass\n'a'\n# %% b\nb = 'b'\n# %% c\nb\n",
    "async": "# %% a\nimport asyncio\nawait asyncio.sleep(0)\na = 1\n'a'\n# %% b\nb = 'b'\n# %% c\na\nb\n",
}


class Interrupted:
    """A notebook whose cell `e` embeds a file, interrupted at a step of the test's choice."""

    def __init__(self, file: Path, call: str) -> None:
        self.engine = Engine(lambda event: None)
        self.cell = {"e": f"cw.output.append('before')\npart = {call}({str(file)!r})\n'after'"}
        self._stepped = (*STEPPED, str(file))
        self._frames: list[object] = []
        self.runner = asyncio.Runner()

    def handle(self, _number: int, frame: object) -> None:
        self.engine.interrupts.receive(self._frames.pop() if self._frames else frame)  # type: ignore

    def run(self, step: int) -> RunFinished | None:
        """Run the cell, interrupted at this step; return its end, None if there is no such step."""
        left = [step]

        def count(frame, event, argument):
            if not frame.f_code.co_filename.startswith(self._stepped):
                return None
            if event in ("call", "return") and frame.f_code.co_flags & _SUSPENDS:
                # It may begin or end to wait: no signal handler runs between what it awaits and itself.
                return count
            left[0] -= 1
            if left[0] == 0:
                sys.settrace(None)
                self._frames.append(frame)
                os.kill(os.getpid(), signal.SIGINT)
            return count

        async def traced() -> RunFinished:
            async with asyncio.timeout(PATIENCE):
                sys.settrace(count)
                try:
                    return await self.engine.run(self.cell)
                finally:
                    sys.settrace(None)

        finished = self.runner.run(traced())
        return None if left[0] > 0 else finished

    def texts(self) -> list[str]:
        return [item.data["text/plain"] for item in self.engine.notebook.cells["e"].outputs]


@pytest.fixture
def sigint() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)


# What a cell was about to await when it was interrupted.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize(
    ("source", "call"),
    [("sync", "cw.embed"), ("sync", "await cw.embed_async"), ("async", "await cw.embed_async")],
)
@pytest.mark.usefixtures("sigint")
def test_an_interrupt_at_any_step_leaves_a_part_that_runs_on(source: str, call: str, tmp_path: Path) -> None:
    file = tmp_path / "inner.py"
    step, shown = 0, ["'before'", "'a'", "'b'", "'after'"]
    while True:
        step += 13 if step > 40 else 1
        file.write_text(SOURCES[source])
        it = Interrupted(file, call)
        with it.runner:
            it.runner.run(it.engine.run({"imports": "import cellwire as cw"}))
            signal.signal(signal.SIGINT, it.handle)
            finished = it.run(step)
            if finished is None:
                break
            assert finished.status in ("ok", "interrupted"), (step, finished, it.texts())
            again = it.runner.run(it.engine.run(it.cell))
            assert (again.status, it.texts()) == ("ok", shown), (step, finished.status)
            file.write_text(SOURCES[source].replace("b = 'b'", "b = 'new'"))
            it.runner.run(it.engine.run(it.cell))
            assert it.texts() == ["'before'", "'a'", "'new'", "'after'"], step
    assert step > 200
