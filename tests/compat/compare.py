"""Runs notebooks in cellwire and in ipykernel and prints where they differ: `make compat NOTEBOOKS=folder`.

Each notebook is run by both in a copy of its folder. A cell is compared with itself: whether it fails, and
what it shows. What comes from time, addresses, random names or colours is counted by that cause.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.two_kernels import Ran, compare, run_in_cellwire, run_in_ipykernel

Run = Callable[[list[str], Path, float], list[Ran]]
#: Causes that do not count as a difference.
HARMLESS = {
    "same",
    "address",
    "time",
    "control",
    "file name",
    "identifier",
    "process",
    "folder",
    "white space",
    "order of streams",
}
LARGEST_FOLDER = 64 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder of .ipynb files, or one file")
    parser.add_argument("--seconds", type=float, default=60, help="time limit of one notebook")
    parser.add_argument("--most", type=int, default=0, help="how many notebooks, evenly spread; 0 for all")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    paths = [options.folder] if options.folder.is_file() else sorted(options.folder.rglob("*.ipynb"))
    if options.most and len(paths) > options.most:
        paths = [paths[index * len(paths) // options.most] for index in range(options.most)]
    total: Counter[str] = Counter()
    whole = 0
    for path in paths:
        sources = _sources(path)
        if not sources:
            continue
        causes: Counter[str] = Counter()
        details: list[str] = []
        try:
            here = _in_copy(path, run_in_cellwire, sources, options.seconds)
        except Exception as error:
            sys.stdout.write(f"{path}: cellwire: {type(error).__name__}: {error}\n")
            total["not run"] += 1
            continue
        there = _in_copy(path, run_in_ipykernel, sources, options.seconds)
        failed = False
        for index, (mine, its) in enumerate(zip(here, there, strict=True)):
            cause, detail = compare(mine, its)
            failed = failed or (mine.status == "error" and its.status == "error")
            if cause == "cancelled" and failed:
                cause = "below a failure"  # of both
            causes[cause] += 1
            if cause not in HARMLESS:
                first = sources[index].strip().split("\n", 1)[0][:70]
                details.append(f"  [{index}] {cause}: {first}\n  {detail}")
        total += causes
        good = not causes["fails only here"] and not causes["cancelled"] and not causes["values"]
        whole += good
        sys.stdout.write(f"{'ok ' if good else 'BAD'} {path}: {_table(causes)}\n")
        sys.stdout.write("".join(f"{detail}\n" for detail in details))
        sys.stdout.flush()
    sys.stdout.write(
        f"\n{whole} of {len(paths)} notebooks without a difference that counts\ncells: {_table(total)}\n"
    )
    return 0 if whole == len(paths) else 1


def _table(causes: Counter[str]) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in causes.most_common())


def _sources(path: Path) -> list[str]:
    try:
        document = json.loads(path.read_text())
        cells = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
        if document.get("metadata", {}).get("kernelspec", {}).get("language", "python") != "python":
            return []
        found = [cell.get("source", cell.get("input", "")) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, IndexError):
        return []
    texts = [text if isinstance(text, str) else "".join(text) for text in found]
    return [text for text in texts if text.strip()]


def _in_copy(path: Path, run: Run, sources: list[str], seconds: float) -> list[Ran]:
    """Run cells in a copy of the folder of `path`, or in the folder itself if it is large."""
    folder = path.absolute().parent
    size = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())
    with tempfile.TemporaryDirectory() as copy:
        if size > LARGEST_FOLDER:
            return run(sources, folder, seconds)
        shutil.copytree(folder, f"{copy}/notebook", symlinks=True, ignore_dangling_symlinks=True)
        return run(sources, Path(f"{copy}/notebook"), seconds)


if __name__ == "__main__":
    sys.exit(main())
