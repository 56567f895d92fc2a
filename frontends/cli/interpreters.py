"""Hints at the interpreter that a notebook may be meant for, when a module is missing.

Environments are looked for in `.venv` and `venv` in the notebook's folder and those above it, and in
`VIRTUAL_ENV`. This reads only files, and starts no interpreter.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ...protocol.notebook import CellError
from .job import Job

_MISSING = re.compile(r"No module named '(?P<name>\w+)")


def hint_for(job: Job, cell: str, error: CellError) -> str:
    """Return a hint if `error` of `cell` says that a module is missing; empty for any other error."""
    match = _MISSING.match(error.message) if error.kind == "ModuleNotFoundError" else None
    if match is None:
        return ""
    name = match["name"]
    if any(one.id == cell and one.on for one in job.notebook.cells):
        return f"the worker that ran the cell has no {name!r}: install it where the workers are"
    for environment in _environments(job.folder):
        python = environment / "bin" / "python"
        if not _is_same(job.python, environment) and python.exists() and _has(environment, name):
            first = "" if _has(environment, "cellwire") else f"{python} -m pip install cellwire, then "
            return f"{environment} has {name!r}: {first}cellwire run --python {python}"
    return f"{job.python}, which runs the notebook, has no {name!r}; --python names another interpreter"


def _environments(folder: str) -> Iterator[Path]:
    for place in (Path(folder), *Path(folder).parents):
        yield place / ".venv"
        yield place / "venv"
    if active := os.environ.get("VIRTUAL_ENV"):
        yield Path(active)


def _is_same(python: str, environment: Path) -> bool:
    """Whether `python` is the interpreter of the environment; links are not followed, since it is one."""
    return Path(os.path.realpath(os.path.dirname(python))) == Path(os.path.realpath(environment / "bin"))


def _has(environment: Path, name: str) -> bool:
    """Whether a module, a package, or an editable install of it is in the environment."""
    patterns = (name, f"{name}.*", f"{name}-*.dist-info")
    return any(
        found for pattern in patterns for found in environment.glob(f"lib/python*/site-packages/{pattern}")
    )
