"""The examples of a document: notebooks whose cells say what they show."""

import re

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
