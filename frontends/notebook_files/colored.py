"""Text with escape sequences as HTML: colors and fonts become styles, other sequences are left out."""

import html
import re

_SEQUENCE = re.compile(
    r"\x1b\[(?P<codes>[\d;:]*)m|\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)"
)
_COLORS = ("#3e424d", "#c62828", "#2e7d32", "#a06000", "#1565c0", "#8e24aa", "#00838f", "#8a8f98")
_FONTS = {
    "1": "font-weight:bold",
    "2": "opacity:.7",
    "3": "font-style:italic",
    "4": "text-decoration:underline",
}
#: The styles that a code switches off.
_ENDS = {"22": ("1", "2"), "23": ("3",), "24": ("4",), "39": ("color",), "49": ("background",)}


def colored(text: str) -> str:
    """Return `text` as HTML."""
    parts: list[str] = []
    style: dict[str, str] = {}
    start = 0
    for match in [*_SEQUENCE.finditer(text), None]:
        piece = html.escape(text[start : match.start() if match else len(text)])
        if piece:
            css = ";".join(style.values())
            parts.append(f'<span style="{css}">{piece}</span>' if css else piece)
        if match is not None:
            start = match.end()
            if match["codes"] is not None:
                _apply(style, match["codes"].replace(":", ";").split(";"))
    return "".join(parts)


def _apply(style: dict[str, str], codes: list[str]) -> None:
    """Change the current style by the codes of one sequence."""
    while codes:
        code = codes.pop(0).lstrip("0")
        what = (
            "background" if code in ("48", *map(str, range(40, 48)), *map(str, range(100, 108))) else "color"
        )
        if not code:
            style.clear()
        elif code in _FONTS:
            style[code] = _FONTS[code]
        elif code in _ENDS:
            for key in _ENDS[code]:
                style.pop(key, None)
        elif code in ("38", "48"):
            count = {"5": 2, "2": 4}.get(codes[0] if codes else "", 1)
            style[what] = f"{what}:{_extended([int(c) if c.isdecimal() else 0 for c in codes[:count]])}"
            del codes[:count]
        elif re.fullmatch(r"([349]|10)[0-7]", code):
            shade = "40" if what == "background" else ""
            style[what] = f"{what}:{_COLORS[int(code[-1])]}{shade}"


def _extended(numbers: list[int]) -> str:
    """Return the color that the numbers after 38 or 48 name: one of 256, or any."""
    match numbers:
        case [2, red, green, blue]:
            return f"rgb({red},{green},{blue})"
        case [5, number] if number < 16:
            return _COLORS[number % 8]
        case [5, number] if number < 232:
            red, green, blue = ((number - 16) // part % 6 for part in (36, 6, 1))
            return "rgb({},{},{})".format(
                *((0, 95, 135, 175, 215, 255)[level] for level in (red, green, blue))
            )
        case [5, number]:
            gray = 8 + 10 * (number - 232)
            return f"rgb({gray},{gray},{gray})"
        case _:
            return "inherit"
