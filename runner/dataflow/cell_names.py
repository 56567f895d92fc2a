"""What the dataflow needs to know about the names of a cell."""

from collections.abc import Collection, Mapping
from typing import Protocol


class Names(Protocol):
    """What the graph needs to know about a cell; `Analysis` is such a class and explains the attributes."""

    @property
    def defs(self) -> Collection[str]: ...
    @property
    def immediate(self) -> Collection[str]: ...
    @property
    def deferred(self) -> Collection[str]: ...
    @property
    def rereads(self) -> Collection[str]: ...
    @property
    def late_rereads(self) -> Collection[str]: ...
    @property
    def function_reads(self) -> Collection[str]: ...
    @property
    def maybe_defs(self) -> Collection[str]: ...
    @property
    def weak(self) -> Collection[str]: ...
    @property
    def bound_in(self) -> Mapping[str, int]: ...
    @property
    def read_in(self) -> Mapping[str, int]: ...
    @property
    def deleted(self) -> Collection[str]: ...


def made(names: Names) -> set[str]:
    """Return the names that a cell defines or deletes."""
    return {*names.defs, *names.deleted}


def made_otherwise(before: Names, after: Names) -> set[str]:
    """Return the names that only one of the two cells defines, may define, or deletes."""
    ways = ((before.defs, after.defs), (before.maybe_defs, after.maybe_defs), (before.deleted, after.deleted))
    return {name for one, other in ways for name in set(one) ^ set(other)}
