"""`Part`: an embedded notebook, with the engine that runs it and what it shows.

The first run of the embedding cell makes the part, and the next ones use it again. Each run calls `begin`,
`update` and `run`. What the part's cells show goes to the run that embeds it: the items of each cell through
a `Relay`, the text through an `InnerConsole`, and both keep it. Cells that do not run again are shown as they
were, in their places between those that do.

When a state of the notebook is set, its readers run when the outer notebook runs those of its own states
(`Engine.state_set`).
"""

import contextvars
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final, cast

import msgspec

from ...protocol import events
from ...protocol.limits import Limits
from ..api.output import output
from ..api.state import Getter, StateChange, equal
from ..attribution.context import NO_VALUE, Embedding, Execution, current_execution
from ..engine import Engine
from ..execution.cell_errors import why_missing
from ..execution.cell_hooks import CellReport
from ..execution.embedded import Embedded
from ..execution.hooks import Hooks, protected
from ..output.emitter import CallbackSink, Emitter
from ..output.output_list import OutputList
from ..output.relay import Relay, View
from .choice import in_order, is_wrong, to_run
from .console import InnerConsole
from .printed import Printer
from .source import GIVEN, SourceFile

_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode
_ABSENT: Final = object()


class Part:
    """A notebook that a cell has embedded."""

    def __init__(self, source: SourceFile, around: Engine | None, execution: Execution | None) -> None:
        self._source = source
        self._around = around
        self._cell = "" if execution is None else execution.cell
        self._embedding = Embedding(source.path)
        if execution is None:
            limits = Limits()
            emitter = Emitter(CallbackSink(Printer().print_item))
        else:
            limits, emitter = execution.outputs.limits, execution.outputs.emitter
        self._limits = limits
        self._printed = OutputList(emitter, "", 0, limits)
        self._relay = Relay(emitter, self._listen)
        self.console: InnerConsole = InnerConsole(self._embedding, limits.console_chars, self._relay.next_id)
        self._view = View(self._printed)
        # The cells of the run in progress that have not ended.
        self._planned: set[str] = set()
        # The values read from `defs` since the part was last embedded, by name and reader.
        self._taken: dict[tuple[str, Execution | None], object] = {}
        self._closed = False
        # Whether the engine's cells differ from those that it should have.
        self._outdated = True
        # The cells, in the order in which a run of all shows them.
        self._order: list[str] = []
        # Whether cells that do not run are shown when their turn comes.
        self._showing = False
        #: The part that the embedding cell belongs to.
        self.parent: Part | None = current_part.get()
        self.engine: Engine = contextvars.copy_context().run(self._make_engine)

    def __repr__(self) -> str:
        return f"<part of {self._source.name}: {', '.join(self.defs) or 'nothing defined'}>"

    # What the outer notebook uses

    @property
    def path(self) -> str:
        """The file of the notebook."""
        return self._source.path

    @property
    def defs(self) -> "Definitions":
        """What the notebook defines, by name."""
        return Definitions(self)

    def __getitem__(self, name: str) -> Any:
        return self.defs[name]

    @property
    def outputs(self) -> dict[str, list[dict[str, Any]]]:
        """The outputs of each cell as mime bundles, by the cell's name in the file."""
        return {self._source.title_of(cell): self.bundles(cell) for cell in self.engine.notebook.order}

    @property
    def output(self) -> "PartOutput":
        """A value that shows what the notebook shows, wherever it is displayed, and follows changes."""
        return PartOutput(self)

    @property
    def failed(self) -> list[str]:
        """The cells that failed."""
        notebook = self.engine.notebook
        failed = [cell for cell in notebook.order if notebook.cells[cell].status == "error"]
        return list(map(self._source.title_of, failed))

    def _ipython_display_(self) -> None:
        """Show nothing in the embedding cell, which already shows everything."""
        if current_execution.get() is not self._embedding.execution:
            output.append_bundle({"text/plain": repr(self)}, {})

    def bundles(self, cell: str) -> list[dict[str, Any]]:
        """Return the outputs of a cell."""
        return [_decode(item.data) for item in self._relay.items(cell)]

    def look_up(self, name: str) -> Any:
        """Return a definition, and remember that the calling cell has read it."""
        if name not in self.names():
            raise KeyError(self._missing(name))
        value = self.engine.globals[name]
        self._taken[name, current_execution.get()] = _state_of(value)
        return value

    def names(self) -> list[str]:
        """Return the names that are defined."""
        cells = self.engine.notebook.cells
        found = {name for cell in cells.values() for name in cell.defs}
        return sorted(name for name in found if name in self.engine.globals)

    def show_output(self, execution: Execution) -> None:
        """Show the outputs of all cells in another run too, from here on."""
        view = View(execution.outputs)
        self._relay.add_view(view)
        self._relay.show(view, self._order)

    # What embeds it

    @property
    def execution(self) -> Execution | None:
        """The run that embeds it."""
        return self._embedding.execution

    def begin(self, execution: Execution | None) -> None:
        """Show the part in `execution`, which embeds it, from here on."""
        self._embedding.execution = execution
        self._taken = {}
        self.console.live.clear()
        self._view = View(self._printed if execution is None else execution.outputs)
        self._showing = False

    async def embed(self, definitions: Mapping[str, object]) -> bool:
        """Call `update`, then `run`."""
        await self.update(definitions)
        return await self.run()

    async def update(self, definitions: Mapping[str, object]) -> None:
        """Bring the cells up to date with the file and `definitions`, without running or awaiting anything.

        Raises: NotebookFileError, and TypeError if a definition does not fit.
        """
        engine, source = self.engine, self._source
        self._outdated = source.read() or self._outdated
        self._outdated = source.give(definitions) or self._outdated
        if self._outdated:
            # So that all stale cells run once, and not after each of these changes.
            await engine.set_mode("lazy")
            cells = source.cells()
            ids = {cell.id for cell in cells}
            states = engine.notebook.cells
            # The error of a cell that has moved names another line, so it is reported again.
            moved = {id for id in source.moved if id in states and is_wrong(states[id])}
            await engine.delete([id for id in states if id not in ids or id in moved])
            await engine.sync(cells)
            source.place(engine.program.compiled)
            source.moved.clear()
            disabled = {source.id_of(cell) for cell in source.notebook.disabled}
            await engine.configure(disabled, disabled=True)
            await engine.configure(ids - disabled, disabled=False)
            await engine.set_mode("autorun")
            self._order = in_order(engine.program)
            self._outdated = False

    @property
    def awaits(self) -> bool:
        """Whether cells await."""
        return any(code.analysis.is_async for code in self.engine.program.compiled.values())

    async def run(self) -> bool:
        """Run the cells that have to run, show all, and return whether the run was interrupted."""
        engine = self.engine
        self.console.live.clear()
        self._relay.add_view(self._view)
        self._showing = True
        wanted = to_run(engine)
        finished = await engine.run(wanted) if wanted else None
        self._planned.clear()
        self._show_up_to(None)
        return finished is not None and finished.status == "interrupted"

    def close(self) -> None:
        """End everything that the notebook left running; its definitions stay."""
        if not self._closed:
            self._closed = True
            if self._around is not None:
                self._around.interrupts.inner.remove(self.engine.interrupts)
            self._relay.remove_views()
            self.engine.retire()
            if self.engine.parts is not None:
                self.engine.parts.close()

    def _make_engine(self) -> Engine:
        self.console.redirect()
        current_part.set(self)
        # The context lasts as long as the engine.
        current_execution.set(None)
        around = self._around
        engine = Engine(
            self._relay,
            limits=self._limits,
            hooks=Hooks(),
            redefine=self._source.notebook.redefine,
            language=self._source.language,
            file=self._source.path,
            embedded=Embedded(self._embedding, self._on_state_set),
        )
        self._embedding.globals = engine.globals
        engine.globals[GIVEN] = self._source.given
        if around is not None:
            outer, inner = around.interrupts, engine.interrupts
            inner.outer = outer
            inner.before_striking = lambda subject, frame: outer.before_striking(
                subject.visible if isinstance(subject, Execution) else subject, frame
            )
            outer.inner.append(inner)
            _inherit(around.hooks.pre_execution, engine.hooks.pre_execution)
            _inherit(around.hooks.post_execution, engine.hooks.post_execution)
        engine.hooks.post_execution.insert(0, self._before_value)
        return engine

    # Events of its engine

    def _listen(self, event: Any) -> dict[str, Any] | None:
        """Show what is kept of other cells when their turn comes; return the error of a skipped cell."""
        match event:
            case events.RunPlanned(cells=cells):
                self._planned = set(cells)
            case events.CellStarted(cell=cell) | events.CellSkipped(cell=cell):
                self._show_up_to(cell)
                self.console.begin(cell)
                self._planned.discard(cell)
                if isinstance(event, events.CellSkipped) and event.status == "error" and event.error:
                    return self._source.error_item(cell, event.error)
            case events.CellsDeleted(cells=cells):
                for cell in cells:
                    self.console.forget(cell)
            case _:
                pass
        return None

    def _show_up_to(self, last: str | None) -> None:
        """Show what is kept of the cells that do not run: those above `last`, or all."""
        if not self._showing:
            return
        waiting: list[str] = []
        for cell in self._order:
            if cell == last:
                break
            if cell in self._planned or cell in self.console.live:
                continue
            self.console.live.add(cell)
            texts = self.console.texts(cell)
            if not texts:
                waiting.append(cell)
                continue
            self._show(waiting)
            waiting = []
            call, shown = object(), 0
            for text in texts:
                if text.before > shown:
                    self.console.begin_new_item()
                    self._relay.show_between(self._view, cell, call, shown, text.before)
                    shown = text.before
                self.console.show(text)
            if self._relay.next_id(cell) > shown:
                self.console.begin_new_item()
            self._relay.show_between(self._view, cell, call, shown, None)
        self._show(waiting)

    def _show(self, cells: list[str]) -> None:
        if any(self._relay.next_id(cell) for cell in cells):
            self.console.begin_new_item()
        self._relay.show(self._view, cells)

    @protected
    def _before_value(self, execution: Execution) -> None:
        """Make text that the embedding cell redirects stand before the value of a cell."""
        if execution.value is not NO_VALUE and execution.value is not None:
            self.console.begin_new_item()

    # States

    def _on_state_set(self, update: StateChange) -> None:
        """Make the outer notebook follow a state that was set; called on any thread."""
        if self._around is not None and not self._closed:
            setter = self._cell if update.setter else ""
            self._around.state_set(update._replace(setter=setter), self._follow)

    async def _follow(self) -> list[str]:
        """Run the readers of states; return the embedding cell if that changes what it read from `defs`."""
        if self._closed:
            return []
        await self.engine.follow_states()
        execution = self._embedding.execution
        current = execution is not None and not execution.retired
        return [self._cell] if current and any(map(self._has_changed, list(self._taken))) else []

    def _has_changed(self, taken: tuple[str, Execution | None]) -> bool:
        name, reader = taken
        if reader is not None and reader.retired:
            return False  # it has run again, or is gone
        return not equal(self._taken[taken], _state_of(self.engine.globals.get(name, _ABSENT)))

    def _missing(self, name: str) -> str:
        for cell in reversed(self.engine.notebook.cells.values()):
            if name in cell.defs:
                why = f"cell {self._source.title_of(cell.id)!r} should define it, but {why_missing(cell)}"
                return f"{self._source.name} has not defined {name!r}: {why}"
        return (
            f"{self._source.name} does not define {name!r}; it defines {', '.join(self.names()) or 'nothing'}"
        )


