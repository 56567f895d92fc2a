"""The examples of a document: notebooks whose cells say what they show."""

import re
from collections.abc import Iterator

from cellwire.frontends.notebook_files import percent
from cellwire.protocol.messages import Cell

_EXPECTED = re.compile(
    r"^(?P<code>.*?)  # (?P<expected>shows .*|cancelled|stopped|\w+Error|\w+Definitions)$", re.M
)


def examples(document: str) -> list[tuple[str, list[str]]]:
    """Return each example with the edits that follow it, and its kind: `error` for one definer alone."""
    found: list[tuple[str, list[str]]] = []
    for kind, text in re.findall(r"^```python ?(\w*)\n(# %%.*?)^```", document, re.M | re.S):
        if kind == "edit":
            found[-1][1].append(text)
        else:
            found.append((kind, [text]))
    return found


def expected(source: str) -> tuple[str, str]:
    """Return the code of a cell, and what it is said to show."""
    match = _EXPECTED.search(source)
    return (source, "") if match is None else (_EXPECTED.sub(r"\g<code>", source), match["expected"])


def edits(texts: list[str]) -> Iterator[tuple[list[Cell], dict[str, str]]]:
    """Yield for each version of a notebook the cells that changed, and what each cell is said to show."""
    sources: dict[str, str] = {}
    for text in texts:
        cells = {cell.title: expected(cell.source) for cell in percent.read("example", text)}
        yield (
            [Cell(id, code) for id, (code, _) in cells.items() if sources.get(id) != code],
            {id: said for id, (_, said) in cells.items()},
        )
        sources |= {id: code for id, (code, _) in cells.items()}
