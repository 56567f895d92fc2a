"""Which interpreter a notebook may have been meant for: what to say when it lacks a module.

Environments are looked for in `.venv` and `venv` beside the notebook and above it, and in `VIRTUAL_ENV`.
Only files are looked at; no interpreter is started.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ...protocol.notebook import CellError
from .job import Job

_MISSING = re.compile(r"No module named '(?P<name>\w+)")


def hint_for(job: Job, error: CellError) -> str:
    """Return what helps if `error` is that a module is missing; empty for any other error."""
    match = _MISSING.match(error.message) if error.kind == "ModuleNotFoundError" else None
    if match is None:
        return ""
    name = match["name"]
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
    """Whether `python` is the interpreter of the environment: by its own path, since it is a link."""
    return Path(os.path.realpath(os.path.dirname(python))) == Path(os.path.realpath(environment / "bin"))


def _has(environment: Path, name: str) -> bool:
    """Whether a module, a package, or an editable install of it is in the environment."""
    patterns = (name, f"{name}.*", f"{name}-*.dist-info")
    return any(
        found for pattern in patterns for found in environment.glob(f"lib/python*/site-packages/{pattern}")
    )
