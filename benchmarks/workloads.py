"""What is measured, for whom and how much of it, and what cellwire must reach.

A workload is a question to the drivers (`peers/measuring.py`, `peers/floor_driver.py`); each of its rows
is one figure of the answer. Where a peer has no parameters the workload makes no sense for it; a peer
that would take minutes is given less of it, and then the row is a rate.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from environments import IPYKERNEL, python_path

Figures = dict[str, Any]
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One figure of a workload."""

    title: str
    #: Of the figure, after `scale`.
    unit: str
    figure: Callable[[Figures], float | None]
    scale: float = 1.0
    #: What cellwire must reach, in `unit`; None where nothing was set.
    target: float | None = None
    better: Literal["less", "more"] = "less"
    #: The figure of the workload's floor that belongs beside this one.
    floor: Callable[[Figures], float | None] | None = None
    #: What cellwire must reach, as a share of ipykernel's figure.
    share: float | None = None


@dataclass(frozen=True)
class Floor:
    """What the same would cost with nothing in between."""

    title: str
    workload: str
    parameters: Parameters


@dataclass(frozen=True)
class Workload:
    """One question to every peer for which it makes sense."""

    name: str
    workload: str
    #: By peer.
    parameters: dict[str, Parameters]
    rows: tuple[Row, ...]
    floor: Floor | None = None
    #: What `--long` changes, by peer.
    long: dict[str, Parameters] = field(default_factory=dict)


def median(figures: Figures) -> float:
    """The median time."""
    return statistics.median(figures["seconds"])


def p99(figures: Figures) -> float:
    """The time that one of a hundred exceeds; the longest of fewer than a hundred."""
    ordered = sorted(figures["seconds"])
    return ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]


def take(*path: str) -> Callable[[Figures], float | None]:
    """Return a function that finds a figure by its keys, or None."""

    def find(figures: Figures) -> float | None:
        found: Any = figures
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    return find


def over(name: str, figure: Callable[[Figures], float]) -> Callable[[Figures], float | None]:
    """Return a function that finds `figure` of other times than those of `seconds`."""
    return lambda figures: figure({"seconds": figures[name]}) if name in figures else None


def command(name: str) -> Callable[[Figures], float | None]:
    """Return a function that finds the time of a command, or that of cellwire's beside it."""
    return lambda figures: figures.get(name, figures.get("cellwire"))


def everyone(**parameters: Any) -> dict[str, Parameters]:
    """The same for all three."""
    return dict.fromkeys(("marimo", "ipykernel", "cellwire"), parameters)


def _trip(
    title: str, p50_target: float | None, p99_target: float | None, share: float | None = None
) -> tuple[Row, ...]:
    return (
        Row(f"{title}, p50", "ms", median, 1e3, p50_target, share=share, floor=median),
        Row(f"{title}, p99", "ms", p99, 1e3, p99_target, share=share, floor=p99),
    )


def _control(busy: str, title: str) -> Workload:
    return Workload(
        f"control-{busy}",
        "control",
        {peer: {"times": 1000, "busy": busy} for peer in ("ipykernel", "cellwire")},
        _trip(f"control round trip, {title}", None, 2.0),
        Floor("pyzmq echo", "zmq_echo", {"times": 1000}),
    )


def _sustained(threads: int, frontends: int = 1) -> Workload:
    title = f"appends, {threads} thread{'s' * (threads > 1)}, {frontends} frontend{'s' * (frontends > 1)}"
    four = (threads, frontends) == (4, 1)
    parameters = {"cellwire": {"threads": threads, "count": 200_000, "frontends": frontends}}
    if frontends == 1:
        parameters["marimo"] = {"threads": threads, "count": 1_600}
        parameters["ipykernel"] = {"threads": threads, "count": 4_000}
    rate = Row(f"{title}: rate", "/s", take("rate"), 1, 100_000 if four else None, "more", floor=take("rate"))
    flat = Row(f"{title}: last tenth / first", "×", take("flatness"), 1, 1.25 if four else None)
    grown = Row(f"{title}: memory after", "MB", take("memory", "rss"), 1e-6)
    return Workload(
        f"appends-{threads}x{frontends}",
        "appends",
        parameters,
        (rate, flat, grown),
        Floor("socket pair, a call each", "pair_stream", {"count": 200_000, "size": 60}),
    )


def middle(key: str) -> Callable[[Figures], float]:
    """Return a function that finds the median of the times under a key."""
    return lambda figures: statistics.median(figures[key])


