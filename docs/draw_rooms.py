"""Draws docs/rooms.svg: the rooms of the package as boxes, on floors, and their imports as arrows.

`python docs/draw_rooms.py` writes it. The places of the rooms are chosen by hand, below; the arrows and the
numbers are read from the sources. Every arrow points down: a room may be read without those above it.
An arrow to the next room of its column is straight. All others of one target join in one lane beside it.
`protocol`, which all rooms may import, is the ground and has no arrows.
"""

from html import escape
from itertools import pairwise
from pathlib import Path

from rooms import ARROWS, SHARED, crossings, lines, room

PICTURE = Path(__file__).with_name("rooms.svg")

#: Where each room stands: its column, its floor counted from the top, and the question that it answers.
PLACES = {
    "frontends.cli": (0, 0, "what the command shows"),
    "frontends.notebook_files": (0, 2, "which cells a file holds"),
    "protocol.client": (0, 4, "the frontend's end of the wire"),
    "frontends.jupyter": (1, 1.2, "the kernel as Jupyter sees it"),
    "kernel": (1, 3, "sockets, log, the runner's life"),
    "runner.embedding": (2, 0.5, "a notebook inside a cell"),
    "runner.introspection": (2, 3.2, "what is known of a name"),
    "runner.ipython": (2, 1.5, "the language of IPython"),
    "runner.dataflow": (2, 4.5, "which cell depends on which"),
    "runner.analysis": (2, 6, "which names a source uses"),
    "runner.host": (3, 0, "the process and its links"),
    "runner.engine": (3, 1, "a request, step by step"),
    "runner.execution": (3, 2, "how a cell runs and ends"),
    "runner.integrations": (3, 3, "what libraries need"),
    "runner.api": (3, 4, "what a notebook calls"),
    "runner.attribution": (3, 5, "to which cell text belongs"),
    "runner.output": (3, 6, "how an item leaves"),
    "runner.places.dask": (4, 0.2, "cells on a cluster"),
    "runner.places.worker": (4, 1.33, "how a cell runs elsewhere"),
    "runner.places": (4, 3, "where cells can run"),
}
PROTOCOL = "events, messages, the notebook and its reducer, limits, the link: every room may import it"
#: The processes: a title and the columns from the first to the last.
PROCESSES = [("a frontend", 0, 0), ("the kernel", 1, 1), ("the runner", 2, 3), ("runner and workers", 4, 4)]

WIDTH, HEIGHT, FLOOR = 224, 52, 78
#: The left edge of each column.
LEFT = [40, 332, 626, 1016, 1380]
TOP = 84
GROUND = TOP + 7 * FLOOR + 8
#: How far below a room's upper edge arrows reach and leave it at its sides.
ENTRY, EXIT = 17, 37
#: Pixels between two lanes, the radius of a bend, and the gap in front of a box that an arrow's head fills.
LANE, BEND, HEAD = 15, 8, 7
COLOURS = [
    "#3b6fb6",
    "#b5523b",
    "#3d8a5f",
    "#8a5aa8",
    "#b8862a",
    "#2f8792",
    "#b8457b",
    "#5b6b7d",
    "#7a5a3a",
    "#6f8f1f",
    "#33408f",
    "#d0702f",
]

Point = tuple[float, float]


def arrows() -> dict[str, list[str]]:
    """Return the rooms that import each room, those above it in the picture first."""
    found = {(room(file), room(imported)) for file, imported in crossings()}
    targets: dict[str, list[str]] = {name: [] for name in PLACES}
    for source, target in sorted(found, key=lambda pair: (PLACES.get(pair[0], (0, 0, ""))[1], pair)):
        if target not in SHARED and source not in SHARED:
            targets[target].append(source)
    return targets


def corner(name: str) -> tuple[float, float]:
    """Return the left and the upper edge of a room."""
    column, floor, _ = PLACES[name]
    return LEFT[column], TOP + floor * FLOOR


def is_straight(source: str, target: str) -> bool:
    """Whether `target` is the next room below `source` in the same column."""
    column, above, _ = PLACES[source]
    below = PLACES[target][1]
    between = any(place[0] == column and above < place[1] < below for place in PLACES.values())
    return PLACES[target][0] == column and not between


def rounded(points: list[Point]) -> str:
    """Return a path along `points`, horizontal or vertical in turns, with round bends."""
    path = f"M{points[0][0]:g},{points[0][1]:g}"
    for (x0, y0), (x1, y1) in pairwise(points):
        reach = abs(x1 - x0) + abs(y1 - y0)
        toward = (x1 - x0) / reach, (y1 - y0) / reach
        if (x0, y0) != points[0]:
            path += f"Q{x0:g},{y0:g} {x0 + toward[0] * BEND:g},{y0 + toward[1] * BEND:g}"
        end = BEND if (x1, y1) != points[-1] else 0
        path += f"L{x1 - toward[0] * end:g},{y1 - toward[1] * end:g}"
    return path


