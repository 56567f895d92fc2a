"""Measure cellwire beside its peers: `python benchmarks/run.py [--json] [--rounds N] [--only NAME] [--long]`.

All are asked the same questions in turns, round after round, each with a kernel of its own for every
question; the table shows the median of the rounds and how far they are apart. Who is measured is in
`environments.py`, what is measured in `workloads.py`, how in `peers/measuring.py`.
"""

import argparse
import json
import os
import platform
import sys
import time
from contextlib import ExitStack

from driving import Driver
from environments import PEERS, Missing, python_of
from report import Outcome, as_json, table
from workloads import WORKLOADS, Workload


def say(text: str) -> None:
    """Tell the user how far it is."""
    print(text, file=sys.stderr, flush=True)


def measure(
    workload: Workload, pythons: dict[str, str], rounds: int, limit: float, versions: dict[str, str]
) -> Outcome:
    """Ask every peer in turns and return the answers; add to `versions` what was measured."""
    outcome = Outcome(workload)
    questions = {name: (workload.workload, parameters) for name, parameters in workload.parameters.items()}
    if workload.floor is not None:
        questions["floor"] = (workload.floor.workload, workload.floor.parameters)
    with ExitStack() as stack:
        drivers = {
            peer.name: stack.enter_context(Driver(pythons[peer.name], peer.driver))
            for peer in PEERS
            if peer.name in questions and peer.name in pythons
        }
        for _ in range(rounds):
            for name, driver in drivers.items():
                if outcome.failure(name):
                    continue
                figures = driver.ask(*questions[name], limit)
                outcome.answers.setdefault(name, []).append(figures)
                versions.update(driver.versions)
    return outcome


def main() -> int:
    """Return 0 if cellwire was asked and has answered everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--json", action="store_true", help="machine-readable result on standard output")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", metavar="NAME", help=f"one of: {', '.join(names)}")
    parser.add_argument("--peer", action="append", metavar="NAME", help="measure only these")
    parser.add_argument("--long", action="store_true", help="workloads of many minutes too")
    options = parser.parse_args()
    only: list[str] = options.only or []
    if unknown := set(only) - set(names):
        parser.error(f"unknown workload {', '.join(sorted(unknown))}; choose from {', '.join(names)}")

    pythons: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer in PEERS:
        if options.peer and peer.name not in options.peer:
            continue
        try:
            pythons[peer.name] = python_of(peer)
        except Missing as reason:
            missing[peer.name] = str(reason)
            say(f"{peer.name} is missing: {reason}")

    outcomes: list[Outcome] = []
    versions: dict[str, str] = {}
    for workload in WORKLOADS:
        if options.only and workload.name not in options.only:
            continue
        if options.long:
            workload.parameters.update(workload.long)
        start = time.monotonic()
        outcome = measure(workload, pythons, options.rounds, 1800 if options.long else 60, versions)
        outcomes.append(outcome)
        say(f"{workload.name}: {time.monotonic() - start:.1f} s")

    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    if options.json:
        result = {
            "machine": machine,
            "versions": versions,
            "missing": missing,
            "rounds": options.rounds,
            "results": as_json(outcomes),
        }
        print(json.dumps(result, indent=1))
    else:
        print(", ".join(f"{key} {value}" for key, value in (machine | versions).items()))
        print(f"Median of {options.rounds} rounds ± the largest distance from it.\n")
        print(table(outcomes))
        for name, reason in missing.items():
            print(f"\n{name} is missing: {reason}")
    return int("cellwire" in missing or any(outcome.failure("cellwire") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
