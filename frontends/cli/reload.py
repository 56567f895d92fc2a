"""A notebook file that is read again: when it has changed, and which of its cells are the same as before.

The file is checked by its path, so it may be replaced. It is read when it has not changed for a moment, so
that half a file is not run. A cell is the same as before if it has the same id, from a title or an `.ipynb`,
or else the same source, wherever it stands. The others are matched as edited cells between the same
neighbours. So the kernel keeps unchanged cells even where ids are mere numbers and shift.
"""

import os
import re
from collections import defaultdict, deque

import anyio
from msgspec.structs import replace

from ..notebook_files.load import NotebookFile

#: Seconds between two checks of the file, and for which it must not change before it is read.
LOOK_SECONDS = 0.015
#: The same for a file that is empty or gone, which happens for a moment while some editors save.
EMPTY_SECONDS = 0.5

_Signature = tuple[int, int, int]


class WatchedFile:
    """The file at a path."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = self._signature()

    async def changed(self) -> None:
        """Return when the file differs from what was read last, and has stopped changing."""
        while (now := self._signature()) == self._seen:
            await anyio.sleep(LOOK_SECONDS)
        since = anyio.current_time()
        while True:
            await anyio.sleep(LOOK_SECONDS)
            before, now = now, self._signature()
            if now != before:
                since = anyio.current_time()
            elif (now is not None and now[2]) or anyio.current_time() - since > EMPTY_SECONDS:
                self._seen = now
                return

    def _signature(self) -> _Signature | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def same_cells(before: NotebookFile, now: NotebookFile) -> NotebookFile:
    """Return `now`, with the ids of `before` for cells that are the same or were edited."""
    ids = _matched([(cell.id, cell.source) for cell in before.cells], [(c.id, c.source) for c in now.cells])
    taken = set(ids.values())
    for part in now.parts:
        id = ids.get(part.id)
        if id is None:
            id = ids[part.id] = _free(part.id, taken)
            taken.add(id)
    return replace(
        now,
        cells=[replace(cell, id=ids[cell.id]) for cell in now.cells],
        parts=[replace(part, id=ids[part.id]) for part in now.parts],
        titles={ids[id]: title for id, title in now.titles.items()},
        disabled=[ids[id] for id in now.disabled],
        first_lines={ids[id]: line for id, line in now.first_lines.items()},
    )


def without_outputs(notebook: NotebookFile) -> NotebookFile:
    """Return the notebook without the outputs that an earlier run left in its file."""
    return replace(
        notebook, parts=[replace(part, outputs=[], execution_count=None) for part in notebook.parts]
    )


def _matched(before: list[tuple[str, str]], now: list[tuple[str, str]]) -> dict[str, str]:
    """Return the old id of each cell that existed before, by its new one."""
    found: dict[str, str] = {}
    left = dict(before)
    for id, _ in now:
        if id in left and not _counts(id):
            found[id] = id
            del left[id]
    by_source: defaultdict[str, deque[str]] = defaultdict(deque)
    for id, source in left.items():
        by_source[source].append(id)
    for id, source in now:
        if id not in found and by_source[source]:
            found[id] = by_source[source].popleft()
            del left[found[id]]
    following = dict(zip(["", *(id for id, _ in before)], [id for id, _ in before], strict=False))
    place = ""
    for id, _ in now:
        if id not in found and following.get(place) in left:
            found[id] = following[place]
            del left[found[id]]
        place = found.get(id, place)
    return found


def _free(id: str, taken: set[str]) -> str:
    """Return `id`, or a similar one if it is taken."""
    stem, number = ("cell", 1) if _counts(id) else (id, 1)
    while id in taken:
        number += 1
        id = f"{stem}-{number}"
    return id


def _counts(id: str) -> bool:
    """Whether the id only says where the cell stands."""
    return re.fullmatch(r"cell-\d+", id) is not None
