"""`cw.embed` and `cw.embed_async`: another notebook as a part of this cell.

The engine whose cells embed notebooks keeps the parts, by cell, file, and how often the cell has embedded
that file in one run. After a run of the cell, parts that it did not embed again are closed.

A cell that does not await is called by the loop, which stands still until the cell returns. So `embed` takes
the steps of the inner engine's coroutine itself, and nothing in it waits, unless a cell of the notebook
awaits; such a notebook gets a loop of its own for the run. `embed_async` awaits the coroutine like any other.
"""

import asyncio
import os
import signal
import sys
import threading
import types
from asyncio.events import _set_running_loop
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ...protocol.events import RunFinished
from ..analysis.language import PYTHON
from ..attribution.context import Execution, current_execution
from ..attribution.redirection import redirectable, redirections
from ..engine import Engine, current_engine
from ..execution.hooks import protected
from .console import STREAMS
from .part import Part, current_part
from .source import SourceFile

T = TypeVar("T")
_FAILED = ("error", "interrupted", "cancelled")


def embed(path: "str | os.PathLike[str]", /, **definitions: object) -> Part:
    """Run the notebook file at `path` as a part of this cell, and return the part.

    `definitions` replace those of the same names in the notebook. A later run of this cell runs only those
    cells of the notebook again whose source or inputs have changed, or that failed.

    Raises: TypeError if the notebook does not define a given name; ValueError if it embeds itself;
    NotebookFileError if the file is missing or not a notebook; RuntimeError if the calling code, such as a
    thread, cannot wait for it.
    """
    part = _part_of(path, sys._getframe(1).f_globals)
    with _embedded(part):
        if _in_loop():
            _finish(part, _run(part, definitions))
        else:
            with _interruptible(part.engine):
                _finish(part, asyncio.run(part.embed(definitions)))
    return part


async def embed_async(path: "str | os.PathLike[str]", /, **definitions: object) -> Part:
    """Do what `embed` does in a cell that awaits: other cells, and cells of the notebook, may overlap."""
    part = _part_of(path, sys._getframe(1).f_globals)
    with _embedded(part):
        _finish(part, await _guarded(part, part.embed(definitions)))
    return part


