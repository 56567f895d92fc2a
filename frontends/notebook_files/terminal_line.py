"""A line of console text as a terminal shows it after carriage returns, backspaces and erasures.

Text without these is kept exactly as it was written. Otherwise each character keeps the colors that were set
when it was written, so overwriting part of a line never cuts an escape sequence in two, and sequences that
leave the line or do not concern it are dropped. Wide characters count as one.
"""

import re
from itertools import groupby

#: The codes of a `CSI … m` sequence that are in force; "0" comes first if there was a reset.
Style = tuple[str, ...]

# Not compiled here: `re` does so when the first line needs it, and most notebooks have none.
_CONTROL = (
    r"(?P<move>[\r\b])"
    r"|\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"  # CSI: colors, erasing, the cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: links and titles
    r"|\x1b[^\[\]\x1b\r\b]?"
)
#: The beginning of a sequence whose rest comes with a later write.
_UNFINISHED = r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?)?\Z"
#: How many codes an extended color has, by the code after 38, 48 or 58.
_COLOR_CODES = {"5": 3, "2": 5}


class TerminalLine:
    """A line that is being written."""

    def __init__(self) -> None:
        #: What was written; the other attributes are used once something is overwritten.
        self._written: list[str] | None = []
        self._characters: list[str] = []
        self._styles: list[Style] = []
        self._position = 0
        self._style: dict[str, str] = {}
        self._unfinished = ""

    def write(self, text: str) -> None:
        """Add `text`, which has no line end."""
        if self._written is not None:
            self._written.append(text)
            if "\r" not in text and "\b" not in text:
                return
            text, self._written = "".join(self._written), None
        self._apply(self._unfinished + text)

    @property
    def text(self) -> str:
        """What the terminal shows, with colors as escape sequences."""
        if self._written is not None:
            return "".join(self._written)
        parts: list[str] = []
        shown: Style = ()
        position = 0
        for style, group in groupby(self._styles):
            end = position + len(list(group))
            shown = _change_style(shown, style, parts)
            parts.append("".join(self._characters[position:end]))
            position = end
        _change_style(shown, tuple(self._style.values()), parts)
        return "".join(parts)

    def _apply(self, text: str) -> None:
        match = re.search(_UNFINISHED, text)
        self._unfinished = match[0] if match else ""
        text = text[: match.start()] if match else text
        start = 0
        for control in re.finditer(_CONTROL, text):
            self._put(text[start : control.start()])
            start = control.end()
            if control["move"] == "\r":
                self._position = 0
            elif control["move"]:
                self._position = max(0, self._position - 1)
            elif control["final"] == "m":
                self._set_style(control["parameters"].split(";"))
            elif control["final"]:
                self._erase_or_move(control["final"], control["parameters"])
        self._put(text[start:])

    def _put(self, text: str) -> None:
        """Write at the cursor, over what is there."""
        if not text:
            return
        gap = self._position - len(self._characters)
        self._characters += " " * gap
        self._styles += [()] * gap
        end = self._position + len(text)
        self._characters[self._position : end] = text
        self._styles[self._position : end] = [tuple(self._style.values())] * len(text)
        self._position = end

    def _erase_or_move(self, final: str, parameters: str) -> None:
        number = int(parameters) if parameters.isdecimal() else 0
        match final:
            case "K" | "J" if number == 0:
                del self._characters[self._position :], self._styles[self._position :]
            case "K" if number == 1:
                erased = min(self._position + 1, len(self._characters))
                self._characters[:erased] = " " * erased
                self._styles[:erased] = [()] * erased
            case "K" | "J" if number == 2:
                self._characters, self._styles = [], []
            case "C":
                self._position = min(self._position + max(number, 1), _RIGHTMOST)
            case "D":
                self._position = max(0, self._position - max(number, 1))
            case "G":
                self._position = min(max(number, 1), _RIGHTMOST) - 1
            case _:
                pass

    def _set_style(self, codes: list[str]) -> None:
        """Apply the codes of a `CSI … m` sequence."""
        while codes:
            number = codes[0].partition(":")[0].lstrip("0") or "0"
            extended = number in ("38", "48", "58") and codes[0] == number
            count = _COLOR_CODES.get(codes[1], 1) if extended and len(codes) > 1 else 1
            code, codes = ";".join(codes[:count]) or "0", codes[count:]
            kind = _kind(number)
            if kind == "0":
                self._style.clear()
            # The latest comes last, and one of each kind is enough, so the text stays bounded.
            self._style.pop(kind, None)
            self._style[kind] = code


#: The last column: sequences cannot move the cursor beyond it.
_RIGHTMOST = 10_000


def _kind(number: str) -> str:
    """Return what a code sets: a color, or itself."""
    if re.fullmatch(r"[39]\d", number):
        return "foreground"
    if re.fullmatch(r"4\d|10[0-7]", number):
        return "background"
    return number


def _change_style(before: Style, after: Style, parts: list[str]) -> Style:
    """Add the sequence that leads from one style to another; return the style then shown."""
    if after == before or (not after and before == ("0",)):
        return before
    if before and after[:1] != ("0",):
        after = ("0", *after)
    parts.append(f"\x1b[{';'.join(after)}m")
    return after


def as_shown(line: str) -> str:
    """Return a complete line as a terminal shows it."""
    line = line.rstrip("\r")
    if "\r" not in line and "\b" not in line:
        return line
    terminal_line = TerminalLine()
    terminal_line.write(line)
    return terminal_line.text
