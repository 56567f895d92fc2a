"""What percent and light scripts write behind a cell's marker, and how they write text.

After the marker come a title, `[markdown]`, `[md]` or `[raw]`, and the cell's metadata as `key=value`, with
values in JSON. Text that is not code stands in comments, or in one string.
"""

import ast
import json
import re
from typing import Any

from .raw_cell import Kind

_KIND = re.compile(r"\[(code|markdown|md|raw)\]")
_OPTION = re.compile(
    r"(?:^|\s+)(?P<key>[\w.-]+)=(?P<value>\"(?:[^\"\\]|\\.)*\"|'[^']*'|\[[^\]]*\]|\{[^}]*\}|\S+)"
)
_VALID_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def read_marker(rest: str) -> tuple[Kind, str, dict[str, Any]]:
    """Return the kind, the title and the metadata from the text after a marker."""
    match = _KIND.search(rest)
    name = match[1] if match else "code"
    kind: Kind = "raw" if name == "raw" else "code" if name == "code" else "markdown"
    rest = _KIND.sub("", rest, count=1)
    metadata = {option["key"]: _value(option["value"]) for option in _OPTION.finditer(rest)}
    if isinstance(tags := metadata.get("tags"), str):
        metadata["tags"] = [tag.strip() for tag in tags.split(",") if tag.strip()]
    return kind, _OPTION.sub("", rest).strip(), metadata


def _value(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            pass
    return text


def valid_id(value: object) -> str:
    """Return the id if Jupyter's format allows it; otherwise an empty text."""
    return value if isinstance(value, str) and _VALID_ID.fullmatch(value) else ""


def uncommented(source: str) -> str:
    """Return the text that a script holds in comments or in a string."""
    lines = source.split("\n")
    if all(line.startswith("#") or not line.strip() for line in lines):
        return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return source
    match body:
        case [ast.Expr(value=ast.Constant(value=str(text)))]:
            return text.strip("\n")
        case _:
            return source