class Parts:
    """The notebooks that the cells of one engine have embedded."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parts: dict[tuple[str, str, int], Part] = {}
        # How often each run of a cell embedded each file.
        self._calls: WeakKeyDictionary[Execution, Counter[str]] = WeakKeyDictionary()
        engine.hooks.on_finish.append(protected(partial(self._close_unused)))

    def get(self, execution: Execution, path: str) -> Part:
        """Return the part for the next call by which `execution` embeds `path`."""
        calls = self._calls.setdefault(execution, Counter())
        calls[path] += 1
        key = execution.cell, path, calls[path]
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = _new_part(path, self._engine, execution)
        return part

    def close(self) -> None:
        """Close all parts."""
        while self._parts:
            self._parts.popitem()[1].close()

    def _close_unused(self, _: RunFinished) -> None:
        """Close the parts of cells that are gone or that have run without embedding them."""
        cells = self._engine.notebook.cells
        for key, part in list(self._parts.items()):
            cell = cells.get(key[0])
            left = part.execution is None or part.execution.retired
            if cell is None or (left and cell.status not in _FAILED):
                del self._parts[key]
                part.close()


def _part_of(path: "str | os.PathLike[str]", globals: Mapping[str, Any]) -> Part:
    """Return the part for a call of `embed` by code with these globals.

    Raises: ValueError, NotebookFileError and RuntimeError, as `embed` does.
    """
    file = _resolved(os.fspath(path), globals)
    _refuse_circle(file, globals)
    execution, engine = current_execution.get(), current_engine.get()
    if execution is None:
        return _new_part(file, None, None)
    if engine is None or not _in_loop():
        raise RuntimeError(
            "cw.embed works in the code of the cell, not in a thread that it started: "
            "embed the notebook there, and pass the part to the thread"
        )
    if engine.parts is None:
        engine.parts = Parts(engine)
    return engine.parts.get(execution, file)


def _new_part(path: str, engine: Engine | None, execution: Execution | None) -> Part:
    source = SourceFile(path, PYTHON if engine is None else engine.program.language)
    source.read()
    return Part(source, engine, execution)


def _resolved(path: str, globals: Mapping[str, Any]) -> str:
    """Return the absolute path of a file beside the notebook that embeds it, or in the working folder."""
    around = globals.get("__file__")
    if isinstance(around, str):
        beside = os.path.join(os.path.dirname(os.path.abspath(around)), path)
        if os.path.exists(beside):
            return os.path.realpath(beside)
    return os.path.realpath(path)


def _refuse_circle(file: str, globals: Mapping[str, Any]) -> None:
    """Raise ValueError if the notebook `file` is one of those that embed it."""
    around: list[str] = []
    part = current_part.get()
    while part is not None:
        around.insert(0, part.path)
        part = part.parent
    outermost = globals.get("__file__")
    if not around and isinstance(outermost, str):
        around.append(os.path.realpath(outermost))
    if file in around:
        names = [os.path.basename(each) for each in (*around[around.index(file) :], file)]
        raise ValueError(f"a notebook cannot embed itself: {' → '.join(names)}")


@contextmanager
def _embedded(part: Part) -> Iterator[None]:
    """Show the part in the calling cell from here on, with the redirections of that cell."""
    with ExitStack() as stack:
        part.console.streams = {stream: stack.enter_context(redirectable(stream)) for stream in STREAMS}
        part.console.around = redirections.get()
        part.begin(current_execution.get())
        yield


def _finish(part: Part, interrupted: bool) -> None:
    """Raise KeyboardInterrupt if the notebook was interrupted."""
    interrupts = part.engine.interrupts.outer
    if interrupted or (interrupts and interrupts.count):
        if interrupts is not None:
            interrupts.strikes(part.execution)
        raise KeyboardInterrupt


def _in_loop() -> bool:
    """Return whether a loop runs on this thread, as around every cell in a kernel."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run(part: Part, definitions: Mapping[str, object]) -> bool:
    """Embed the part in a cell that does not await, and return whether it was interrupted."""
    _drive(_guarded(part, part.update(definitions)))
    if not part.awaits:
        return _drive(_guarded(part, part.run()))
    loop = asyncio.get_running_loop()
    if asyncio.current_task(loop) is not None:
        raise RuntimeError("cells of the notebook await: write `await cw.embed_async(...)`")
    _set_running_loop(None)
    try:
        return asyncio.run(_guarded(part, part.run()))
    finally:
        _set_running_loop(loop)


async def _guarded(part: Part, coroutine: Coroutine[Any, Any, T]) -> T:
    """Await `coroutine`, of the part's engine, so that an interrupt cannot tear it apart."""
    return await _guard(part, coroutine)


@types.coroutine
def _guard(part: Part, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Take each step of `coroutine` as a step of the part's engine."""
    interrupts = part.engine.interrupts
    step: Callable[[Any], Any] = coroutine.send
    argument: Any = None
    while True:
        try:
            interrupts.blocks = True
            waited = step(argument)
        except StopIteration as end:
            return end.value
        finally:
            interrupts.blocks = False
        try:
            argument = yield waited
            step = coroutine.send
        except BaseException as error:
            argument = error
            step = coroutine.throw


def _drive(steps: Coroutine[Any, Any, T]) -> T:
    """Take all steps of a coroutine that never waits, on the running loop, and return its value.

    Raises: RuntimeError if it does wait.
    """
    try:
        while steps.send(None) is None:
            pass  # it only lets other tasks go first
    except StopIteration as end:
        return end.value
    steps.close()
    raise RuntimeError("the notebook is being run by another task")


@contextmanager
def _interruptible(engine: Engine) -> Iterator[None]:
    """Make Ctrl-C interrupt the notebook in a process without a kernel."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, lambda _number, frame: engine.interrupts.receive(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