def arrow(points: list[Point], colour: str, number: int) -> str:
    """Return one arrow along `points`."""
    style = f'fill="none" stroke="{colour}" stroke-width="1.8" marker-end="url(#head{number})"'
    return f'<path d="{rounded(points)}" {style}/>'


def drawn_arrows() -> list[str]:
    """Return all arrows; those that come to one side of a room share a lane."""
    drawn: list[str] = []
    #: The rooms that each side of a column leads to, from the inside out.
    lanes: dict[tuple[int, str], list[str]] = {}
    by_floor = sorted(arrows().items(), key=lambda item: (PLACES[item[0]][1], item[0]))
    colours = {name: index % len(COLOURS) for index, name in enumerate(name for name, _ in by_floor)}
    for target, sources in by_floor:
        column = PLACES[target][0]
        left, top = corner(target)
        number = colours[target]
        for source in sources:
            from_left, from_top = corner(source)
            if is_straight(source, target):
                x = left + WIDTH / 2
                points = [(x, from_top + HEIGHT), (x, top - HEAD)]
            else:
                # What comes from a column on the left reaches the left side, all else the right one.
                side = "left" if PLACES[source][0] < column else "right"
                beside = lanes.setdefault((column, side), [])
                if target not in beside:
                    beside.append(target)
                away = 1 + (beside.index(target) + 1) * LANE
                exit_x = from_left + WIDTH if PLACES[source][0] <= column else from_left
                edge, lane = (left, left - away) if side == "left" else (left + WIDTH, left + WIDTH + away)
                head = edge - HEAD if side == "left" else edge + HEAD
                leave, reach = from_top + EXIT, top + ENTRY
                points = [(exit_x, leave), (lane, leave), (lane, reach), (head, reach)]
            drawn.append(arrow(points, COLOURS[number], number))
    return drawn


def box(name: str, count: int) -> str:
    """Return a room with its name, its size and its question."""
    left, top = corner(name)
    title = name.rpartition(".")[2].replace("client", "protocol/client")
    return (
        f'<rect x="{left}" y="{top:g}" width="{WIDTH}" height="{HEIGHT}" rx="7" class="box"/>'
        f'<text x="{left + 12}" y="{top + 22:g}" class="room">{title}</text>'
        f'<text x="{left + WIDTH - 12}" y="{top + 22:g}" class="size">{size(count)}</text>'
        f'<text x="{left + 12}" y="{top + 40:g}" class="says">{escape(PLACES[name][2])}</text>'
    )


def size(count: int) -> str:
    return f"{round(count, -1):,} lines"


def picture() -> str:
    """Return the picture as SVG."""
    counted = lines()
    right = LEFT[-1] + WIDTH + 40
    bottom = GROUND + 64
    heads = "".join(
        f'<marker id="head{number}" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0L8,4L0,8z" fill="{colour}"/></marker>'
        for number, colour in enumerate(COLOURS)
    )
    style = (
        "text{font-family:Helvetica,Arial,'DejaVu Sans',sans-serif;fill:#1f2933}"
        ".room{font-size:15px;font-weight:bold}.says{font-size:12.5px;fill:#52606d}"
        ".size{font-size:11.5px;fill:#7b8794;text-anchor:end}"
        ".box{fill:#fff;stroke:#8793a1}.process{font-size:14px;letter-spacing:.06em;fill:#52606d}"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + 20} {bottom + 20}" role="img">',
        "<title>The rooms of cellwire and their imports</title>",
        f"<style>{style}</style><defs>{heads}</defs>",
        f'<rect width="{right + 20}" height="{bottom + 20}" rx="10" fill="#f5f7fa"/>',
    ]
    for title, first, last in PROCESSES:
        start = LEFT[first] - 20
        width = (
            LEFT[last + 1] - 42 if last == 3 else right if last == 4 else LEFT[last] + WIDTH + 28
        ) - start
        parts.append(
            f'<rect x="{start}" y="20" width="{width}" height="{GROUND - 34}" rx="9" fill="#e9eef3"/>'
            f'<text x="{start + 20}" y="50" class="process">{title}</text>'
        )
    parts += drawn_arrows()
    parts += [box(name, counted[name]) for name in PLACES]
    parts.append(
        f'<rect x="20" y="{GROUND}" width="{right - 20}" height="64" rx="9" fill="#dfe6ec" stroke="#8793a1"/>'
        f'<text x="40" y="{GROUND + 27}" class="room">protocol</text>'
        f'<text x="{right - 20}" y="{GROUND + 27}" class="size">{size(counted["protocol"])}</text>'
        f'<text x="40" y="{GROUND + 47}" class="says">{PROTOCOL}</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    assert PLACES.keys() == ARROWS.keys() - SHARED, "give each room of ARROWS a place in PLACES"
    PICTURE.write_text(picture())
