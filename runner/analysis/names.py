"""Names: which ones are a cell's own, and how they are kept apart from those of other cells.

A private name of a cell lives in the common globals under a name that no source contains: the mark,
the cell's id, the mark, the name as written. That is an identifier (so that annotations kept as text
still evaluate), it does not start with an underscore (so that Python's own mangling in classes
leaves it alone), and it can be found in any text and taken back.
"""

import re
from functools import lru_cache

#: U+A78F: a letter to Python, left as it is by NFKC, and in no alphabet that people write.
_MARK = "ꞏ"
#: U+01C0, likewise; encloses the code point of a character that may not stand in an identifier.
_ESCAPE = "ǀ"
_PREFIX = re.compile(f"{_MARK}[0-9A-Za-z_{_ESCAPE}]*{_MARK}")


def is_private(name: str) -> bool:
    """Return whether `name` belongs to its cell: one leading underscore, or only underscores."""
    return name[0] == "_" and (name[1:2] != "_" or not name.strip("_"))


def class_private(name: str, class_name: str | None) -> str:
    """Return what `name` means in the body of `class_name`, by Python's rule for `__names`."""
    if class_name is None or not name.startswith("__") or name.endswith("__") or "." in name:
        return name
    owner = class_name.lstrip("_")
    return f"_{owner}{name}" if owner else name


@lru_cache(1024)
def _prefix(cell: str) -> str:
    encoded = (
        letter
        if letter == "_" or (letter.isascii() and letter.isalnum())
        else f"{_ESCAPE}{ord(letter):x}{_ESCAPE}"
        for letter in cell
    )
    return f"{_MARK}{''.join(encoded)}{_MARK}"


def mangle(name: str, cell: str) -> str:
    """Return the global under which `cell` keeps its private `name`."""
    return _prefix(cell) + name


def is_mangled(name: str) -> bool:
    """Return whether `name` is a private global of some cell."""
    return name.startswith(_MARK)


def unmangle(text: str) -> str:
    """Return `text` with private names as the user wrote them."""
    return _PREFIX.sub("", text) if _MARK in text else text
