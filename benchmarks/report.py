"""What came out: one line for each figure, with ratios, targets and floors; or the same as JSON."""

import statistics
from dataclasses import dataclass, field
from typing import Any

from workloads import Row, Workload

Figures = dict[str, Any]
KERNELS = ("marimo", "ipykernel", "cellwire")
_HEADING = (
    "| | marimo | ipykernel | cellwire | target | / marimo | / ipykernel | floor |\n" + "|---" * 8 + "|"
)


@dataclass
class Outcome:
    """All answers to one workload: by peer, one for each round."""

    workload: Workload
    answers: dict[str, list[Figures]] = field(default_factory=dict)

    def failure(self, peer: str) -> str:
        """Return why a peer has no figures; empty if it has."""
        reasons = [answer["failure"] for answer in self.answers.get(peer, []) if "failure" in answer]
        return reasons[0].partition("\n")[0] if reasons else ""

    def values(self, row: Row, peer: str) -> list[float]:
        """Return the figure of each round, in the row's unit."""
        figure = row.floor if peer == "floor" else row.figure
        if figure is None:
            return []
        found = [figure(answer) for answer in self.answers.get(peer, []) if "failure" not in answer]
        return [value * row.scale for value in found if value is not None]


def table(outcomes: list[Outcome]) -> str:
    """Return the table as Markdown, as docs/performance.md has it."""
    lines: list[list[str]] = []
    notes: list[str] = []
    for outcome in outcomes:
        rows = [_line(outcome, row) for row in outcome.workload.rows]
        floor = outcome.workload.floor
        if floor is not None:
            rows[0][-1] = f"{rows[0][-1]} {floor.title}".strip()
        lines += rows
        notes += [
            f"* {outcome.workload.name}: {peer}: {reason}"
            for peer in (*KERNELS, "floor")
            if (reason := outcome.failure(peer))
        ]
    text = [_HEADING, *(f"| {' | '.join(line)} |" for line in lines)]
    if notes:
        text += ["", "Without figures:", "", *notes]
    return "\n".join(text)


def _line(outcome: Outcome, row: Row) -> list[str]:
    ours, theirs = (outcome.values(row, peer) for peer in ("cellwire", "ipykernel"))
    line = [f"{row.title} [{row.unit}]", *(_cell(outcome, row, peer) for peer in KERNELS)]
    line.append(_target(row, ours, theirs))
    line += [_ratio(row, ours, outcome.values(row, "marimo")), _ratio(row, ours, theirs)]
    floor = outcome.values(row, "floor")
    line.append(_number(statistics.median(floor)) if floor else "")
    return line


def _cell(outcome: Outcome, row: Row, peer: str) -> str:
    """The median, and how far the rounds are apart."""
    values = outcome.values(row, peer)
    if not values:
        return "failed" if outcome.failure(peer) else "–"
    middle = statistics.median(values)
    spread = max(max(values) - middle, middle - min(values))
    return f"{_number(middle)} ± {_number(spread)}" if len(values) > 1 else _number(middle)


def _target(row: Row, ours: list[float], theirs: list[float]) -> str:
    """What cellwire must reach, and whether it does."""
    text, limit = "", row.target
    if row.share is not None:
        text = f"{_number(row.share)} × ipykernel"
        limit = row.share * statistics.median(theirs) if theirs else None
    elif limit is not None:
        text = _number(limit)
    if not text:
        return ""
    text = f"{'≤' if row.better == 'less' else '≥'} {text}"
    if not ours or limit is None:
        return text
    middle = statistics.median(ours)
    return f"{text} {'yes' if (middle <= limit if row.better == 'less' else middle >= limit) else 'NO'}"


def _ratio(row: Row, ours: list[float], theirs: list[float]) -> str:
    """How many times better than the peer."""
    if not ours or not theirs:
        return ""
    pair = statistics.median(theirs), statistics.median(ours)
    above, below = pair if row.better == "less" else pair[::-1]
    return f"{_number(above / below)}×" if below else ""


def _number(value: float) -> str:
    """Three digits, as people write them."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def as_json(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Return every row of every workload as plain data."""
    return [
        {
            "workload": outcome.workload.name,
            "row": row.title,
            "unit": row.unit,
            "better": row.better,
            "target": row.target,
            "share_of_ipykernel": row.share,
            "floor_of": outcome.workload.floor.title if outcome.workload.floor else None,
            "peers": {
                peer: {"failure": outcome.failure(peer)} if outcome.failure(peer) else _summary(values)
                for peer in (*KERNELS, "floor")
                if (values := outcome.values(row, peer)) or outcome.failure(peer)
            },
        }
        for outcome in outcomes
        for row in outcome.workload.rows
    ]


def _summary(values: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": values}