class Definitions(Mapping[str, Any]):
    """The definitions of an embedded notebook, by name."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def __getitem__(self, name: str) -> Any:
        return self._part.look_up(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._part.names())

    def __len__(self) -> int:
        return len(self._part.names())

    def __contains__(self, name: object) -> bool:
        return name in self._part.names()

    def __repr__(self) -> str:
        return f"<definitions: {', '.join(self) or 'none'}>"


class PartOutput:
    """What an embedded notebook shows, as a value."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def __repr__(self) -> str:
        bundles = [bundle for cell in self._part.outputs.values() for bundle in cell]
        return "\n".join(str(bundle.get("text/plain", "")) for bundle in bundles)

    def _ipython_display_(self) -> None:
        execution = current_execution.get()
        if execution is not None:
            self._part.show_output(execution)


def _state_of(value: Any) -> object:
    """Return the state if `value` is its getter, and otherwise the value itself."""
    return cast("Getter[object]", value)() if isinstance(value, Getter) else value


def _inherit(around: list[Callable[[Execution], object]], hooks: list[Callable[[Execution], object]]) -> None:
    """Add the hooks that others have put before and after the outer engine's own."""
    before: list[Callable[[Execution], object]] = []
    others = before
    for hook in around:
        if isinstance(getattr(hook, "__self__", None), CellReport):
            others = hooks
        else:
            others.append(hook)
    hooks[:0] = before


#: The part that cells of this context belong to.
current_part: ContextVar[Part | None] = ContextVar("current_part", default=None)