def _over_jupyter() -> tuple[Workload, ...]:
    """The kernel for Jupyter beside ipykernel, both driven in the same way."""

    def both(**parameters: Any) -> dict[str, Parameters]:
        return {"ipykernel": parameters, "cellwire": parameters | {"over": "jupyter"}}

    return (
        Workload(
            "jupyter-launch",
            "launch",
            both(times=3),
            (Row("over Jupyter: launch to first result", "s", median, share=0.45),),
        ),
        Workload(
            "jupyter-round-trip",
            "round_trip",
            both(times=300),
            _trip("over Jupyter: round trip of 1 + 1", None, None, 0.3),
        ),
        Workload(
            "jupyter-comm",
            "comm",
            both(times=200),
            _trip("over Jupyter: message of a comm and its echo", None, None, 0.4),
        ),
        Workload(
            "jupyter-control-gil",
            "control",
            both(times=1000, busy="gil"),
            _trip("over Jupyter: kernel_info, GIL held", None, 5.0),
        ),
        Workload(
            "jupyter-printed",
            "printed",
            both(lines=100_000),
            (Row("over Jupyter: 100,000 printed lines", "s", median),),
        ),
        Workload(
            "jupyter-displays",
            "appends",
            both(threads=1, count=2000),
            (Row("over Jupyter: 2,000 displays", "s", median, share=1.0),),
        ),
        Workload(
            "jupyter-page",
            "page",
            {"cellwire": {"over": "page", "times": 20, "dependents": 200}},
            (
                Row("in JupyterLab: a cell's own output, ipykernel", "ms", middle("own_ipykernel"), 1e3),
                Row("in JupyterLab: a cell's own output", "ms", middle("own"), 1e3),
                Row("in JupyterLab: a dependent redrawn after a run", "ms", middle("dependent"), 1e3, 100.0),
                Row(
                    "in JupyterLab: a dependent redrawn after a slider's move",
                    "ms",
                    middle("slider"),
                    1e3,
                    60.0,
                ),
                Row("in JupyterLab: 200 dependents redrawn", "s", middle("many"), 1, 3.0),
            ),
        ),
        Workload(
            "jupyter-memory",
            "memory",
            both(runs=500),
            (
                Row("over Jupyter: resident memory, all processes", "MB", take("memory", "rss"), 1e-6, 56.0),
                Row("over Jupyter: the same after many runs", "MB", take("memory_after_runs", "rss"), 1e-6),
            ),
        ),
    )


