"""The options of `cellwire run`, and the jobs that they ask for."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from ...protocol.errors import NotebookFileError
from ...protocol.notebook import Redefine
from ..notebook_files.load import NotebookFile, load, load_text
from .job import Job
from .kernels import add_kernel_options, kernel_options


def add_run_options(run: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    run.add_argument(
        "notebooks",
        nargs="+",
        metavar="NOTEBOOK",
        help=".ipynb, marimo .py, or a script: percent, light, Databricks; - for standard input",
    )
    run.usage = "cellwire run [OPTIONS] NOTEBOOK... [-- ARGUMENTS]"

    keep = run.add_argument_group("keeping the result")
    keep.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="PATH",
        help="save cells and outputs: .ipynb, .html, .md, or a folder; {name} is the notebook's name",
    )
    keep.add_argument("--inplace", action="store_true", help="save the outputs in the .ipynb itself")

    keep.add_argument("--report", metavar="PATH", help="write the result of each cell as JUnit XML")

    given = run.add_argument_group("parameters")
    given.add_argument(
        "-p",
        "--parameter",
        action="append",
        type=_parameter,
        default=[],
        metavar="NAME=VALUE",
        help="the value, a Python literal or text, for a name that a cell defines",
    )
    given.add_argument(
        "-f",
        "--parameters",
        action="append",
        default=[],
        metavar="FILE",
        help="values from a .yaml, .json or .toml file",
    )
    given.add_argument(
        "--help-notebook", action="store_true", help="show the names that can be given, and run nothing"
    )

    how = run.add_argument_group("running")
    how.add_argument("--timeout", type=_seconds, metavar="S", help="interrupt the run after S seconds")
    how.add_argument(
        "--cell-timeout", type=_seconds, metavar="S", help="interrupt the run if a cell takes S seconds"
    )
    how.add_argument(
        "--fail-fast", action="store_true", help="start no further cell or notebook after a cell has failed"
    )
    how.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="run up to N notebooks at the same time"
    )
    how.add_argument(
        "--watch",
        action="store_true",
        help="when the file is saved, run what has changed and what depends on it",
    )
    which = how.add_mutually_exclusive_group()
    which.add_argument(
        "--sandbox",
        action="store_true",
        help="run in an environment that uv makes for the notebook's # /// script block",
    )
    which.add_argument(
        "--python", default=sys.executable, metavar="PY", help="interpreter that runs the notebook"
    )

    how.add_argument(
        "--engine",
        metavar="ADDRESS",
        help='where cells marked on="name" run, if no cell defines the name: an engine and an address',
    )

    add_kernel_options(run.add_argument_group("the kernel"))

    shown = run.add_argument_group("showing").add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print each event as a line of JSON")
    shown.add_argument("--quiet", action="store_true", help="print only failures")


def split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments of `cellwire run` before `--`, and the notebook's arguments after it."""
    given = list(arguments)
    if given[:1] != ["run"] or "--" not in given:
        return given, []
    place = given.index("--")
    return given[:place], given[place + 1 :]


def jobs_of(options: argparse.Namespace, until_the_end: ExitStack) -> list[Job]:
    """Return the jobs that the options ask for; `until_the_end` removes temporary environments.

    Raises: NotebookFileError if a notebook cannot be read, or an option does not apply to it.
    """
    python: str = options.python
    if shutil.which(python) is None:
        raise NotebookFileError(f"--python {python}: there is no such program")
    # A path is relative to the caller's folder, not the notebook's; a name without a slash is looked up.
    python = os.path.abspath(python) if os.sep in python else python
    if options.watch and (problem := _why_not_watched(options)):
        raise NotebookFileError(f"--watch {problem}")
    if len(options.notebooks) > 1 and (options.keep or options.connection_file):
        raise NotebookFileError("--keep NAME and --connection-file take one notebook")
    given = _given(options)
    jobs: list[Job] = []
    for name in options.notebooks:

        def read(name: str = name) -> NotebookFile:
            notebook = _load(name)
            if options.engine:
                from .engine import with_engine

                notebook = with_engine(notebook, options.engine)
            return _with_parameters(notebook, given, options.redefine or notebook.redefine)

        notebook = read()
        if options.inplace and (name == "-" or notebook.format != "ipynb"):
            raise NotebookFileError(
                f"--inplace: {name} is not an .ipynb, and only those hold outputs; use -o"
            )
        if options.sandbox:
            from .sandbox import requirements_of, sandbox

            environment = sandbox(requirements_of(notebook), quiet=options.quiet)
            python = until_the_end.enter_context(environment)
        redefine = options.redefine or notebook.redefine
        jobs.append(
            Job(
                notebook,
                python,
                redefine,
                options.dialect or notebook.dialect,
                options.timeout,
                options.cell_timeout,
                options.fail_fast,
                options.arguments,
                _targets(notebook, options.output, options.inplace),
                read if options.watch else None,
                kernel_options(options, notebook),
            )
        )
    _require_different_targets(jobs)
    return jobs


def help_of_notebooks(options: argparse.Namespace) -> str:
    """Return the text of `--help-notebook` for the notebooks."""
    from .parameters import described

    return "\n".join(described(_load(name)) for name in options.notebooks)


def _load(name: str) -> NotebookFile:
    return load_text(sys.stdin.buffer.read()) if name == "-" else load(name)


def _with_parameters(notebook: NotebookFile, given: dict[str, object], redefine: Redefine) -> NotebookFile:
    if not given:
        return notebook
    from .parameters import with_parameters

    return with_parameters(notebook, given, redefine)


def _why_not_watched(options: argparse.Namespace) -> str:
    """Return why `--watch` cannot be used with these options; empty if it can."""
    if len(options.notebooks) > 1:
        return "takes one notebook"
    if options.notebooks == ["-"]:
        return "needs a file, not standard input"
    for name in ("timeout", "fail_fast", "report"):
        if getattr(options, name):
            return f"and --{name.replace('_', '-')} exclude each other: the run has no end"
    return ""


def _given(options: argparse.Namespace) -> dict[str, object]:
    """Return the parameters by name; the command line takes precedence over files."""
    values: dict[str, object] = {}
    if options.parameters:
        from .parameter_files import read_parameters

        for path in options.parameters:
            values |= read_parameters(path)
    if options.parameter:
        from .parameters import Text

        values |= {name: Text(value) for name, value in options.parameter}
    return values


def _targets(notebook: NotebookFile, patterns: Sequence[str], in_place: bool) -> list[str]:
    """Return the paths to which the notebook is saved; `{name}` in a pattern is the name of its file."""
    paths = [pattern.replace("{name}", notebook.name) for pattern in patterns]
    return [*paths, notebook.path] if in_place else paths


def _require_different_targets(jobs: Sequence[Job]) -> None:
    seen: set[tuple[str, str]] = set()
    for job in jobs:
        for target in job.targets:
            is_folder = target.endswith(os.sep) or os.path.isdir(target)
            place = (os.path.realpath(target), job.notebook.name if is_folder else "")
            if place in seen:
                raise NotebookFileError(
                    f"-o {target}: several notebooks would be saved there; "
                    "write {name} for the name of each, or name a folder"
                )
            seen.add(place)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return seconds


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, not {text!r}")
    return name.strip(), value


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number of notebooks from 1, not {text!r}")
    return int(text)
