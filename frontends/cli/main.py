"""The `cellwire` command: run, attach, graph, kernel.

Exit status: 0 if all went well, 1 if a cell failed or the run did not come to its end, 2 for a wrong
command line or a notebook file that cannot be read, 128 + n if signal n ended it (130 for Ctrl-C).
Standard output has the report and standard error what went wrong, with the traceback of each cell that
failed (on a terminal it stands with its cell). With `--json` standard output is one event a line.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from ...protocol.errors import CellwireError, NotebookFileError
from ...protocol.events import Event
from ...version import __version__
from ..notebook_files.load import NotebookFile, load
from .plain import PlainSurface, details, summary
from .transcript import Transcript

#: What a program ends with that the reader of its output has left, as a shell reports it.
BROKEN_PIPE = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
        sys.stdout.flush()
    except NotebookFileError as error:
        return _failed(str(error), 2)
    except BrokenPipeError:
        # Nobody reads on: no use in saying so, nor in the complaint that the last flush would cause.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (CellwireError, OSError) as error:
        return _failed(str(error), 1)
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cellwire", description="A reactive notebook kernel for Python.")
    parser.add_argument("--version", action="version", version=f"cellwire {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a notebook and show its outputs as they come")
    run.set_defaults(command=_run)
    run.add_argument("notebook", metavar="NOTEBOOK", help="percent script, .ipynb or marimo .py")
    run.add_argument("--timeout", type=_seconds, metavar="S", help="interrupt the run after S seconds")
    run.add_argument("--json", action="store_true", help="print one event a line")
    run.add_argument("--quiet", action="store_true", help="print nothing but failures")
    run.add_argument("--python", default=sys.executable, metavar="PY", help="the interpreter that runs it")

    attach = commands.add_parser("attach", help="follow a running kernel")
    attach.set_defaults(command=_attach)
    attach.add_argument("connection_file", metavar="CONNECTION_FILE")
    attach.add_argument("--json", action="store_true", help="print one event a line")

    graph = commands.add_parser("graph", help="show cells, definitions and edges without running them")
    graph.set_defaults(command=_graph)
    graph.add_argument("notebook", metavar="NOTEBOOK")
    form = graph.add_mutually_exclusive_group()
    form.add_argument("--dot", action="store_const", dest="form", const="dot", help="for Graphviz")
    form.add_argument("--json", action="store_const", dest="form", const="json")
    graph.set_defaults(form="text")

    kernel = commands.add_parser("kernel", help="be a kernel: settings on standard input")
    kernel.set_defaults(command=_kernel)
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return seconds


def _failed(message: str, status: int) -> int:
    sys.stderr.write(f"cellwire: {message}\n")
    return status


# Commands; what a command alone needs is imported where it begins, so that each starts quickly.


def _run(options: argparse.Namespace) -> int:
    import anyio

    from .run import Ending, run_notebook

    notebook = load(options.notebook)
    # A path is the caller's, not the notebook's; a name without a slash is looked up.
    python = os.path.abspath(options.python) if os.sep in options.python else options.python
    view = _view(options.json, options.quiet, notebook)
    ending: Ending | None = None

    async def show() -> None:
        nonlocal ending
        try:
            ending = await run_notebook(notebook, view, python=python, timeout=options.timeout)
        finally:
            view.close()

    _first_error(lambda: anyio.run(show))
    assert ending is not None
    _report(notebook, ending, traced=not (isinstance(view, Transcript) and sys.stdout.isatty()))
    if ending.signal:
        return 128 + ending.signal
    return 1 if ending.failed or ending.reason else 0


def _attach(options: argparse.Namespace) -> int:
    import anyio

    from .run import follow

    view = _view(options.json, False, None)

    async def show() -> None:
        try:
            await follow(options.connection_file, view)
        finally:
            view.close()

    _first_error(lambda: anyio.run(show))
    return 0


def _graph(options: argparse.Namespace) -> int:
    from .graph import analyze_notebook, draw

    drawing = analyze_notebook(load(options.notebook))
    sys.stdout.write(draw(drawing, options.form))
    return 1 if drawing.errors else 0


def _kernel(options: argparse.Namespace) -> int:
    from ...kernel.__main__ import main as kernel

    return kernel()


def _report(notebook: NotebookFile, ending: Any, traced: bool) -> None:
    """Say on standard error which cells failed and why the run did not come to its end."""
    for cell, error in ending.failed.items():
        name = notebook.titles.get(cell, cell)
        if traced:
            sys.stderr.write(f"\ncell {name!r} failed:\n{details(error)}\n")
        else:
            sys.stderr.write(f"cell {name!r} failed: {summary(error)}\n")
    if ending.reason:
        sys.stderr.write(f"cellwire: {ending.reason}\n")


def _first_error(body: Any) -> None:
    """Call `body`; of the exceptions of concurrent tasks the first one goes to the caller."""
    try:
        body()
    except BaseExceptionGroup as group:
        raise _leaf(group) from None


def _leaf(error: BaseException) -> BaseException:
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return _leaf(inner[0]) if inner else error


# Views


class _JsonLines:
    """Every event as one line of JSON; bytes are base64."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def add(self, event: Event) -> None:
        sys.stdout.write(self._encoder.encode(event).decode() + "\n")

    def notice(self, text: str) -> None:
        sys.stderr.write(text + "\n")

    def refresh(self) -> None:
        sys.stdout.flush()

    def suspend(self) -> None:
        sys.stdout.flush()

    def close(self) -> None:
        sys.stdout.flush()


class _Silence:
    """Nothing."""

    def add(self, event: Event) -> None: ...
    def notice(self, text: str) -> None: ...
    def refresh(self) -> None: ...
    def suspend(self) -> None: ...
    def close(self) -> None: ...


def _view(json: bool, quiet: bool, notebook: NotebookFile | None) -> Transcript | _JsonLines | _Silence:
    if json:
        return _JsonLines()
    if quiet:
        return _Silence()
    titles = {} if notebook is None else notebook.titles
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from rich.console import Console

            from .terminal import TerminalSurface
        except ImportError:
            pass  # without the extra `cli` a terminal gets plain lines
        else:
            return Transcript(TerminalSurface(Console(highlight=False)), titles)
    return Transcript(PlainSurface(sys.stdout, sys.stderr), titles)


if __name__ == "__main__":
    sys.exit(main())
