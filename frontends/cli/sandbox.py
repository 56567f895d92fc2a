"""An environment for one notebook, with what its `# /// script` block (PEP 723) asks for, made by `uv`.

uv makes it in a temporary directory, from its cache if that has the packages. It is removed after the run.
cellwire itself is installed there too, from the source that it was installed from here.
"""

import json
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, NamedTuple, cast

from ...protocol.errors import NotebookFileError
from ...version import __version__
from ..notebook_files.load import NotebookFile

_BLOCK = re.compile(r"^# /// script$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$", re.M)


class Requirements(NamedTuple):
    """What a notebook needs."""

    #: A version specifier; empty for any.
    python: str
    dependencies: list[str]


def requirements_of(notebook: NotebookFile) -> Requirements:
    """Return what the block in the notebook's file asks for.

    Raises: NotebookFileError if there is no block, or it is not as PEP 723 requires.
    """
    text = "\n".join(part.source for part in notebook.parts)
    if notebook.format != "ipynb":
        try:
            with open(notebook.path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError as error:
            raise NotebookFileError(f"--sandbox needs a file: {notebook.path}: {error.strerror}") from error
    blocks = [match["content"] for match in _BLOCK.finditer(text)]
    if len(blocks) != 1:
        raise NotebookFileError(f"--sandbox: {notebook.path} has {len(blocks)} '# /// script' blocks")
    lines = (line.removeprefix("#").removeprefix(" ") for line in blocks[0].splitlines())
    try:
        block: dict[str, Any] = tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        raise NotebookFileError(f"{notebook.path}: the '# /// script' block is not TOML: {error}") from error
    python, dependencies = block.get("requires-python", ""), block.get("dependencies", [])
    if not isinstance(python, str) or not isinstance(dependencies, list):
        raise NotebookFileError(f"{notebook.path}: requires-python must be text, and dependencies a list")
    return Requirements(python, [str(name) for name in cast("list[object]", dependencies)])


@contextmanager
def sandbox(requirements: Requirements, *, quiet: bool = False) -> Iterator[str]:
    """Yield the interpreter of an environment that fulfils the requirements.

    Raises: NotebookFileError if uv is missing or cannot make the environment.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise NotebookFileError("--sandbox needs uv, which is not on the PATH: https://docs.astral.sh/uv")
    options = ["--quiet"] if quiet else []
    with tempfile.TemporaryDirectory(prefix="cellwire-sandbox-") as place:
        python = f"{place}/bin/python"
        wanted = ["--python", requirements.python] if requirements.python else []
        _call([uv, "venv", *options, *wanted, place])
        packages = [*requirements.dependencies, *_own_requirement()]
        _call([uv, "pip", "install", *options, "--python", python, *packages])
        yield python


def _own_requirement() -> list[str]:
    """Return the arguments that install cellwire as it is installed here."""
    try:
        origin = distribution("cellwire").read_text("direct_url.json")
    except PackageNotFoundError:
        origin = None
    if origin is None:
        return [f"cellwire=={__version__}"]
    source: dict[str, Any] = json.loads(origin)
    editable = ["--editable"] if source.get("dir_info", {}).get("editable") else []
    vcs = f"{source['vcs_info']['vcs']}+" if "vcs_info" in source else ""
    return [*editable, f"{vcs}{source['url']}" if not editable else source["url"].removeprefix("file://")]


def _call(command: list[str]) -> None:
    # uv's messages go to standard error: it may take a while, and it explains its failures there.
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False)
    if done.returncode:
        raise NotebookFileError(f"--sandbox: `{' '.join(command[:3])}` ended with status {done.returncode}")
