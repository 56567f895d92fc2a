"""Which cells of a plan may overlap, because they await or run elsewhere.

The result must be as if they had run one by one. So a cell waits for the cells that it depends on, and for
those that need another version of a name. What a cell that runs elsewhere needs is collected at its turn.
After that, cells may go ahead that only had to leave those values unchanged; and cells at the same place that
depend on it may be submitted, since the place starts them when it has ended.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ..dataflow.program import Program


class Waits(NamedTuple):
    """For each cell, the earlier cells that it waits for."""

    #: Those that must have ended.
    done: dict[str, set[str]]
    #: Those that must have begun.
    begun: dict[str, set[str]]


def names_needed(program: Program, cell: str) -> frozenset[str]:
    """Return the names that `cell` reads or makes."""
    names = program.graph.names_of(cell)
    return frozenset((*program.graph.reads(cell), *names.defs, *names.deleted))


class Underway(NamedTuple):
    """What is under way when it is decided what waits for what."""

    #: The cells that have had their turn and have not ended, in the order of their turns.
    flights: Sequence[str]
    #: For each of the others the run that is to run it.
    runs: Mapping[str, int]
    #: Those that are no part of the graph.
    loose: Collection[str]


def waits_of(program: Program, cells: Sequence[str], underway: Underway) -> Waits:
    """Return what `cells` wait for: for those that are under way, and for earlier ones of their own.

    `cells` are in the order of their plan.
    """
    graph = program.graph
    live = graph.redefine == "live"
    versions = graph.shared or (graph.upward and not live)
    waits = Waits({}, {})
    # For each name, the cells that need the current version, and those that need the one before.
    groups: dict[str, tuple[str | None, list[str], list[str]]] = {}
    for cell in (*underway.flights, *cells):
        before = waits.done[cell] = {parent for parent in graph.parents(cell) if parent in waits.done}
        hidden = program.sequence.hidden(cell)
        for name in names_needed(program, cell) if versions else ():
            names = graph.names_of(cell)
            own = live or name in names.defs or name in names.deleted or name in hidden
            # What no cell makes is one version too.
            version = None if own else graph.binding(cell, name) or ""
            same, members, others = groups.get(name, (None, [], []))
            if version is None or version != same:
                members, others = [], members
            members.append(cell)
            groups[name] = (version, members, others)
            before.update(others)
    if program.placement.on:
        _let_overlap(program, [*underway.flights, *cells], waits)
    _keep_apart(program, cells, underway, waits)
    return waits


def _keep_apart(program: Program, cells: Sequence[str], underway: Underway, waits: Waits) -> None:
    """Have cells of this process wait that may overlap with no other one here."""
    if program.language.overlaps and not underway.loose:
        return
    on, loose = program.placement.on, underway.loose
    here = [cell for cell in underway.flights if cell not in on]
    earlier: dict[int, list[str]] = {}
    for cell in cells:
        if cell in on:
            continue
        of_run = earlier.setdefault(underway.runs[cell], [])
        if not program.language.overlaps:
            before = {*here, *of_run[-1:]}
        elif cell in loose:
            before = {*here, *of_run}
        else:
            before = {other for other in (*here, *of_run) if other in loose}
        waits.done[cell] |= before
        if cell in waits.begun:
            waits.begun[cell] -= before
        of_run.append(cell)


def _let_overlap(program: Program, cells: Sequence[str], waits: Waits) -> None:
    """Shorten waits for cells that run elsewhere, and add waits that keep their inputs unchanged."""
    graph, on = program.graph, program.placement.on
    # The cells that name a value of this process; cells here may change it in place.
    here: dict[str, list[str]] = {}
    there: dict[str, list[str]] = {}
    for cell in cells:
        done, begun = waits.done[cell], waits.begun.setdefault(cell, set())
        begun.update(earlier for earlier in done if earlier in on and _may_go_on(program, earlier, cell))
        done -= begun
        reads = set(graph.reads(cell))
        for name in reads - {on[cell]} if cell in on else reads:
            maker = graph.binding(cell, name)
            if maker is None or maker in on or _is_imported(program, maker, name):
                continue
            (there if cell in on else here).setdefault(name, []).append(cell)
            if cell in on:
                done.update(here.get(name, ()))
            else:
                begun.update(there.get(name, ()))
        begun -= done


def _is_imported(program: Program, maker: str, name: str) -> bool:
    """Return whether `maker` binds `name` by an import: no cell changes a module in place."""
    imports = program.compiled[maker].analysis.imports
    return any(imported == name for imported, _ in imports)


def _may_go_on(program: Program, earlier: str, later: str) -> bool:
    """Return whether `later` may begin once `earlier`, which runs elsewhere, was submitted."""
    graph, on = program.graph, program.placement.on
    analysis = program.compiled[earlier].analysis
    made = analysis.defs | analysis.deleted
    certain = not (analysis.maybe_defs or analysis.deleted or analysis.stars)
    if made.isdisjoint(graph.reads(later)):
        names = graph.names_of(later)
        independent = made.isdisjoint(names.defs) and made.isdisjoint(names.deleted)
        return independent or (certain and later in on)
    return certain and on.get(later) == on[earlier] and earlier in graph.bound_parents(later)
