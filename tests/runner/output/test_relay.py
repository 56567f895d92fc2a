"""Lists that are shown inside other lists: the same content in the same order, whatever comes in between."""

import random
from typing import Any

import pytest
from cellwire.protocol import events as e
from cellwire.protocol.limits import Limits
from cellwire.protocol.notebook import CellState, Notebook
from cellwire.protocol.reducer import apply
from cellwire.runner.output.emitter import CallbackSink, Emitter
from cellwire.runner.output.output_list import ItemHandle, OutputList
from cellwire.runner.output.relay import Relay, View
from msgspec.msgpack import decode
from support.interruption import interruption


class Shown:
    """A cell `e` of a replica, and the notebook that it shows."""

    def __init__(self, emitter: Any = None) -> None:
        self.notebook = Notebook(cells={"e": CellState("e", run=1)})
        self.outputs = OutputList(emitter or Emitter(CallbackSink(self._receive)), "e", 1, Limits())
        self.relay = Relay(self.outputs.emitter, lambda event: None)
        self.view = View(self.outputs)
        self.relay.add_view(self.view)
        self._run = 0

    def _receive(self, event: Any) -> None:
        apply(self.notebook, event)

    def start(self, cell: str) -> OutputList:
        """Begin the next run of an inner cell."""
        self._run += 1
        self.relay.emit(e.CellStarted(cell, self._run))
        return OutputList(self.relay, cell, self._run, Limits())

    def finish(self, outputs: OutputList) -> None:
        self.relay.emit(e.CellFinished(outputs.cell, outputs.run))

    def texts(self) -> list[str]:
        return [item.data["text/plain"] for item in self.notebook.cells["e"].outputs]

    def kept(self, cell: str) -> list[str]:
        return [decode(item.data)["text/plain"] for item in self.relay.items(cell)]


def text(value: object) -> dict[str, Any]:
    return {"text/plain": str(value)}


def test_changes_of_inner_lists_are_changes_of_the_outer_one() -> None:
    shown = Shown()
    shown.outputs.append(text("own"))
    a, b = shown.start("a"), shown.start("b")
    first = a.append(text(1))
    second = b.append(text(2))
    a.append_soon(text(3))
    shown.relay.flush()
    first.replace(text("1 again"))
    second.remove()
    shown.outputs.append(text("own again"))
    assert shown.texts() == ["own", "1 again", "3", "own again"]
    a.clear()
    a.replace_at_index(0, text(4))
    assert shown.texts() == ["own", "own again", "4"]
    assert (shown.kept("a"), shown.kept("b")) == (["4"], [])


def test_a_refusal_reaches_the_caller() -> None:
    with pytest.raises(IndexError, match="no output at index 3"):
        Shown().start("a").replace_at_index(3, text(1))


def test_a_cell_that_runs_again_fills_the_places_of_its_last_run() -> None:
    shown = Shown()
    for run in (["a1", "a2", "a3"], ["b1"], ["c1", "c2"]):
        a = shown.start("a")
        for value in run:
            a.append(text(value))
        shown.finish(a)
        if run == ["a1", "a2", "a3"]:
            shown.start("z").append(text("z"))
    assert shown.texts() == ["c1", "z", "c2"]


def test_what_a_retired_list_is_told_changes_nothing() -> None:
    shown = Shown()
    a = shown.start("a")
    handle = a.append(text("old"))
    a.retire()
    again = shown.start("a")
    handle.replace(text("late"))
    a.append(text("late"))
    again.append(text("new"))
    assert shown.texts() == ["new"]


def test_replacing_everything_keeps_the_first_place() -> None:
    shown = Shown()
    a = shown.start("a")
    a.append(text(1))
    a.append(text(2))
    shown.start("z").append(text("z"))
    a.replace(text(3))
    assert shown.texts() == ["3", "z"]
    a.append(text(4))
    a.replace(text(5))
    assert (shown.texts(), shown.kept("a")) == (["5", "z"], ["5"])


def test_another_view_shows_what_is_kept_and_follows() -> None:
    shown = Shown()
    a = shown.start("a")
    handle = a.append(text(1))
    shown.notebook.cells["f"] = CellState("f", run=1)
    other = View(OutputList(shown.outputs.emitter, "f", 1, Limits()))
    shown.relay.add_view(other)
    a.append(text("not shown yet"))
    shown.relay.show(other, ["a"])
    shown.relay.show(other, ["a"])
    handle.replace(text("changed"))
    a.append(text(2))
    assert [item.data["text/plain"] for item in shown.notebook.cells["f"].outputs] == [
        "changed",
        "not shown yet",
        "2",
    ]


def test_items_that_come_while_a_list_is_shown_bit_by_bit_come_last() -> None:
    shown = Shown()
    a = shown.start("a")
    for value in range(3):
        a.append(text(value))
    shown.notebook.cells["e"].outputs.clear()
    view = View(OutputList(shown.outputs.emitter, "e", 1, Limits()))
    shown.relay.add_view(view)
    shown.relay.remove_views()
    shown.relay.add_view(view)
    call = object()
    shown.relay.show_between(view, "a", call, 0, 1)
    a.append(text("late"))
    shown.relay.show_between(view, "a", call, 1, 2)
    shown.relay.show_between(view, "a", call, 2, None)
    a.append(text("later"))
    assert shown.texts() == ["0", "1", "2", "late", "later"]


def test_relays_nest() -> None:
    shown = Shown()
    middle = shown.start("a")
    inner = Shown(shown.relay)
    inner.view = View(middle)
    inner.relay.remove_views()
    inner.relay.add_view(inner.view)
    middle.append(text("middle"))
    deep = inner.start("d")
    handle = deep.append(text("deep"))
    deep.append(text("deeper"))
    handle.replace(text("changed"))
    middle.append(text("end"))
    assert shown.texts() == shown.kept("a") == ["middle", "changed", "deeper", "end"]
    deep.replace(text("one"))
    assert shown.texts() == shown.kept("a") == ["middle", "one", "end"]


def play(shown: Shown, seed: int, at: int) -> tuple[list[str], bool]:
    """Change lists in a drawn way, the last time interrupted at place `at`.

    Return what the lists have in the end, and whether the place was reached.
    """
    draw = random.Random(seed)
    lists: dict[str, OutputList] = {}
    handles: list[ItemHandle] = []

    def change(number: int) -> None:
        cell = draw.choice("ab")
        kind = draw.choice(["start", "append", "append", "append", "change", "remove", "replace", "clear"])
        if cell not in lists or kind == "start":
            if cell in lists:
                shown.finish(lists[cell])
                lists[cell].retire()
            lists[cell] = shown.start(cell)
        elif kind == "append" or not handles:
            handles.append(lists[cell].append(text(number)))
        elif kind == "change":
            draw.choice(handles).replace(text(number))
        elif kind == "remove":
            draw.choice(handles).remove()
        elif kind == "replace":
            handles.append(lists[cell].replace(text(number)))
        else:
            lists[cell].clear()

    for number in range(11):
        change(number)
    with interruption(at, "relay.py", "output_list.py") as raised:
        change(11)
    for outputs in lists.values():
        shown.finish(outputs)
    return [value for cell in lists for value in shown.kept(cell)], bool(raised)


@pytest.mark.parametrize("seed", range(20))
def test_an_exception_of_a_signal_handler_at_any_place_leaves_both_sides_equal(seed: int) -> None:
    at, raised = 0, True
    while raised:
        at += 1
        shown = Shown()
        kept, raised = play(shown, seed, at)
        assert sorted(shown.texts()) == sorted(kept), (seed, at)
    assert at > 5
