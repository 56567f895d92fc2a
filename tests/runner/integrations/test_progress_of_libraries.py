import types
from collections.abc import Callable
from typing import Any

import pytest
import rich.console
import rich.live
import rich.progress
import rich.text
from cellwire.runner.integrations.progress_of_libraries import _patch_rich, _patch_tqdm


class File:
    """What a console of rich writes to."""

    #: As the streams of cells say.
    follows_redirection = True

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> rich.console.Console:
    """A console of a cell."""
    for name in ("refresh", "stop"):
        monkeypatch.setattr(rich.live.Live, name, getattr(rich.live.Live, name))
    _patch_rich(rich.live)
    return rich.console.Console(file=File(), force_terminal=False)  # type: ignore[arg-type]


def test_a_live_display_is_one_item_that_changes(cell: Any, console: rich.console.Console) -> None:
    with rich.live.Live(rich.text.Text("one"), console=console, auto_refresh=False) as live:
        live.refresh()
        assert cell.texts == ["one\n"]
        live.update(rich.text.Text("two"), refresh=True)
        assert cell.texts == ["two\n"]
    assert cell.texts == ["two\n"]
    assert console.file.text == ""  # type: ignore[attr-defined]


def test_a_transient_display_is_removed_at_its_end(cell: Any, console: rich.console.Console) -> None:
    with rich.live.Live(rich.text.Text("one"), console=console, auto_refresh=False, transient=True) as live:
        live.refresh()
        assert cell.texts == ["one\n"]
    assert cell.texts == []


def test_progress_is_shown_while_it_changes(cell: Any, console: rich.console.Console) -> None:
    shown = []
    for _ in rich.progress.track([1, 2], "Work", console=console, auto_refresh=False):
        shown += cell.texts
    assert len(cell.texts) == 1
    assert "100%" in cell.texts[0]
    assert "Work" in shown[-1]


def test_outside_any_cell_rich_prints_the_last_state(console: rich.console.Console) -> None:
    with rich.live.Live(rich.text.Text("one"), console=console, auto_refresh=False) as live:
        live.update(rich.text.Text("two"), refresh=True)
    assert console.file.text == "two"  # type: ignore[attr-defined]


def test_a_bar_of_tqdm_writes_to_the_cell_that_made_it(make_cell: Callable[[str], Any]) -> None:
    from cellwire.runner.attribution.context import current_execution

    seen: list[Any] = []

    class Bar:
        @staticmethod
        def status_printer(_file: Any) -> Callable[[str], None]:
            return lambda _text: seen.append(current_execution.get())

    module = types.SimpleNamespace(tqdm=Bar)
    _patch_tqdm(module)
    a, b = make_cell("a"), make_cell("b")
    with a:
        show = Bar.status_printer(None)
    with b:
        show("from another cell, or from the thread of the process")
        assert current_execution.get() is b.execution
    assert seen == [a.execution]
