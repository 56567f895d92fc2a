"""Notebooks drawn at random, some of whose cells run elsewhere, and what is to be seen of them."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from cellwire.runner.engine import Engine

from .thread_place import thread_places
from .waiting import PATIENCE

CELLS = [f"c{number}" for number in range(7)]
NAMES = ["a", "b", "c", "d"]
SETUP = "import asyncio\nimport cellwire as cw\nfrom support.thread_place import Workers\nclient = Workers(2)"


def statement(rng: random.Random, own: str, readable: list[str]) -> str:
    reads = [rng.choice(readable) for _ in range(rng.randint(0, 2))] if readable else []
    expression = " + ".join([*reads, str(rng.randint(0, 9))])
    return rng.choice(
        [
            f"{own} = {expression}",
            f"{own} = {expression}\n{own}",
            f"{own} = {expression}\nprint('{own} is', {own})",
            f"print({expression})\n{expression}",
            f"_p = {expression}\n{own} = _p",
            f"{own} = {expression}\nawait asyncio.sleep(0)\n{own}",
            f"{own} = {expression}\ncw.output.append({own}).replace('shown')\n{own}",
            f"_p = 3\ndef f_{own}(): return _p + 1\n{own} = f_{own}() + {expression}",
            f"{own} = {expression}\n1 / 0",
            f"{own} = {expression}\ncw.stop({own} % 3 == 0, 'halt')\n{own}",
            f"{own} =",
            f"missing_{own}",
            f"import string\n{own} = len(string.digits) + {expression}",
        ]
    )


def redefining(rng: random.Random) -> str:
    name = rng.choice(NAMES)
    return rng.choice(
        [
            f"{name} = {name} + 1\n{name}",
            f"del {name}",
            f"if {rng.choice(NAMES)} % 2: {name} = 7",
            f"for {name} in range(3): pass\n{name}",
        ]
    )


def bare(text: str) -> str:
    """Return the message of a missing name without what is known of other cells at that moment."""
    return text.partition(". Did you mean")[0].partition(": cell '")[0]


def state(engine: Engine) -> dict[str, Any]:
    """Return what is to be seen of a notebook, where its cells run left aside."""
    found: dict[str, Any] = {}
    for cell in engine.notebook.order:
        seen = engine.notebook.cells[cell]
        error = seen.error and (seen.error.kind, bare(seen.error.message))
        if error and error[0] == "Cancelled":
            error = error[:1]  # of several causes the one is named that is known first
        lines = [item.data["text/plain"].splitlines() or [""] for item in seen.outputs]
        found[cell] = (seen.status, seen.stale, [bare(text[-1]) for text in lines], error)
    return found


def values(engine: Engine) -> dict[str, str]:
    """Return the values of the notebook's names, wherever they are."""
    fetch = engine._lifecycle.fetch
    return {
        name: repr(engine.globals[name] if name in engine.globals or fetch is None else fetch(name))
        for name in {*engine.globals, *engine.elsewhere}
        if name in NAMES or name.startswith("v")
    }


def comparable(engine: Engine, name: str) -> bool:
    """Return whether the value of `name` is that of its last maker, which has ended well and is not stale.

    Otherwise Python has what was there before.
    """
    makers = engine.program.graph.makers(name)
    if not makers:
        return False
    last = engine.notebook.cells[makers[-1]]
    return last.status == "ok" and not last.stale


def shared_values(
    one: Engine, other: Engine, is_comparable: Callable[[Engine, str], bool] = comparable
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Return the values that each has of the names that are comparable in both."""
    ours, others = values(one), values(other)
    same = [name for name in {*ours, *others} if is_comparable(one, name) and is_comparable(other, name)]
    return {name: ours.get(name) for name in same}, {name: others.get(name) for name in same}


def play(seeds: int, history: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Play the history of each seed, with a time limit, where workers are threads."""

    async def bounded(seed: int) -> None:
        async with asyncio.timeout(PATIENCE):
            await history(seed)

    with thread_places(), asyncio.Runner() as runner:
        for seed in range(seeds):
            runner.run(bounded(seed))
