"""A cell as it is in a file: what the reader of each format returns."""

from typing import Any, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["code", "markdown", "raw"]


class RawCell(NamedTuple):
    """A cell before `load` gives it its id."""

    #: Code as written; Markdown as text, not as comments.
    source: str
    title: str = ""
    #: The id in the file, if that is valid; otherwise empty.
    id: str = ""
    disabled: bool = False
    #: The number of the line in the file on which the source begins; 0 if the file has no such lines.
    line: int = 0
    kind: Kind = "code"
    #: In the words of Jupyter's format, as are the next ones.
    metadata: dict[str, Any] = {}
    attachments: dict[str, Any] | None = None
    outputs: list[dict[str, Any]] = []
    execution_count: int | None = None
    #: The text that the code shows if it does nothing else; a saved notebook has it in place of the code.
    markdown: str = ""


def trimmed(lines: list[str]) -> str:
    """Return the lines as one text without the blank ones around them."""
    return "\n".join(lines).strip("\n").rstrip()


def first_line(lines: list[str], start: int) -> int:
    """Return the number, from 1, of the first line that is not blank, looking from the index `start`."""
    while start < len(lines) and not lines[start]:
        start += 1
    return start + 1
