"""The files by which Jupyter's debuggers name cells: a directory, and a hash of the source.

A client computes the path of a cell itself, by the rules in the reply to `debugInfo`. The cell's code object
has another file name, and the debug adapter is told which path stands for which.
"""

import os

_SEED = 0xC70F6907
_SUFFIX = ".py"
_MASK = 0xFFFFFFFF
_FACTOR = 0x5BD1E995


class CellFiles:
    """The files of one kernel process."""

    def __init__(self) -> None:
        name = f"cellwire-cells-{os.urandom(6).hex()}"
        self._directory = os.path.join(os.environ.get("TMPDIR") or "/tmp", name)

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
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        path = self.path(source)
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        return path

    def remove(self) -> None:
        """Remove all files."""
        import shutil

        shutil.rmtree(self._directory, ignore_errors=True)


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
