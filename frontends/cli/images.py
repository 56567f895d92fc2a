"""Images in terminals that can show them: kitty's protocol, iTerm2's, and sixel.

The terminal is not asked: one that does not know the query might show it, or its answer might arrive when it
is read as typed text. Environment variables decide which protocol a terminal has. A program between terminal
and command (tmux, an editor's terminal) rules images out. `CELLWIRE_IMAGES` overrides both.
"""

import base64
import io
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

from ...protocol.notebook import Item

Protocol: TypeAlias = Literal["kitty", "iterm2", "sixel"]

#: Variables set by programs that run inside a terminal and are themselves terminals.
_BETWEEN: Final = ("TMUX", "STY", "ZELLIJ", "NVIM", "VIM_TERMINAL", "INSIDE_EMACS")
#: Terminals that set `TERM` themselves, by its beginning.
_TERMS: Final[dict[str, Protocol]] = {
    "xterm-kitty": "kitty",
    "xterm-ghostty": "kitty",
    "wezterm": "iterm2",
    "foot": "sixel",
    "mlterm": "sixel",
    "contour": "sixel",
}
#: Terminals that call themselves `xterm`, by `TERM_PROGRAM`.
_PROGRAMS: Final[dict[str, Protocol]] = {"iTerm.app": "iterm2", "WezTerm": "iterm2", "mintty": "iterm2"}
#: The longest chunk that kitty accepts.
_CHUNK = 4096
_SIXEL_COLORS = 255


def protocol_of(environment: Mapping[str, str]) -> Protocol | None:
    """Return the image protocol of the terminal in this environment; None if it may have none."""
    match environment.get("CELLWIRE_IMAGES", "").lower():
        case "kitty" | "iterm2" | "sixel" as chosen:
            return chosen
        case "":
            pass
        case _:
            return None
    if any(environment.get(name) for name in _BETWEEN):
        return None
    term = environment.get("TERM", "")
    for beginning, protocol in _TERMS.items():
        if term == beginning or term.startswith(f"{beginning}-"):
            return protocol
    return _PROGRAMS.get(environment.get("TERM_PROGRAM", "")) if term.startswith("xterm") else None


def drawn(item: Item, protocol: Protocol) -> str:
    """Return what to write so that the terminal shows the image of `item`; empty if it has none to show."""
    mimes = ("image/png",) if protocol == "kitty" else ("image/png", "image/jpeg", "image/gif")
    image = next((item.data[mime] for mime in mimes if isinstance(item.data.get(mime), bytes)), None)
    if image is None:
        return ""
    match protocol:
        case "kitty":
            return _kitty(base64.b64encode(image).decode())
        case "iterm2":
            content = base64.b64encode(image).decode()
            return f"\x1b]1337;File=inline=1;size={len(image)}:{content}\x07"
        case "sixel":
            return _sixel(image)


def _kitty(content: str) -> str:
    chunks = [content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK)]
    first = "a=T,f=100,q=2,"
    return "".join(
        f"\x1b_G{'' if number else first}m={int(number + 1 < len(chunks))};{chunk}\x1b\\"
        for number, chunk in enumerate(chunks)
    )


def _sixel(image: bytes) -> str:
    """Return the image in sixels, on white; empty without Pillow, which reads it."""
    try:
        pillow: Any = import_module("PIL.Image")
    except ImportError:
        return ""
    try:
        opened = pillow.open(io.BytesIO(image)).convert("RGBA")
    except (OSError, ValueError):
        return ""
    white = pillow.new("RGBA", opened.size, "white")
    indexed = pillow.alpha_composite(white, opened).convert("RGB").quantize(_SIXEL_COLORS)
    width, height = indexed.size
    palette, pixels = indexed.getpalette(), indexed.tobytes()
    parts = [f'\x1bPq"1;1;{width};{height}']
    for color in range(len(palette) // 3):
        red, green, blue = (round(part * 100 / 255) for part in palette[3 * color : 3 * color + 3])
        parts.append(f"#{color};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        rows = [pixels[y * width : (y + 1) * width] for y in range(top, min(top + 6, height))]
        band = [f"#{color}{_sixel_row(rows, color)}" for color in sorted(set(b"".join(rows)))]
        parts.append("$".join(band) + "-")
    return "".join(parts) + "\x1b\\"


def _sixel_row(rows: list[bytes], color: int) -> str:
    """Return the columns of up to six rows: a character for each, or a count and one for equal ones."""
    # One bit for each row, so that the columns of all rows are one sum.
    columns = [0] * len(rows[0])
    for bit, row in enumerate(rows):
        start = row.find(color)
        while start >= 0:
            columns[start] |= 1 << bit
            start = row.find(color, start + 1)
    parts: list[str] = []
    start = 0
    for end in range(1, len(columns) + 1):
        if end == len(columns) or columns[end] != columns[start]:
            character, count = chr(63 + columns[start]), end - start
            parts.append(f"!{count}{character}" if count > 3 else character * count)
            start = end
    return "".join(parts)
