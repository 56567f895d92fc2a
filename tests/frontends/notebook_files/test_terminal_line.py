"""What a terminal leaves of a line that overwrites itself."""

import pytest
from cellwire.frontends.notebook_files.terminal_line import TerminalLine, as_shown
from hypothesis import given
from hypothesis import strategies as st

RED, GREEN, RESET = "\x1b[31m", "\x1b[32m", "\x1b[0m"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        ("abc\r", "abc"),
        ("abc\r\r", "abc"),
        ("abc\rX", "Xbc"),
        ("step 10\rstep 9", "step 90"),
        ("abc\b\bX", "aXc"),
        ("abc\b\b", "abc"),
        ("\b\bX", "X"),
        ("a\r\bX", "X"),
        ("|\b/\b-", "-"),
        ("abc\r\x1b[Kx", "x"),
        ("abcd\b\b\x1b[Kx", "abx"),
        ("abc\b\x1b[1KX", "  X"),
        ("abc\r\x1b[2Kx", "x"),
        ("abc\r\x1b[2CX", "abX"),
        ("abc\x1b[2DX\r", "abc\x1b[2DX"),
        ("abc\r\x1b[5GX", "abc X"),
        ("abc\r\x1b[A\x1b[?25lX", "Xbc"),
        ("abc\r\x1b]8;;http://x\x07X\x1b]8;;\x07", "Xbc"),
        ("abc\r\x1b[999999999CX", "abc" + " " * 9997 + "X"),
    ],
)
def test_what_is_overwritten_and_erased_is_gone(line: str, shown: str) -> None:
    assert as_shown(line) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"{RED}text{RESET} and \x1b[5Amore", f"{RED}text{RESET} and \x1b[5Amore"),
        (f"abc\r{RED}X{RESET}", f"{RED}X{RESET}bc"),
        (f"plain\r{RED}red{RESET}\r!", f"{RESET}!{RED.replace('[', '[0;')}ed{RESET}in"),
        (f"{RED}abc\r{GREEN}X", f"{GREEN}X\x1b[0;31mbc\x1b[0;32m"),
        ("ab\r\x1b[1;38;5;200;4mX", "\x1b[1;38;5;200;4mX\x1b[0mb\x1b[0;1;38;5;200;4m"),
        ("ab\r\x1b[38;2;1;2;3m\x1b[mX", "\x1b[0mXb"),
    ],
    ids=["untouched", "over", "under", "two-colors", "extended", "reset"],
)
def test_each_character_keeps_its_color_and_no_sequence_is_torn(line: str, shown: str) -> None:
    assert as_shown(line) == shown


@given(st.lists(st.sampled_from(["\r", "\b", "\x1b", "[", "3", "1", ";", "m", "K", "]", "\x07", "a", "é"])))
def test_the_pieces_in_which_a_line_comes_make_no_difference(pieces: list[str]) -> None:
    piecewise, whole = TerminalLine(), TerminalLine()
    for piece in pieces:
        piecewise.write(piece)
    whole.write("".join(pieces))
    assert piecewise.text == whole.text


def test_a_line_that_changes_its_color_forever_stays_small() -> None:
    line = TerminalLine()
    for n in range(2_000):
        line.write(f"\r\x1b[38;2;{n % 256};{n // 256};0m\x1b[1m{n}")
    assert len(line.text) < 60
