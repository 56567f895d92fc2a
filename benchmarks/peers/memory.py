"""Resident memory of a process and all that it has started, without psutil."""

import subprocess
import sys
from pathlib import Path


def memory_of(pid: int) -> dict[str, int]:
    """Return `rss` and, on Linux, `pss` in bytes, and the number of `processes`.

    Resident pages that several processes share count for each in `rss` and in proportion in `pss`.
    """
    pids = family(pid)
    if not sys.platform.startswith("linux"):
        return {"rss": sum(resident(one) for one in pids), "processes": len(pids)}
    figures = {"rss": 0, "pss": 0, "processes": len(pids)}
    for one in pids:
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]:
            key, value = line.split()[:2]
            if key in ("Rss:", "Pss:"):
                figures[key[:-1].lower()] += int(value) * 1024
    return figures


def family(pid: int) -> list[int]:
    """Return `pid` and its descendants."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    children: dict[int, list[int]] = {}
    for line in listing.stdout.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def resident(pid: int) -> int:
    """Return the resident bytes of one process."""
    listing = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(listing.stdout) * 1024
