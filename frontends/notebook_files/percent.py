"""Percent scripts: cells begin at `# %%` lines.

In a script without such lines, cells begin at the `# In[1]:` lines that `jupyter nbconvert --to script`
writes; Markdown is in comments there. A script with neither is one cell.
"""

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Iterator

from ...protocol.errors import NotebookFileError
from .cell_marker import read_marker, uncommented, valid_id
from .raw_cell import RawCell, first_line, trimmed

_MARKER = re.compile(r"#\s*%%+(?P<rest>$|[\s\[].*)")
_PROMPT = re.compile(r"#\s*In\s?\[[\d ]*\]:?(?P<rest>)\s*$")


def read(name: str, text: str) -> list[RawCell]:
    """Return the cells of a percent script; without any marker the whole file is one.

    Raises: NotebookFileError if the whole file is one cell and does not parse, so that nothing could run.
    """
    lines = text.split("\n")
    pattern, rows = _MARKER, marker_rows(text, _MARKER)
    if not rows:
        pattern, rows = _PROMPT, marker_rows(text, _PROMPT)
    cells: list[RawCell] = []
    preamble = trimmed(lines[: rows[0]] if rows else lines)
    if not rows:
        _require_parsable(name, preamble)
    if preamble and (not rows or _has_code(preamble)):
        cells.append(RawCell(preamble, line=first_line(lines, 0)))
    elif text_before := _text_of(preamble, exported=pattern is _PROMPT):
        cells.append(RawCell(text_before, kind="markdown", line=1))
    for start, end in itertools.pairwise([*rows, len(lines)]):
        match = pattern.match(lines[start])
        source, line = trimmed(lines[start + 1 : end]), first_line(lines, start + 1)
        if pattern is _PROMPT:
            cells += _exported(source, line)
        elif source:
            kind, title, metadata = read_marker(match["rest"] if match else "")
            source = source if kind == "code" else uncommented(source)
            id = valid_id(metadata.pop("id", ""))
            cells.append(RawCell(source, title, id, line=line, kind=kind, metadata=metadata))
    return cells


def _exported(source: str, line: int) -> Iterator[RawCell]:
    """Yield a cell of `jupyter nbconvert`, and the Markdown after it, which has no marker."""
    match = re.search(r"(?:\A|\n{3,})(?P<text>(?:(?:#.*)?(?:\n|\Z))+)\Z", source)
    code, text = (source[: match.start()], match["text"]) if match else (source, "")
    if code:
        yield RawCell(code, line=line)
    for paragraph in re.split(r"\n{3,}", text):
        if paragraph:
            yield RawCell(uncommented(paragraph), kind="markdown")


def _text_of(preamble: str, exported: bool) -> str:
    """Return the text of a preamble without code: its docstring, or nbconvert's Markdown."""
    if exported:
        return uncommented(re.sub(r"\A(?:#!.*\n|#.*coding.*\n)+", "", preamble + "\n").strip("\n"))
    try:
        return ast.get_docstring(ast.parse(preamble)) or ""
    except SyntaxError:
        return ""


def remark(text: str) -> str:
    """Return why a script has only one cell, if it looks as if it should have more; empty otherwise."""
    if has_markers(text) or marker_rows(text, _PROMPT):
        return ""
    written_as = jupytext_format(text)
    if written_as not in ("", "percent", "hydrogen"):
        return (
            f"read as one cell: jupytext's {written_as!r} format is not supported; "
            "`jupytext --to py:percent` converts it"
        )
    if len(re.findall(r"^#{5,}", text, re.M)) > 1:
        return "read as one cell: lines of ##### do not begin cells; lines that begin with `# %%` do"
    return ""


def jupytext_format(text: str) -> str:
    """Return the format that jupytext's header names; empty without a header."""
    match = re.match(r"(?:#.*\n)*?#\s+format_name:\s*(\w+)", text)
    return match[1] if match else ""


def has_markers(text: str) -> bool:
    """Whether the text has `# %%` lines."""
    return bool(marker_rows(text, _MARKER))


def marker_rows(text: str, pattern: re.Pattern[str]) -> list[int]:
    """Return the indices of the lines that match `pattern` and are not inside a string."""
    rows = [index for index, line in enumerate(text.split("\n")) if pattern.match(line)]
    if not rows:
        return []
    try:
        comments = {
            token.start[0] - 1
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        }
    except (tokenize.TokenError, SyntaxError):
        # A cell is broken, so it is unknown what is inside a string: go by the lines alone.
        return rows
    return [row for row in rows if row in comments]


def only_comments(source: str) -> bool:
    """Whether all lines are blank or comments."""
    return all(line.startswith("#") or not line for line in source.split("\n"))


def _has_code(source: str) -> bool:
    """Whether there is more than comments and a docstring."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return True
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        del body[0]
    return bool(body)


def _require_parsable(name: str, source: str) -> None:
    try:
        compile(source, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        raise NotebookFileError(f"{name}: line {error.lineno}: {error.msg}") from None
