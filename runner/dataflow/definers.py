"""Which cells' sources define each name, and since when; also the sources of cells that cannot run."""

from collections.abc import Collection


class Definers:
    """The cells that define each name, by the number of the change since which they do."""

    def __init__(self) -> None:
        #: Grows with each change of the program.
        self.changes = 0
        self._since: dict[str, dict[str, int]] = {}
        self._last: dict[str, str] = {}

    def all(self, name: str) -> list[str]:
        """Return the cells that define `name`, oldest first."""
        since = self._since.get(name, {})
        return sorted(since, key=since.__getitem__)

    def last(self, name: str) -> str | None:
        """Return the last cell that defined `name`, if none does so any more; None if none ever did."""
        return self._last.get(name)

    def replace(self, cell: str, before: Collection[str], after: Collection[str]) -> None:
        """Note that `cell` defines `after` instead of the names `before`; names in both keep their age."""
        for name in before:
            if name not in after:
                since = self._since[name]
                del since[cell]
                if not since:
                    del self._since[name]
                    self._last[name] = cell
        for name in after:
            self._since.setdefault(name, {}).setdefault(cell, self.changes)
            self._last.pop(name, None)

    def rivals(self, cell: str, name: str) -> list[str]:
        """Return the cells that defined `name` before `cell`, which defines it, or at the same time."""
        since = self._since[name]
        return [other for other, when in since.items() if other != cell and when <= since[cell]]
