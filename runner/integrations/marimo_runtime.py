"""`mo.stop`, `mo.output`, `mo.state`, redirections, threads and parameters of marimo as cellwire's own."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from ..api.output import output
from ..api.state import Setter
from ..api.stop import CellStopped
from ..attribution import redirection
from ..attribution.after_import import after_import
from ..attribution.context import Execution, current_execution, execution_for_children
from ..output.reports import write_report

#: For each notice, the cell that has it and the number of its run.
_noticed: dict[str, tuple[str, int]] = {}


def marimo_runs() -> bool:
    """Return whether marimo's own runtime executes the calling code."""
    return sys.modules["marimo._runtime.context.types"].safe_get_context() is not None


def replace(module: Any, name: str, own: Callable[..., Any]) -> None:
    """Replace the function `name` of a module, if it has one, by `own`, except for code that marimo runs."""
    original = getattr(module, name, None)
    if original is None:
        return

    @wraps(original)
    def chosen(*args: Any, **options: Any) -> Any:
        return (original if marimo_runs() else own)(*args, **options)

    setattr(module, name, chosen)


def say_once(notice: str) -> None:
    """Write a line to the calling cell unless another cell has it; a cell that runs again gets it again."""
    execution = current_execution.get()
    if execution is None:
        return
    here = execution.cell, execution.run
    before = _noticed.setdefault(notice, (execution.cell, 0))
    if before[0] == execution.cell and before != here:
        _noticed[notice] = here
        write_report(f"cellwire: {notice}\n")


def patch_mode(module: Any) -> None:
    """Set the mode to that of a script, in which elements keep the values that they begin with."""
    get_mode = module.get_mode
    module.get_mode = wraps(get_mode)(lambda: get_mode() or "script")


def patch_stop(module: Any) -> None:
    """Make `mo.stop` end a cell without an error."""

    class MarimoStopError(CellStopped):
        __doc__ = module.MarimoStopError.__doc__

    MarimoStopError.__module__ = module.__name__
    MarimoStopError.__qualname__ = "MarimoStopError"
    module.MarimoStopError = MarimoStopError


def patch_output(module: Any) -> None:
    """Make `mo.output` act on the calling cell."""
    for own in (append, replace_at_index, clear):
        replace(module, own.__name__, own)
    replace(module, "replace", output.replace)
    replace(module, "clear_console", output.clear_console)


def append(value: object) -> None:
    """Add `value` to the outputs; None, which marimo shows as nothing, is not added."""
    if value is not None:
        output.append(value)


def replace_at_index(value: object, idx: int) -> None:
    """Show `value` instead of the item at `idx`; the number of items appends."""
    output.replace_at_index(value, idx)


def clear() -> None:
    """Remove the cell's outputs."""
    output.clear()


def patch_capture(module: Any) -> None:
    """Make redirections apply to the calling context only, with their text among the outputs."""
    for name in ("capture_stdout", "capture_stderr", "redirect_stdout", "redirect_stderr"):
        replace(module, name, getattr(redirection, name))


def patch_state(module: Any) -> None:
    """Make cells follow the states of marimo that they read: those of `mo.state`, files, parameters.

    As in marimo, setting an equal value counts.
    """
    setter_class = module.SetFunctor
    initialise, call = setter_class.__init__, setter_class.__call__

    @wraps(initialise)
    def __init__(self: Any, state: Any) -> None:
        initialise(self, state)
        self._cellwire_setter = Setter(state, allow_self_loops=state.allow_self_loops, always=True)

    @wraps(call)
    def __call__(self: Any, update: Any) -> None:
        if marimo_runs():
            call(self, update)
        else:
            self._cellwire_setter(update)

    setter_class.__init__, setter_class.__call__ = __init__, __call__


def patch_threads(module: Any) -> None:
    """Set `should_exit` of a `mo.Thread` when the run that started it is over."""
    thread_class = module.Thread
    start, should_exit = thread_class.start, thread_class.should_exit

    @wraps(start)
    def start_for_cell(self: Any) -> None:
        self._cellwire_execution = execution_for_children()
        start(self)

    def is_over(self: Any) -> bool:
        execution: Execution | None = getattr(self, "_cellwire_execution", None)
        return should_exit.fget(self) or (execution is not None and execution.over)

    thread_class.start = start_for_cell
    thread_class.should_exit = property(is_over, doc=should_exit.__doc__)


def patch_watch(module: Any) -> None:
    """Report that changes by other programs are not noticed."""
    path_state = module.PathState
    initialise = path_state.__init__

    @wraps(initialise)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        initialise(self, *args, **options)
        if not marimo_runs():
            say_once("mo.watch follows what cells write through it, but not what others change.")

    path_state.__init__ = __init__


def patch_parameters(module: Any) -> None:
    """Make `mo.cli_args` the arguments in `sys.argv`, and `mo.query_params` a mapping of this process."""

    def cli_args() -> Any:
        from marimo._cli.parse_args import args_from_argv  # pyright: ignore[reportMissingImports]

        return module.CLIArgs(args_from_argv())

    made: list[Any] = []

    def query_params() -> Any:
        if not made:
            made.append(module.QueryParams({}))
        return made[0]

    replace(module, "cli_args", cli_args)
    replace(module, "query_params", query_params)


def patch_formatting(module: Any) -> None:
    """Keep marimo from patching other libraries when it first makes the HTML of a value.

    Without a runtime it would then take over `IPython.display`, comms and the renderers of plotly.
    """
    get_formatter = module.get_formatter

    def _display_(self: Any) -> object:
        return self.child

    module.Plain._display_ = _display_

    @wraps(get_formatter)
    def get_formatter_here(*args: Any, **options: Any) -> Any:
        if module.FORMATTERS.is_empty() and not marimo_runs():
            from marimo._output.formatters import formatters  # pyright: ignore[reportMissingImports]

            for factory in formatters.NATIVE_FACTORIES:
                factory.register()

            def give_artists_a_method(_: Any) -> None:
                formatters.THIRD_PARTY_FACTORIES["matplotlib"].register()

            after_import("matplotlib", give_artists_a_method)
        return get_formatter(*args, **options)

    module.get_formatter = get_formatter_here


def patch_cache_blocks(module: Any) -> None:
    """Run blocks of `with mo.cache(...)` each time: marimo finds their source only in its own runtime."""
    block = module._cache_context
    enter, leave = block.__enter__, block.__exit__

    @wraps(enter)
    def __enter__(self: Any) -> Any:
        if marimo_runs():
            return enter(self)
        say_once("blocks of `with mo.cache(...)` run each time: decorate a function with @mo.cache instead.")
        return self

    @wraps(leave)
    def __exit__(self: Any, *error: Any) -> Any:
        return leave(self, *error) if marimo_runs() else False

    block.__enter__, block.__exit__ = __enter__, __exit__


def patch_cache_scope(module: Any) -> None:
    """Keep caches from warning that the notebook's names contain no app."""
    find = module.get_app_from_scope

    @wraps(find)
    def get_app_from_scope(scope: dict[str, Any]) -> Any:
        return find(scope) if marimo_runs() or "app" in scope else None

    module.get_app_from_scope = get_app_from_scope
