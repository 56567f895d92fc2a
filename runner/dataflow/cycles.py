"""Cycles in a graph of cells, searched from the cells that have changed.

Pure functions of a `children` function. They visit only what can be reached from the start.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set


def cycles_near(start: Iterable[str], children: Callable[[str], Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one cell that can be reached from `start`.

    Tarjan's algorithm, with a stack of its own instead of recursion: chains of cells are long.
    """
    found: list[list[str]] = []
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    for root in start:
        if root in index:
            continue
        walk: list[tuple[str, Iterator[str]]] = []
        enter: str | None = root
        while True:
            if enter is not None:
                index[enter] = lowest[enter] = len(index)
                path.append(enter)
                on_path.add(enter)
                walk.append((enter, iter(children(enter))))
                enter = None
            cell, rest = walk[-1]
            for child in rest:
                if child not in index:
                    enter = child
                    break
                if child in on_path:
                    lowest[cell] = min(lowest[cell], index[child])
            if enter is not None:
                continue
            walk.pop()
            if lowest[cell] == index[cell]:
                cut = len(path) - 1
                while path[cut] != cell:
                    cut -= 1
                component = path[cut:]
                del path[cut:]
                on_path.difference_update(component)
                if len(component) > 1:
                    found.append(component)
            if not walk:
                break
            parent = walk[-1][0]
            lowest[parent] = min(lowest[parent], lowest[cell])
    return found


def cycle_through(cell: str, members: Set[str], children: Callable[[str], Iterable[str]]) -> list[str]:
    """Return a shortest cycle through `cell` among `members`, a component that it is part of."""
    came_from: dict[str, str] = {}
    todo = deque([cell])
    while todo:
        here = todo.popleft()
        for child in sorted(children(here)):
            if child == cell:
                path = [here]
                while path[-1] != cell:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if child in members and child not in came_from:
                came_from[child] = here
                todo.append(child)
    return [cell]
