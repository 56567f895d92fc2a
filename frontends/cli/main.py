"""The `cellwire` command: run, ps, attach, stop, graph, kernel, jupyter.

Exit status: 0 if all went well, 1 if a cell failed or the run did not reach its end, 2 for a wrong command
line or a notebook file that cannot be read, 128 + n if signal n ended it (130 for Ctrl-C).
Standard output has the report and standard error what went wrong, with the traceback of each cell that
failed (on a terminal the traceback stands with its cell). With `--json` standard output is one event a line.
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from ...protocol.errors import CellwireError, NotebookFileError
from ...version import __version__
from ..notebook_files.load import load
from .job import reason_of
from .jupyter import add_commands
from .kernels import find, ps, remark, spell_out_keep, stop
from .run_options import add_run_options, split_at_dashes

if TYPE_CHECKING:
    from .job import Job

ResultT = TypeVar("ResultT")

#: Exit status after SIGPIPE, as a shell reports it.
BROKEN_PIPE = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit status."""
    given, behind = split_at_dashes(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options, unknown = parser.parse_known_args(spell_out_keep(given))
    if options.command is _run and not any(word.startswith("-") and word != "-" for word in unknown):
        options.notebooks += unknown  # those behind an option, which argparse does not look for
    elif unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}; see `cellwire {given[0]} --help`")
    options.arguments = behind
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
        return _fail(reason_of(error), 1)
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cellwire", description="A reactive notebook kernel for Python.")
    parser.add_argument("--version", action="version", version=f"cellwire {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a notebook and show its outputs as they come")
    run.set_defaults(command=_run)
    add_run_options(run)
    _add_rules(run)

    listing = commands.add_parser("ps", help="list the running kernels")
    listing.set_defaults(command=ps)
    listing.add_argument("--json", action="store_true", help="print each kernel as a line of JSON")

    attach = commands.add_parser("attach", help="follow a running kernel")
    attach.set_defaults(command=_attach)
    attach.add_argument("kernel", metavar="KERNEL", help="a name or process id of `ps`, or a connection file")
    attach.add_argument("--watch", action="store_true", help="use the key that allows watching only (tcp)")
    _add_endpoint(attach)
    attach.add_argument("--json", action="store_true", help="print each event as a line of JSON")

    stopping = commands.add_parser("stop", help="shut kernels down")
    stopping.set_defaults(command=stop)
    stopping.add_argument("kernels", metavar="KERNEL", nargs="+", help="as for attach")
    _add_endpoint(stopping)

    graph = commands.add_parser("graph", help="show cells, definitions and edges without running them")
    graph.set_defaults(command=_graph)
    graph.add_argument("notebook", metavar="NOTEBOOK")
    _add_rules(graph)
    format = graph.add_mutually_exclusive_group()
    format.add_argument("--dot", action="store_const", dest="format", const="dot", help="for Graphviz")
    format.add_argument("--json", action="store_const", dest="format", const="json", help="for programs")
    graph.set_defaults(format="text")

    kernel = commands.add_parser("kernel", help="be a kernel, with settings from standard input")
    kernel.set_defaults(command=_kernel)

    add_commands(commands.add_parser("jupyter", help="let Jupyter's frontends offer the kernel"))
    return parser


def _add_endpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--endpoint",
        default="",
        metavar="E",
        help="where a tunnel to it begins, such as tcp://127.0.0.1:5555",
    )


def _add_rules(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--redefine",
        choices=("error", "allow"),
        help="whether several cells may define a name; default: allow, for marimo notebooks error",
    )
    command.add_argument(
        "--dialect",
        choices=("python", "ipython"),
        help="ipython: cells may have magics, `!` and `?`; default: ipython, for marimo notebooks python",
    )


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"cellwire: {message}\n")
    return status


# Commands. Each imports what only it needs, so that the others start quickly.


def _run(options: argparse.Namespace) -> int:
    from .run_options import help_of_notebooks, jobs_of

    if options.help_notebook:
        sys.stdout.write(help_of_notebooks(options))
        return 0
    with ExitStack() as until_the_end:
        return _run_jobs(options, jobs_of(options, until_the_end))


def _run_jobs(options: argparse.Namespace, jobs: "list[Job]") -> int:
    from .jobs import run_jobs
    from .views import Presentation

    at_once = min(options.jobs, len(jobs))

    def present(job: "Job") -> Presentation:
        return Presentation(
            job, json=options.json, quiet=options.quiet, named=len(jobs) > 1, whole=at_once > 1
        )

    if options.report:
        from ..notebook_files.writing import require_replaceable

        require_replaceable(options.report)
    outcomes = _run_async(lambda: run_jobs(jobs, present, at_once))
    if options.report:
        from .report import write_report

        write_report(options.report, zip(jobs, outcomes, strict=True))
    for job in jobs if not options.quiet else ():
        if name := job.started.get("name"):
            sys.stderr.write(f"cellwire: {remark(name)}\n")
    return max(outcome.status for outcome in outcomes)


def _attach(options: argparse.Namespace) -> int:
    from .file_lines import FileLines
    from .run import follow
    from .views import JsonLines, people_view

    connection = find(options.kernel)
    view = JsonLines(sys.stdout) if options.json else people_view({}, FileLines(), sys.stdout, sys.stderr)

    async def show() -> None:
        try:
            await follow(connection, view, watch=options.watch, endpoint=options.endpoint)
        finally:
            view.close()

    _run_async(show)
    return 0


def _graph(options: argparse.Namespace) -> int:
    from .graph import analyze_notebook, render

    notebook = load(options.notebook)
    if notebook.remark:
        sys.stderr.write(f"cellwire: {notebook.path}: {notebook.remark}\n")
    graph = analyze_notebook(
        notebook, options.redefine or notebook.redefine, options.dialect or notebook.dialect
    )
    sys.stdout.write(render(graph, options.format))
    return 1 if graph.errors else 0


def _kernel(options: argparse.Namespace) -> int:
    from ...kernel.__main__ import main as kernel

    return kernel()


def _run_async(main: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Run `main`; if concurrent tasks fail together, raise only the first exception."""
    import anyio

    from .jobs import first_of

    try:
        return anyio.run(main)
    except BaseExceptionGroup as group:
        raise first_of(group) from None
