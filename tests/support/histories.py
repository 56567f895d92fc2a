"""Drawn histories of a notebook: events in any order, about cells that are there and others."""

from typing import Any, get_args, get_origin

from cellwire.protocol import events as e
from cellwire.protocol.notebook import CellError, Item
from cellwire.protocol.reducer import CHUNK_CHARS
from hypothesis import strategies as st


def declared(*ids: str) -> e.GraphChanged:
    return e.GraphChanged([e.CellDeclared(id, f"source of {id}") for id in ids])


def item(id: int, text: str = "") -> Item:
    return Item(id, {"text/plain": text or str(id)})


_ids = st.sampled_from(["a", "b", "c", ""])
_runs = st.integers(-1, 3)
_lists = st.lists(_ids.filter(bool), max_size=4)
_streams = st.sampled_from(["stdout", "stderr"])
_texts = st.sampled_from(["", "x", "line\n", "y" * (CHUNK_CHARS - 3), "z" * (CHUNK_CHARS + 5)])
_declarations = st.builds(e.CellDeclared, _ids.filter(bool), on=st.sampled_from(["", "client"]))
_items = st.builds(item, st.integers(0, 5), st.sampled_from(["p", "q"]))
_statuses = st.sampled_from(["ok", "error", "cancelled", "interrupted"])
_errors = st.none() | st.builds(CellError, st.just("E"), st.just("m"))
#: What to draw for a field, by its name, or by its event and name where that says more.
_fields = {
    "action": st.sampled_from(["open", "msg", "close"]),
    "at": st.just(5.0),
    "buffers": st.just([b"bytes"]),
    "because": _lists,
    "before": st.integers(0, 3),
    "cell": _ids,
    "cells": _lists,
    "chars": st.integers(0, 2 * CHUNK_CHARS),
    "comm": _ids,
    "condition": st.sampled_from(["ready", "unresponsive"]),
    "data": st.just({}),
    "disabled": st.booleans(),
    "duration": st.just(0.5),
    "error": _errors,
    "failed": _lists,
    "generation": _runs,
    "id": _ids,
    "item": _items,
    "metadata": st.just({}),
    "mode": st.sampled_from(["autorun", "lazy"]),
    "order": st.none() | _lists,
    "password": st.booleans(),
    "pid": _runs,
    "prompt": _texts,
    "reason": st.just("signal"),
    "run": _runs,
    "stale": st.booleans(),
    "status": _statuses,
    "stream": _streams,
    "target": _texts,
    "text": _texts,
    "where": st.sampled_from(["", "tcp://worker"]),
    "wait": st.booleans(),
    "CellsMarked.reason": st.sampled_from(["", "disabled", "contested"]),
    "GraphChanged.cells": st.lists(_declarations, max_size=3),
    "OutputRemoved.item": st.integers(0, 5),
}


def _drawn(event: Any) -> Any:
    names = event.__struct_fields__
    keys = [own if (own := f"{event.__name__}.{name}") in _fields else name for name in names]
    return st.builds(event, *(_fields[key] for key in keys))


#: Single events; those that are in snapshots only are left out.
_kinds = [get_origin(member) or member for member in get_args(e.Event)]
drawn_events = st.one_of([_drawn(kind) for kind in _kinds if not kind.__name__.endswith("Restored")])
# Events of the current run alone: text that is written, trimmed and cleared, and items that come and go.
_own_events = st.one_of(
    st.builds(e.ConsoleWritten, st.just("a"), st.just(1), _streams, _texts, st.integers(0, 3)),
    st.builds(e.ConsoleTrimmed, st.just("a"), st.just(1), st.integers(0, CHUNK_CHARS)),
    st.builds(e.ConsoleCleared, st.just("a"), st.just(1), _streams),
    st.builds(e.OutputAppended, st.just("a"), st.just(1), _items),
    st.builds(e.OutputRemoved, st.just("a"), st.just(1), st.integers(0, 5)),
)
_any_events = st.lists(drawn_events, max_size=40) | st.lists(_own_events, max_size=12)
#: Lists of events that may follow each other, or not.
histories = _any_events.map(lambda events: [declared("a", "b", "c"), e.CellStarted("a", 1), *events])
