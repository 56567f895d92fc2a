"""The `cellwire` command: run, attach, graph, kernel.

Exit status: 0 if all went well, 1 if a cell failed or the run did not reach its end, 2 for a wrong command
line or a notebook file that cannot be read, 128 + n if signal n ended it (130 for Ctrl-C).
Standard output has the report and standard error what went wrong, with the traceback of each cell that
failed (on a terminal the traceback stands with its cell). With `--json` standard output is one event a line.
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ...protocol.errors import CellwireError, NotebookFileError
from ...protocol.events import Event
from ...protocol.notebook import Redefine
from ...version import __version__
from ..notebook_files.load import NotebookFile, load
from .lines import LinesDisplay, details, summary
from .places import Places
from .transcript import Transcript

if TYPE_CHECKING:
    from .run import RunOutcome, View

#: Exit status after SIGPIPE, as a shell reports it.
BROKEN_PIPE = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
        sys.stdout.flush()
    except NotebookFileError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        # The reader is gone; keep the final flush from complaining too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (CellwireError, OSError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cellwire", description="A reactive notebook kernel for Python.")
    parser.add_argument("--version", action="version", version=f"cellwire {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a notebook and show its outputs as they come")
    run.set_defaults(command=_run)
    run.add_argument(
        "notebook", metavar="NOTEBOOK", help=".ipynb, marimo .py, or a script: percent, light, Databricks"
    )
    run.add_argument("--timeout", type=_seconds, metavar="S", help="interrupt the run after S seconds")
    output = run.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one event a line")
    output.add_argument("--quiet", action="store_true", help="print only failures")
    _add_redefine(run)
    run.add_argument(
        "--python", default=sys.executable, metavar="PY", help="interpreter that runs the notebook"
    )

    run.add_argument(
        "--engine",
        metavar="ADDRESS",
        help='where cells marked on="name" run, if no cell defines the name: an engine and an address',
    )

    attach = commands.add_parser("attach", help="follow a running kernel")
    attach.set_defaults(command=_attach, quiet=False)
    attach.add_argument("connection_file", metavar="CONNECTION_FILE")
    attach.add_argument("--json", action="store_true", help="print one event a line")

    graph = commands.add_parser("graph", help="show cells, definitions and edges without running them")
    graph.set_defaults(command=_graph)
    graph.add_argument("notebook", metavar="NOTEBOOK")
    _add_redefine(graph)
    format = graph.add_mutually_exclusive_group()
    format.add_argument("--dot", action="store_const", dest="format", const="dot", help="for Graphviz")
    format.add_argument("--json", action="store_const", dest="format", const="json", help="for programs")
    graph.set_defaults(format="text")

    kernel = commands.add_parser("kernel", help="be a kernel, with settings from standard input")
    kernel.set_defaults(command=_kernel)
    return parser


def _add_redefine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--redefine",
        choices=("error", "allow"),
        help="whether several cells may define a name; default: allow, for marimo notebooks error",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return seconds


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"cellwire: {message}\n")
    return status


# Commands. Each imports what it alone needs, so that the others start quickly.


def _run(options: argparse.Namespace) -> int:
    import shutil

    from .run import run_notebook

    notebook = load(options.notebook)
    if options.engine:
        from .engine import with_engine

        notebook = with_engine(notebook, options.engine)
    python: str = options.python
    if shutil.which(python) is None:
        return _fail(f"--python {python}: there is no such program", 2)
    # A path is relative to the caller's folder, not the notebook's; a name without a slash is looked up.
    python = os.path.abspath(python) if os.sep in python else python
    if not options.quiet:
        _show_remark(notebook)
    places = Places(notebook)
    view = _view(options, notebook.titles, places)
    redefine: Redefine = options.redefine or notebook.redefine
    outcome: RunOutcome | None = None

    async def show() -> None:
        nonlocal outcome
        try:
            outcome = await run_notebook(
                notebook, view, python=python, redefine=redefine, timeout=options.timeout
            )
        finally:
            view.close()

    _run_async(show)
    assert outcome is not None
    # On a terminal the tracebacks were shown with their cells.
    _report(
        notebook,
        places,
        outcome,
        quiet=options.quiet,
        traced=not (isinstance(view, Transcript) and sys.stdout.isatty()),
    )
    if outcome.signal:
        return 128 + outcome.signal
    return 1 if outcome.failed or outcome.reason else 0


def _attach(options: argparse.Namespace) -> int:
    from .run import follow

    view = _view(options, {}, Places())

    async def show() -> None:
        try:
            await follow(options.connection_file, view)
        finally:
            view.close()

    _run_async(show)
    return 0


def _graph(options: argparse.Namespace) -> int:
    from .graph import analyze_notebook, render

    notebook = load(options.notebook)
    _show_remark(notebook)
    graph = analyze_notebook(notebook, options.redefine or notebook.redefine)
    sys.stdout.write(render(graph, options.format))
    return 1 if graph.errors else 0


def _kernel(options: argparse.Namespace) -> int:
    from ...kernel.__main__ import main as kernel

    return kernel()


def _show_remark(notebook: NotebookFile) -> None:
    if notebook.remark:
        sys.stderr.write(f"cellwire: {notebook.path}: {notebook.remark}\n")


def _report(notebook: NotebookFile, places: Places, outcome: "RunOutcome", quiet: bool, traced: bool) -> None:
    """Write to standard error which cells failed or wait for a disabled one, and why the run did not end."""

    def name(cell: str) -> str:
        return repr(notebook.titles.get(cell, cell))

    for cell, error in outcome.failed.items():
        place = places.of(cell, error.line)
        what = f"cell {name(cell)} failed" + (f" at {place}" if place else "")
        error = places.in_file(cell, error)
        sys.stderr.write(f"\n{what}:\n{details(error)}\n" if traced else f"{what}: {summary(error)}\n")
    for cell, cause in outcome.disabled.items() if not quiet else ():
        sys.stderr.write(f"cell {name(cell)} was not run because cell {name(cause)} is disabled\n")
    if outcome.reason:
        sys.stderr.write(f"cellwire: {outcome.reason}\n")


def _run_async(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main`; if concurrent tasks fail together, raise the first exception alone."""
    import anyio

    try:
        anyio.run(main)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return _first(inner[0]) if inner else error


# Views


class _JsonLines:
    """Every event as one line of JSON; bytes are base64."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def add(self, event: Event) -> None:
        sys.stdout.write(self._encoder.encode(event).decode() + "\n")

    def refresh(self) -> None:
        sys.stdout.flush()

    def suspend(self) -> None:
        sys.stdout.flush()

    def close(self) -> None:
        sys.stdout.flush()


class _Silence:
    """Nothing."""

    def add(self, event: Event) -> None: ...
    def refresh(self) -> None: ...
    def suspend(self) -> None: ...
    def close(self) -> None: ...


def _view(options: argparse.Namespace, titles: dict[str, str], places: Places) -> "View":
    if options.json:
        return _JsonLines()
    if options.quiet:
        return _Silence()
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from rich.console import Console

            from .terminal import TerminalDisplay
        except ImportError:
            pass  # without the extra `cli` a terminal gets plain lines
        else:
            return Transcript(TerminalDisplay(Console(highlight=False)), titles, places)
    return Transcript(LinesDisplay(sys.stdout, sys.stderr), titles, places)
