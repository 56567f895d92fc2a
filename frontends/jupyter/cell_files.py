"""The files by which Jupyter's debuggers name cells: a directory, and a hash of the source.

A client computes the path of a cell itself, by the rules in the reply to `debugInfo`. The cell's code object
has another file name, and the debug adapter is told which path stands for which. At the end the kernel
removes what it made, and nothing else; a kernel that is killed leaves it.
"""

import os

from ...kernel.endpoint import places
from ...kernel.made_files import MadeFiles, why_unsafe

_SEED = 0xC70F6907
_SUFFIX = ".py"
_MASK = 0xFFFFFFFF
_FACTOR = 0x5BD1E995


class CellFiles:
    """The files of one kernel process."""

    def __init__(self) -> None:
        self._place = next((place for place in places() if not why_unsafe(place)), "/tmp")
        self._name = f"cellwire-cells-{os.urandom(6).hex()}"
        self._directory = os.path.join(self._place, self._name)
        self._made = MadeFiles()
        # The descriptor of the directory once it is made, and the names of the files in it.
        self._fd: int | None = None
        self._names: set[str] = set()

    @property
    def described(self) -> dict[str, object]:
        """What a client needs to compute a path."""
        return {
            "hashMethod": "Murmur2",
            "hashSeed": _SEED,
            "tmpFilePrefix": self._directory + os.sep,
            "tmpFileSuffix": _SUFFIX,
        }

    def path(self, source: str) -> str:
        """Return the path of a cell with this source."""
        return os.path.join(self._directory, f"{murmur2(source.encode(), _SEED)}{_SUFFIX}")

    def is_one(self, path: str) -> bool:
        """Return whether `path` is that of a cell."""
        return os.path.dirname(path) == self._directory

    def write(self, source: str) -> str:
        """Write the file of a cell and return its path.

        Raises: OSError if that is not possible.
        """
        try:
            return self._write(source)
        except FileNotFoundError:
            # The system removes what is old.
            self.remove()
            return self._write(source)

    def _write(self, source: str) -> str:
        if self._fd is None:
            if reason := why_unsafe(self._place):
                raise PermissionError(f"no place for the sources of cells: {reason}")
            self._fd = self._made.make_directory(self._made.open(self._place), self._name)
        path = self.path(source)
        name = os.path.basename(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o600, dir_fd=self._fd), "w", encoding="utf-8") as file:
            file.write(source)
        if name not in self._names:
            self._made.add(self._fd, name)
            self._names.add(name)
        return path

    def remove(self) -> None:
        """Remove what was written, unless it was replaced."""
        self._made.remove()
        self._fd = None
        self._names.clear()


def murmur2(data: bytes, seed: int) -> int:
    """Return the 32-bit MurmurHash2 of `data`."""
    hashed = seed ^ len(data)
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _FACTOR & _MASK
        word = (word ^ word >> 24) * _FACTOR & _MASK
        hashed = hashed * _FACTOR & _MASK ^ word
    if rest := data[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _FACTOR & _MASK
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _MASK
    return hashed ^ hashed >> 15
