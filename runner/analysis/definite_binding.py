"""Which names are certainly bound at a point of the code, as a set that branches and joins.

A name is in the set if every path to this point binds it. Paths are those that the statements spell
out: an exception may leave a `try` body anywhere, a loop may run no round, `with` swallows nothing.
Code that cannot be reached has the set of all names, which is neutral where paths join.
"""

from collections.abc import Iterable
from typing import Final


class _Everything(set[str]):
    """What is bound where control never arrives."""

    def __contains__(self, name: object) -> bool:
        return True

    def add(self, element: str) -> None:
        pass

    def discard(self, element: str) -> None:
        pass

    def copy(self) -> "_Everything":
        return self


UNREACHABLE: Final = _Everything()


def join(states: Iterable[set[str]]) -> set[str]:
    """Return what is bound after paths have met, as a set of its own."""
    reached = [state for state in states if state is not UNREACHABLE]
    return reached[0].intersection(*reached[1:]) if reached else UNREACHABLE
