"""Writing a notebook with its outputs: `.ipynb`, `.html`, `.md`, or a folder with figures as files.

A file is replaced as a whole, so a reader sees the old one or the new one, and a crash leaves one of them. A
folder holds `NAME.md` and `NAME_files/`; each file in it is replaced as a whole, the text last, and figures
that only the old text showed are removed.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeAlias

from ...protocol.errors import NotebookFileError
from ...protocol.notebook import Notebook
from .executed import encoded, executed
from .load import NotebookFile

Target: TypeAlias = Literal["ipynb", "html", "md", "folder"]

_SUFFIXES: dict[str, Target] = {".ipynb": "ipynb", ".html": "html", ".htm": "html", ".md": "md"}


def target_of(path: str | os.PathLike[str]) -> Target:
    """Return what to write to `path`, by its ending; a folder ends with a slash or exists.

    Raises: NotebookFileError if the path does not say what to write.
    """
    name = os.fspath(path)
    if name.endswith(os.sep) or os.path.isdir(name):
        return "folder"
    target = _SUFFIXES.get(os.path.splitext(name)[1].lower())
    if target is None:
        raise NotebookFileError(
            f"{name}: cannot tell what to write: the name must end with .ipynb, .html or .md, "
            "or with / for a folder"
        )
    return target


def save(notebook: NotebookFile, path: str | os.PathLike[str], state: Notebook | None = None) -> None:
    """Write the notebook to `path` with the outputs in `state`, or without a state those of its file.

    Raises: NotebookFileError if the name of `path` does not say what to write; OSError if it cannot be
        written. Then the file that was there before is unchanged.
    """
    name, target = os.fspath(path), target_of(path)
    document = executed(notebook, state)
    stem = notebook.name
    match target:
        case "ipynb":
            write_whole(name, encoded(document).encode())
        case "html":
            from .page import page

            write_whole(name, page(document, stem).encode())
        case "md":
            from .markdown import markdown

            write_whole(name, markdown(document).text.encode())
        case "folder":
            _save_folder(name, stem, document)


def require_writable(path: str | os.PathLike[str]) -> None:
    """Check before a run whether its result can be written, and make the folder that it goes into.

    Raises: NotebookFileError or OSError if it cannot.
    """
    name = os.fspath(path)
    if target_of(path) == "folder":
        name = os.path.join(name, "notebook.md")
    require_replaceable(name)


def require_replaceable(name: str) -> None:
    """Make the folder of a file to be written, and raise OSError if the file cannot be replaced or made."""
    with suppress(FileExistsError):  # a file in its place is an error of what follows
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with replacing(name, give_up=True):
        pass


def _save_folder(folder: str, stem: str, document: dict[str, object]) -> None:
    from .markdown import markdown

    text_file = os.path.join(folder, f"{stem}.md")
    files = f"{stem}_files"
    made = markdown(document, files)
    shown = re.compile(rf"\]\(({re.escape(files)}/[\w.-]+)\)")
    before: set[str] = set()
    with suppress(OSError, UnicodeDecodeError), open(text_file, encoding="utf-8") as file:
        before = set(shown.findall(file.read()))
    os.makedirs(os.path.join(folder, files) if made.files else folder, exist_ok=True)
    for name, content in made.files.items():
        write_whole(os.path.join(folder, name), content, unless_equal=True)
    write_whole(text_file, made.text.encode())
    for name in before - set(made.files):
        with suppress(OSError):
            os.unlink(os.path.join(folder, name))
    with suppress(OSError):  # it is not empty, or was never there
        os.rmdir(os.path.join(folder, files))


def write_whole(path: str, content: bytes, unless_equal: bool = False) -> None:
    """Replace the file at `path`, or make it; with `unless_equal`, only if the content changes."""
    if unless_equal:
        with suppress(OSError), open(path, "rb") as file:
            if file.read() == content:
                return
    with replacing(path) as descriptor, open(descriptor, "wb", closefd=False) as file:
        file.write(content)


@contextmanager
def replacing(path: str, give_up: bool = False) -> Iterator[int]:
    """Yield a descriptor of a new file, which replaces `path` at the end, unless `give_up` is true.

    It gets the mode of the file that it replaces. If `path` is a link, the file that it leads to is replaced.
    """
    path = os.path.realpath(path)
    mode = None
    with suppress(FileNotFoundError):
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path}: not a file that can be replaced")
        mode = stat.S_IMODE(status.st_mode)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name[:80]}.{os.urandom(6).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    try:
        try:
            yield descriptor
            if mode is not None:
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
        if give_up:
            os.unlink(temporary)
        else:
            os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
