"""Widgets under a Jupyter frontend: what follows them, and which messages come in which order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.jupyter import idle, started
from support.page import Page, opened
from support.waiting import wait_until

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def page() -> Iterator[Page]:
    with started() as jupyter, opened(jupyter) as page:
        yield page


def shown(page: Page, cell: str, source: str) -> str:
    """Execute a cell that shows a widget, and return the name of its model."""
    request = page.send(cell, source)
    [*_, result] = page.jupyter.until(request, lambda message: VIEW in str(message["content"].get("data")))
    page.jupyter.reply(request)
    page.rest()
    return result["content"]["data"][VIEW]["model_id"]


def move(page: Page, model: str, value: int) -> str:
    """Send what the view of a slider sends when it is moved."""
    data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
    return page.jupyter.send("shell", "comm_msg", {"comm_id": model, "data": data})


def test_a_slider_runs_readers_of_its_value_and_nobody_else(page: Page) -> None:
    model = shown(page, "slider", "import ipywidgets\nslider = ipywidgets.IntSlider(3)\nslider")
    page.run("reader", "('value', slider.value)")
    page.run("shows", "ipywidgets.VBox([slider]);")
    page.run("observes", "seen = []\nslider.observe(seen.append, 'value')")
    page.run("other", "slider.max")
    move(page, model, 8)
    assert page.rest() == ["reader"]
    assert page.shows("reader") == ["('value', 8)"]
    assert page.jupyter.run("len(seen)").result == "1"
    assert page.run("mover", "slider.value = 5") == ["mover", "reader"]
    assert page.shows("reader") == ["('value', 5)"]


def test_fifty_moves_run_a_dependent_once(page: Page, tmp_path: Path) -> None:
    model = shown(page, "slider", "import ipywidgets\nslider = ipywidgets.IntSlider(0)\nslider")
    page.run("reader", "('value', slider.value)")
    go = tmp_path / "go"
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    busy = page.send("busy", f"import os, time\nprint('waits', flush=True)\n{wait}")
    page.jupyter.until(busy, lambda message: message["msg_type"] == "stream")
    moves = [move(page, model, value) for value in range(1, 51)]
    page.jupyter.ask("kernel_info_request", channel="control")
    go.touch()
    page.jupyter.reply(busy)
    for moved in moves:
        page.jupyter.until(moved, idle)
    assert page.rest() == ["busy", "reader"]
    assert page.shows("reader") == ["('value', 50)"]


def test_text_inside_an_output_widget_is_between_its_two_messages(page: Page) -> None:
    ran = page.jupyter.run(
        "import ipywidgets\nout = ipywidgets.Output()\nprint('before', flush=True)\n"
        "with out:\n    print('inside')\n    display(1)\nprint('after')"
    )
    told: list[Any] = []
    for message in ran.messages:
        content = message["content"]
        state = content.get("data", {}).get("state", {}) if message["msg_type"] == "comm_msg" else {}
        if "msg_id" in state:
            told.append(state["msg_id"] == ran.id)
        elif message["msg_type"] in ("stream", "display_data"):
            told.append(content.get("text") or content["data"]["text/plain"])
    assert told == ["before\n", True, "inside\n", "1", False, "after\n"]


def test_a_cell_may_await_a_widget(page: Page) -> None:
    model = shown(page, "slider", "import asyncio, ipywidgets\nslider = ipywidgets.IntSlider(0)\nslider")
    waiting = page.send(
        "waits",
        "moved = asyncio.get_running_loop().create_future()\n"
        "slider.observe(lambda change: moved.set_result(change.new), 'value')\n"
        "print('waits', flush=True)\nawait moved",
    )
    page.jupyter.until(waiting, lambda message: message["msg_type"] == "stream")
    move(page, model, 7)
    [*_, result] = page.jupyter.until(waiting, lambda message: message["msg_type"] == "execute_result")
    assert result["content"]["data"]["text/plain"] == "7"


def test_an_endless_widget_callback_can_be_interrupted(page: Page) -> None:
    source = (
        "import ipywidgets\nslider = ipywidgets.IntSlider(0)\n"
        "def endless(change):\n    print('moved', change.new, flush=True)\n    while change.new == 1: pass\n"
        "slider.observe(endless, 'value')\nslider"
    )
    model = shown(page, "slider", source)
    console = page.native.notebook.cells["slider"].console
    moved = move(page, model, 1)
    wait_until(lambda: page.native.ping() and "moved 1" in console.text())
    page.jupyter.ask("interrupt_request", channel="control")
    page.jupyter.until(moved, idle)
    page.jupyter.until(move(page, model, 2), idle)
    wait_until(lambda: page.native.ping() and "moved 2" in console.text())
    assert page.jupyter.run("slider.value").result == "2"


def test_more_moves_than_the_runner_takes_at_a_time_all_arrive_and_completions_do_not_wait(
    page: Page, tmp_path: Path
) -> None:
    source = "import ipywidgets\nseen = []\nslider = ipywidgets.IntSlider(0, 0, 999)\n"
    model = shown(
        page, "slider", f"{source}slider.observe(lambda change: seen.append(change.new), 'value')\nslider"
    )
    go = tmp_path / "go"
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    busy = page.send("busy", f"import os, time\nprint('waits', flush=True)\n{wait}")
    page.jupyter.until(busy, lambda message: message["msg_type"] == "stream")
    moves = [move(page, model, value) for value in range(1, 501)]
    completion = page.jupyter.ask("complete_request", {"code": "sli", "cursor_pos": 3})
    assert "slider" in completion["matches"]
    go.touch()
    page.jupyter.reply(busy)
    for moved in moves:
        page.jupyter.until(moved, idle)
    assert page.jupyter.run("seen == list(range(1, 501))").result == "True"


def test_each_message_is_idle_when_the_runner_ends_before_it_has_come_to_it(
    page: Page, tmp_path: Path
) -> None:
    model = shown(page, "slider", "import ipywidgets\nslider = ipywidgets.IntSlider(0)\nslider")
    go = tmp_path / "go"
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    busy = page.send("busy", f"import os, time\nprint('waits', flush=True)\n{wait}\nos._exit(1)")
    page.jupyter.until(busy, lambda message: message["msg_type"] == "stream")
    moves = [move(page, model, value) for value in range(1, 201)]
    page.jupyter.ask("kernel_info_request")
    go.touch()
    assert page.jupyter.reply(busy)["status"] == "error"
    for moved in moves:
        states = [
            message["content"]["execution_state"]
            for message in page.jupyter.until(moved, idle)
            if message["msg_type"] == "status"
        ]
        assert states == ["busy", "idle"]