WORKLOADS = (
    Workload(
        "launch",
        "launch",
        everyone(times=3),
        (Row("launch to first result", "s", median, 1, 0.25, floor=median),),
        Floor(
            "python -c 'import zmq, msgspec'", "interpreter", {"times": 5, "statement": "import zmq, msgspec"}
        ),
    ),
    Workload(
        "interpreter",
        "launch",
        {},
        (Row("an empty interpreter", "s", median, 1, floor=median),),
        Floor("python -c pass", "interpreter", {"times": 5, "statement": "pass"}),
    ),
    Workload(
        "round-trip",
        "round_trip",
        everyone(times=300) | {"cellwire": {"times": 1000}},
        (
            *_trip("round trip of 1 + 1", 0.4, 2.0),
            Row("round trip of 1 + 1: bytes", "kB", take("bytes"), 1e-3),
        ),
        Floor("pyzmq echo + socket pair echo", "whole_trip", {"times": 1000}),
    ),
    Workload(
        "round-trip-2",
        "round_trip",
        {"ipykernel": {"times": 300, "frontends": 2}, "cellwire": {"times": 1000, "frontends": 2}},
        _trip("the same with another frontend", None, None),
    ),
    _control("idle", "idle"),
    _control("loop", "Python loop"),
    _control("gil", "GIL held"),
    Workload(
        "chain",
        "chain",
        {peer: {"cells": 200, "times": 5} for peer in ("marimo", "cellwire")},
        (Row("chain of 200 run again, each cell", "ms", median, 1e3, 0.1),),
    ),
    Workload(
        "rereads",
        "rereads",
        {"cellwire": {"cells": 200, "times": 5}},
        (Row("chain of 200 rereads run again, each cell", "ms", median, 1e3, 0.2),),
    ),
    Workload(
        "embedded",
        "embedded",
        {"cellwire": {"notebooks": 50, "cells": 20, "times": 5}},
        (Row("50 notebooks of 20 cells embedded again, each", "ms", median, 1e3, 2.0),),
    ),
    Workload(
        "cluster",
        "cluster",
        {"cellwire": {"over": "cluster", "cells": 200, "times": 50}},
        (
            Row("on a Dask cluster: a trivial cell", "ms", median, 1e3, floor=median),
            Row("on a Dask cluster: a chain of 200 cells", "s", take("chain"), 1, 5.0, floor=take("chain")),
            Row("on a Dask cluster: a fan of 200 cells", "s", take("fan"), 1, 5.0, floor=take("fan")),
            Row("on a Dask cluster: print to frontend, p50", "ms", over("delays", median), 1e3, 3.0),
            Row("on a Dask cluster: print to frontend, p99", "ms", over("delays", p99), 1e3, 15.0),
            Row("on a Dask cluster: 100,000 printed lines", "s", take("lines"), 1, 1.0),
            Row("on a Dask cluster: 2,000 appends", "s", take("appends"), 1, 0.1),
            Row("on a Dask cluster: interrupt of a loop", "s", take("loop"), 1, 0.1),
            Row("on a Dask cluster: interrupt of a sleep", "s", take("sleep"), 1, 1.2),
            Row("on a Dask cluster: 4 cells on 2 workers, faster by", "×", take("speed_up"), 1, 1.7, "more"),
            Row("the notebook's process with a client", "MB", take("memory"), 1e-6, floor=take("memory")),
        ),
        Floor("dask by hand", "delayed", {"cells": 200, "times": 50}),
    ),
    Workload(
        "wide-1000",
        "wide",
        everyone(cells=1000),
        (
            Row("register and run 1,000 cells", "s", median, 1, 0.3),
            Row("the same: bytes a cell", "kB", take("bytes"), 1e-3),
        ),
    ),
    Workload(
        "wide-10000",
        "wide",
        {"cellwire": {"cells": 10_000}},
        (Row("register and run 10,000 cells", "s", median),),
        long={"marimo": {"cells": 10_000}, "ipykernel": {"cells": 10_000}},
    ),
    Workload(
        "leaf",
        "leaf",
        {peer: {"cells": 2000, "times": 10} for peer in ("marimo", "cellwire")},
        (
            Row("edit of one leaf among 2,000", "ms", median, 1e3, 2.0),
            Row("edit of one leaf among 2,000: bytes", "kB", take("bytes"), 1e-3, 2.0),
        ),
    ),
    Workload(
        "redefined-leaf",
        "redefined_leaf",
        {"cellwire": {"cells": 2000, "times": 10}},
        (
            Row("edit of one leaf among 2,000 that define the same", "ms", median, 1e3, 2.0),
            Row("edit of one leaf among 2,000 that define the same: bytes", "kB", take("bytes"), 1e-3, 2.0),
        ),
    ),
    Workload(
        "appends-2000",
        "appends",
        everyone(threads=4, count=2000),
        (
            Row("2,000 appends from 4 threads", "s", median, 1, 0.05, floor=median),
            Row("2,000 appends from 4 threads: bytes", "MB", take("bytes"), 1e-6, 0.4),
        ),
        Floor("socket pair, a call each", "pair_stream", {"count": 2000, "size": 60}),
    ),
    _sustained(1),
    _sustained(4),
    _sustained(16),
    _sustained(4, frontends=4),
    Workload(
        "printed",
        "printed",
        everyone(lines=100_000),
        (
            Row("100,000 printed lines", "s", median, 1, 0.4, floor=median),
            Row("100,000 printed lines: bytes", "MB", take("bytes"), 1e-6),
        ),
        Floor("socket pair, a call each", "pair_stream", {"count": 100_000, "size": 12}),
    ),
    Workload(
        "child-output",
        "child_output",
        everyone(megabytes=100),
        (
            Row(
                "output of a child process, 100 MB", "MB/s", take("rate"), 1, None, "more", floor=take("rate")
            ),
        ),
        Floor("a pipe", "child_pipe", {"megabytes": 100}),
    ),
    Workload(
        "figures",
        "figures",
        everyone(count=200, size=200_000),
        (
            Row("200 figures of 200 kB", "s", median, floor=median),
            Row("200 figures of 200 kB: bytes", "MB", take("bytes"), 1e-6),
        ),
        Floor("pyzmq stream, 40 MB", "zmq_stream", {"megabytes": 40, "size": 65536}),
    ),
    *_over_jupyter(),
    Workload(
        "job",
        "job",
        {peer: {"cells": 30, "python": str(python_path(IPYKERNEL))} for peer in ("ipykernel", "cellwire")},
        (
            Row("30 cells with pandas and matplotlib, run and saved: papermill", "s", command("papermill")),
            Row(
                "30 cells with pandas and matplotlib, run and saved: jupyter execute", "s", command("execute")
            ),
        ),
    ),
    Workload(
        "watch",
        "watch",
        {"cellwire": {"cells": 30, "times": 30}},
        (
            Row("from the save of a file with 30 cells to the result, p50", "ms", median, 1e3, 50.0),
            Row("from the save of a file with 30 cells to the result, p99", "ms", p99, 1e3),
        ),
    ),
    Workload(
        "late-join",
        "late_join",
        {"cellwire": {"cells": 1000, "megabytes": 100}},
        (
            Row("join late: 1,000 cells, 100 MB", "s", median, floor=median),
            Row("join late: bytes", "MB", take("bytes"), 1e-6),
        ),
        Floor("pyzmq stream, 100 MB", "zmq_stream", {"megabytes": 100, "size": 65536}),
    ),
    Workload(
        "memory",
        "memory",
        everyone(runs=500) | {"cellwire": {"runs": 2000}},
        (
            Row("resident memory, all processes", "MB", take("memory", "rss"), 1e-6, 55.0),
            Row("the same, shared pages in proportion", "MB", take("memory", "pss"), 1e-6),
            Row("the same after many runs", "MB", take("memory_after_runs", "rss"), 1e-6),
        ),
        long=everyone(runs=2000) | {"cellwire": {"runs": 100_000}},
    ),
)
