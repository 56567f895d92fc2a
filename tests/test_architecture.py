"""docs/architecture.md: its picture is the one that the sources give, and the files it names exist."""

import re
from itertools import pairwise

from draw_rooms import PICTURE, PLACES, picture
from rooms import ARROWS, ROOT, SHARED

DOCUMENT = (ROOT / "docs" / "architecture.md").read_text()
_SIZE = re.compile(r">([\d,]+) lines<")


def test_every_room_of_the_table_of_arrows_has_a_place_in_the_picture() -> None:
    assert PLACES.keys() == ARROWS.keys() - SHARED


def test_the_picture_shows_the_rooms_and_imports_of_the_sources() -> None:
    """Sizes may be a fifth and fifty lines off, so that not every change of a file needs a new picture."""
    stored, drawn = PICTURE.read_text(), picture()
    renew = "docs/rooms.svg is out of date: `make picture` renews it"
    assert _SIZE.sub("", stored) == _SIZE.sub("", drawn), renew
    for old, new in zip(_SIZE.findall(stored), _SIZE.findall(drawn), strict=True):
        before, now = (int(size.replace(",", "")) for size in (old, new))
        assert abs(now - before) <= 50 + before / 5, renew


def test_all_arrows_of_the_picture_point_down() -> None:
    for lines in re.findall(r'<path d="(M[^"]*)" fill="none"', PICTURE.read_text()):
        points = re.findall(r"[\d.]+,([\d.]+)", lines)
        assert float(points[0]) < float(points[-1])


def test_no_arrow_of_the_picture_runs_behind_a_room() -> None:
    stored = PICTURE.read_text()
    rooms = [
        tuple(map(float, found))
        for found in re.findall(r'<rect x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)" rx="7"', stored)
    ]
    assert len(rooms) == len(PLACES)
    for path in re.findall(r'<path d="(M[^"]*)" fill="none"', stored):
        points = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", path)]
        for (x0, y0), (x1, y1) in pairwise(points):
            hidden = [
                (left, top)
                for left, top, width, height in rooms
                if left < max(x0, x1) and min(x0, x1) < left + width
                if top < max(y0, y1) and min(y0, y1) < top + height
            ]
            assert hidden == [], path


def test_the_hops_of_a_run_are_numbered_in_order() -> None:
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", DOCUMENT, re.M)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 15
