"""Images on terminals: which terminals are taken for able, and what they are sent."""

import base64
import io
import re

import pytest
from cellwire.frontends.cli.images import drawn, protocol_of
from cellwire.frontends.cli.lines import item_text
from cellwire.protocol.notebook import Item
from PIL import Image


def png(width: int, height: int, color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "foot-extra"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, None),
        # What stands between, and what a variable of another terminal is left over in.
        ({"TERM": "tmux-256color", "TMUX": "1", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM": "screen", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM": "xterm-kitty", "NVIM": "/run/nvim"}, None),
        ({"TERM": "dumb", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "linux", "TERM_PROGRAM": "iTerm.app"}, None),
        ({}, None),
        ({"TERM": "xterm-256color", "TMUX": "1", "CELLWIRE_IMAGES": "sixel"}, "sixel"),
        ({"TERM": "xterm-kitty", "CELLWIRE_IMAGES": "none"}, None),
    ],
)
def test_only_terminals_that_are_known_to_show_images_get_them(
    environment: dict[str, str], protocol: str | None
) -> None:
    assert protocol_of(environment) == protocol


def test_kitty_gets_the_image_in_pieces() -> None:
    content = png(300, 300) + bytes(10_000)
    text = drawn(Item(0, {"image/png": content}), "kitty")
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in pieces) == text
    assert base64.b64decode("".join(data for _, data in pieces)) == content
    assert [keys for keys, _ in pieces] == ["a=T,f=100,q=2,m=1", *["m=1"] * (len(pieces) - 2), "m=0"]
    assert all(len(data) <= 4096 for _, data in pieces)


def test_iterm2_gets_the_image_as_a_file() -> None:
    content = png(2, 2)
    text = drawn(Item(0, {"image/png": content}), "iterm2")
    assert text == f"\x1b]1337;File=inline=1;size={len(content)}:{base64.b64encode(content).decode()}\x07"


def sixel_pixels(text: str) -> list[list[int]]:
    """Return the color of each pixel: what a terminal makes of the sixels."""
    header = re.match(r'\x1bPq"1;1;(\d+);(\d+)((?:#\d+;2;\d+;\d+;\d+)*)', text)
    assert header
    assert text.endswith("\x1b\\")
    width, height = int(header[1]), int(header[2])
    pixels = [[-1] * width for _ in range(height)]
    x = top = color = 0
    for token in re.finditer(r"#(\d+)|!(\d+)([?-~])|([?-~])|([$-])", text[header.end() : -2]):
        number, count, repeated, single, move = token.groups()
        if number:
            color = int(number)
        elif move:
            x, top = 0, top + 6 * (move == "-")
        else:
            end = x + int(count or 1)
            for bit in range(6):
                if (ord(repeated or single) - 63) >> bit & 1:
                    pixels[top + bit][x:end] = [color] * (end - x)
            x = end
    return pixels


def test_sixels_have_every_pixel_of_the_image() -> None:
    picture = Image.new("RGB", (9, 14), "white")
    picture.paste("blue", (1, 2, 8, 9))
    picture.putpixel((0, 13), (255, 0, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    pixels = sixel_pixels(drawn(Item(0, {"image/png": buffer.getvalue()}), "sixel"))
    assert {pixels[13][0]}.isdisjoint(color for row in pixels[:13] for color in row)
    blue, white = pixels[4][4], pixels[0][0]
    assert all(
        color == (blue if 1 <= x < 8 and 2 <= y < 9 else white)
        for y, row in enumerate(pixels[:13])
        for x, color in enumerate(row)
    )


def test_what_is_no_image_or_broken_is_not_drawn() -> None:
    assert drawn(Item(0, {"text/plain": "1"}), "kitty") == ""
    assert drawn(Item(0, {"image/jpeg": b"..."}), "kitty") == ""
    assert drawn(Item(0, {"image/png": b"broken"}), "sixel") == ""
    assert drawn(Item(0, {"image/svg+xml": "<svg/>"}), "iterm2") == ""


def test_an_image_that_is_not_drawn_says_where_it_is_saved() -> None:
    item = Item(0, {"text/plain": "<Figure>", "image/png": bytes(1234)})
    assert item_text(item) == "<Figure>\n(image/png, 1,234 bytes)"
    assert item_text(item, "out/") == "<Figure>\n(image/png, 1,234 bytes, saved in out/)"
