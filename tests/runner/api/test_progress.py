import asyncio
import math
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from cellwire.protocol.events import OutputAppended, OutputReplaced
from cellwire.protocol.mime_types import PROGRESS_MIME, Progress
from cellwire.runner.api import progress
from cellwire.runner.api.output import output
from cellwire.runner.api.progress import progress_bar, progress_data, spinner
from cellwire.runner.api.throttle import Throttle
from support.waiting import PATIENCE


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of all widgets, which stands still; nothing is sent without a call."""
    clock = Clock()
    monkeypatch.setattr(progress, "_throttle", Throttle(clock, 1.0, threaded=False))
    return clock


def states(cell: Any) -> list[dict[str, Any]]:
    return [
        e.item.data[PROGRESS_MIME] for e in cell.events if isinstance(e, (OutputAppended, OutputReplaced))
    ]


def test_iterating_counts_to_the_end_in_one_item(cell: Any, clock: Clock) -> None:
    seen = list(progress_bar("abc", title="Letters"))
    assert seen == ["a", "b", "c"]
    (item,) = cell.outputs
    assert item.data[PROGRESS_MIME]["current"] == item.data[PROGRESS_MIME]["total"] == 3
    assert item.data[PROGRESS_MIME]["done"] is True
    assert item.data["text/plain"] == f"Letters [{'#' * 24}] 3/3"


def test_a_bar_is_shown_before_its_first_step(cell: Any, clock: Clock) -> None:
    progress_bar(10, title="Waiting")
    assert cell.texts == [f"Waiting [{'-' * 24}] 0/10"]


def test_updates_are_throttled_and_the_last_one_is_sent_in_any_case(cell: Any, clock: Clock) -> None:
    bar = progress_bar(1000)
    for _ in range(500):
        bar.update()
    assert [state["current"] for state in states(cell)] == [0]
    clock.now += 1
    progress._throttle.send_due()
    assert [state["current"] for state in states(cell)] == [0, 500]


def test_reaching_the_total_is_sent_at_once(cell: Any, clock: Clock) -> None:
    bar = progress_bar(3, completion_title="Complete")
    for _ in range(3):
        bar.update()
    assert states(cell)[-1]["current"] == 3
    assert states(cell)[-1]["done"] is True
    assert states(cell)[-1]["title"] == "Complete"


def test_leaving_the_block_sends_the_last_state(cell: Any, clock: Clock) -> None:
    with progress_bar(total=10, title="Work") as bar:
        bar.update(4, subtitle="half-way")
    assert states(cell)[-1] | {"elapsed": 0} == {
        "title": "Work",
        "subtitle": "half-way",
        "current": 4,
        "total": 10,
        "rate": None,
        "eta": None,
        "elapsed": 0,
        "done": True,
        "failed": False,
    }
    bar.update()
    clock.now += 5
    progress._throttle.send_due()
    assert states(cell)[-1]["current"] == 4


def test_an_error_in_the_block_shows_as_a_failure(cell: Any, clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError), progress_bar(2, completion_title="never"):
        _ = 1 / 0
    assert (states(cell)[-1]["failed"], states(cell)[-1]["done"]) == (True, False)
    assert cell.texts[-1].endswith("failed")


def test_breaking_out_of_the_loop_is_neither_done_nor_failed(cell: Any, clock: Clock) -> None:
    for value in progress_bar(range(10), title="Search"):
        if value == 2:
            break
    last = states(cell)[-1]
    assert (last["current"], last["done"], last["failed"]) == (2, False, False)


def test_rate_and_remaining_time_follow_the_clock_and_can_be_hidden(cell: Any, clock: Clock) -> None:
    shown, hidden = progress_bar(10), progress_bar(10, show_rate=False, show_eta=False)
    clock.now += 2
    shown.update(4)
    hidden.update(4)
    assert (states(cell)[-2]["rate"], states(cell)[-2]["eta"], states(cell)[-2]["elapsed"]) == (2, 3, 2)
    assert (states(cell)[-1]["rate"], states(cell)[-1]["eta"]) == (None, None)
    assert cell.texts == [
        "[#########---------------] 4/10 · 2/s · 3 s left",
        "[#########---------------] 4/10",
    ]


def test_a_widget_can_remove_itself(cell: Any, clock: Clock) -> None:
    output.append("before")
    for _ in progress_bar([1, 2], remove_on_exit=True):
        assert len(cell.outputs) == 2
    with spinner("Loading", remove_on_exit=True) as spin:
        spin.update(title="Still loading")
        assert len(cell.outputs) == 2
    clock.now += 5
    progress._throttle.send_due()
    assert cell.texts == ["'before'"]


def test_a_spinner_shows_its_titles_and_its_end(cell: Any, clock: Clock) -> None:
    with spinner(title="Loading", subtitle="one") as spin:
        clock.now += 1
        spin.update(subtitle="two")
        assert cell.texts == ["Loading two"]
        assert states(cell)[-1]["current"] is None
    assert cell.texts == ["Loading done · two"]
    assert "<progress" not in cell.outputs[0].data["text/html"]


def test_eight_threads_count_exactly(cell: Any) -> None:
    with progress_bar(total=80_000, title="Threads") as bar:

        def work() -> None:
            for _ in range(10_000):
                bar.update()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    counts = [state["current"] for state in states(cell)]
    assert counts[-1] == 80_000
    assert counts == sorted(counts)
    assert len(cell.outputs) == 1


def test_a_bar_that_stops_changing_is_shown_in_its_last_state(cell: Any) -> None:
    arrived = threading.Event()
    bar = progress_bar(100)
    replace = bar._item.replace

    def replace_and_notify(data: dict[str, Any]) -> None:
        replace(data)
        if data[PROGRESS_MIME]["current"] == 7:
            arrived.set()

    item: Any = type("Item", (), {"replace": staticmethod(replace_and_notify)})()
    bar._item = item
    for _ in range(7):
        bar.update()
    assert arrived.wait(PATIENCE)
    assert states(cell)[-1]["current"] == 7


def test_a_state_that_changes_while_it_is_sent_is_sent_again(cell: Any, clock: Clock) -> None:
    bar = progress_bar(10)
    replace = bar._item.replace
    started, others = [], []

    def replace_slowly(data: dict[str, Any]) -> None:
        if not started:
            started.append(1)
            # Signal 1: another thread wants to send while this one does
            bar.update(10)
            thread = threading.Thread(target=bar.send)
            thread.start()
            thread.join(PATIENCE)
            others.append(thread.is_alive())
        replace(data)

    item: Any = type("Item", (), {"replace": staticmethod(replace_slowly)})()
    bar._item = item
    clock.now += 1
    bar.update(0)
    assert others == [False]
    assert [state["current"] for state in states(cell)] == [0, 0, 10]


def test_async_iterables_are_counted(cell: Any, clock: Clock) -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def main() -> list[int]:
        return [number async for number in progress_bar(numbers(), total=3)]

    assert asyncio.run(main()) == [0, 1, 2]
    assert states(cell)[-1]["current"] == 3


def test_without_a_known_total_steps_are_counted(cell: Any, clock: Clock) -> None:
    for _ in progress_bar(iter([1, 2]), title="Stream"):
        pass
    assert cell.texts == ["Stream 2"]
    assert states(cell)[-1]["total"] is None


def test_html_is_escaped() -> None:
    data = progress_data(Progress("<b>&", "<script>", 1, 2))
    assert "<strong>&lt;b&gt;&amp;</strong>" in data["text/html"]
    assert "&lt;script&gt;" in data["text/html"]
    assert data["text/plain"] == "<b>& [############------------] 1/2 · <script>"


def test_large_and_empty_totals_are_drawn() -> None:
    assert "1234567/10000000" in progress_data(Progress(current=1234567, total=10_000_000))["text/plain"]
    assert progress_data(Progress(current=0, total=0))["text/plain"] == f"[{'#' * 24}] 0/0"
    assert progress_data(Progress(current=7, total=5))["text/plain"] == f"[{'#' * 24}] 7/5"


def test_a_value_that_cannot_be_counted_is_refused() -> None:
    with pytest.raises(TypeError, match="an iterable or a number, not object"):
        progress_bar(object())  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="has no iterable"):
        list(progress_bar(3))


def test_widgets_of_a_retired_run_change_nothing(cell: Any, clock: Clock) -> None:
    bar = progress_bar(2)
    cell.execution.retire()
    bar.update(2)
    assert [state["current"] for state in states(cell)] == [0]


def test_without_a_kernel_the_last_state_is_written_to_standard_error() -> None:
    program = """
        import cellwire as cw
        for _ in cw.progress_bar(range(3), title="Steps"): pass
        with cw.spinner("Load") as spinner: spinner.update(subtitle="x")
        with cw.progress_bar(total=2, remove_on_exit=True) as bar: bar.update()
        print("out")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == "out\n"
    assert re.fullmatch(r"Steps \[#{24}\] 3/3 · .*/s\nLoad done · x\n", result.stderr)


