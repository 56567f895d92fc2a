"""A cell as it is in a file: what the reader of each format returns."""

from typing import Any, Literal, NamedTuple, TypeAlias, cast

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


def place_of(metadata: dict[str, Any]) -> str:
    """Return the variable that a cell runs on, as its metadata say; empty for the kernel itself.

    That is `on`, as a script writes it, `cellwire.on`, or a tag `on:variable`.
    """
    own, tags = metadata.get("cellwire"), metadata.get("tags")
    places = [metadata.get("on"), cast("dict[str, Any]", own).get("on") if isinstance(own, dict) else None]
    for tag in cast("list[Any]", tags) if isinstance(tags, list) else []:
        if isinstance(tag, str) and tag.startswith("on:"):
            places.append(tag.removeprefix("on:").strip())
    return next((place for place in places if isinstance(place, str) and place), "")


def trimmed(lines: list[str]) -> str:
    """Return the lines as one text without the blank ones around them."""
    return "\n".join(lines).strip("\n").rstrip()


def first_line(lines: list[str], start: int) -> int:
    """Return the number, from 1, of the first line that is not blank, looking from the index `start`."""
    while start < len(lines) and not lines[start]:
        start += 1
    return start + 1
