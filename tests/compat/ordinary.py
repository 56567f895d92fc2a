"""Runs the cells of an ordinary notebook in this kernel and in ipykernel: part of `make compat-wire`.

What differs must be in `support.ordinary.DIFFERENT`, which says why, and what is in it must differ.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from cellwire.frontends.jupyter.kernelspecs import install
from support.ordinary import DIFFERENT, cells, differences


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        install(place / "jupyter")
        os.environ["JUPYTER_PATH"] = str(place / "jupyter")
        os.environ["XDG_DATA_HOME"] = str(place / "data")
        os.environ["PYTHONHASHSEED"] = "0"
        sources = cells(libraries=True)
        found = asyncio.run(differences(sources, place))
    unexpected, repaired = found.keys() - DIFFERENT.keys(), DIFFERENT.keys() - found.keys()
    for title in sorted(unexpected):
        sys.stdout.write(f"differs and should not: {title}\n{found[title]}\n")
    for title in sorted(repaired):
        sys.stdout.write(f"is the same and is listed: {title}\n")
    sys.stdout.write(f"{len(sources)} cells, {len(sources) - len(found)} the same in both\n")
    return 1 if unexpected or repaired else 0


if __name__ == "__main__":
    sys.exit(main())