HUGE = 10**400


class Uncounted:
    def __len__(self) -> int:
        raise TypeError("the length is not known")

    def __iter__(self) -> Any:
        return iter(range(3))


class Indexed:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        if index > 2:
            raise IndexError
        return index


@pytest.mark.parametrize(
    ("values", "current", "total"),
    [
        (Uncounted(), 3, None),
        (Indexed(), 3, 3),
        (np.arange(5), 5, 5),
        ({"a": 1}, 1, 1),
        (iter("ab"), 2, None),
    ],
)
def test_a_bar_takes_what_a_for_loop_takes(
    values: Any, current: int, total: int | None, cell: Any, clock: Clock
) -> None:
    assert len(list(progress_bar(values))) == current
    assert (states(cell)[-1]["current"], states(cell)[-1]["total"]) == (current, total)


@pytest.mark.parametrize("values", [range(10**20), range(10**20, 0, -1), range(0, 10**21, 10)])
def test_a_range_may_be_longer_than_len_can_say(values: range, cell: Any, clock: Clock) -> None:
    progress_bar(values)
    assert states(cell)[-1]["total"] == 10**20


@pytest.mark.parametrize(
    ("total", "increment"),
    [
        (np.int64(4), np.int64(4)),
        (np.float32(1), np.float32(1)),
        (Decimal(2), Decimal(2)),
        (Fraction(1, 2), Fraction(1, 2)),
        (True, True),
        (math.inf, math.inf),
        (-1, 1),
        pytest.param(HUGE, HUGE, id="huge"),
        (4, math.nan),
    ],
)
def test_a_bar_counts_in_numbers_of_any_class(total: Any, increment: Any, cell: Any, clock: Clock) -> None:
    clock.now += 1
    with progress_bar(total, title=np.str_("t"), subtitle=5) as bar:  # type: ignore[arg-type]
        bar.update(increment)
        clock.now += 1
    last = states(cell)[-1]
    assert {type(last["current"]), type(last["total"])} <= {int, float}
    assert (last["title"], last["subtitle"], last["done"]) == ("t", "5", True)
    expected = math.inf if increment is HUGE else float(increment)
    assert repr(float(last["current"])) == repr(expected)


@pytest.mark.parametrize("increment", ["3", None, 1j, b"1", [1]])
def test_what_is_no_number_is_refused_and_changes_nothing(increment: Any, cell: Any, clock: Clock) -> None:
    bar = progress_bar(3)
    with pytest.raises(TypeError):
        bar.update(increment)
    bar.__exit__(None, None, None)
    assert states(cell)[-1]["current"] == 0
