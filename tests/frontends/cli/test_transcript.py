"""The order in which a person reads what happens: one block after another, nothing lost, nothing twice."""

import io
from typing import Any

import pytest
from cellwire.frontends.cli.lines import LinesDisplay
from cellwire.frontends.cli.transcript import Transcript
from cellwire.protocol import events as e
from cellwire.protocol.mime_types import ERROR_MIME, PROGRESS_MIME
from cellwire.protocol.notebook import CellError, Item, Notebook
from cellwire.protocol.reducer import apply

DECLARED = e.GraphChanged([e.CellDeclared("a"), e.CellDeclared("b"), e.CellDeclared("c")])


def report(*events: Any, close: bool = True) -> str:
    """Return what `events` look like on standard output and, in angle brackets, on standard error."""
    out = io.StringIO()

    class Err(io.StringIO):
        def write(self, text: str) -> int:
            return out.write(f"<{text.rstrip()}>\n")

    transcript = Transcript(LinesDisplay(out, Err()), {"c": "The third"})
    for event in (DECLARED, *events):
        transcript.add(event)
    if close:
        transcript.close()
    return out.getvalue()


def started(cell: str, run: int = 1) -> e.CellStarted:
    return e.CellStarted(cell, run)


def finished(cell: str, run: int = 1) -> e.CellFinished:
    return e.CellFinished(cell, run)


def written(cell: str, text: str, run: int = 1, stream: Any = "stdout") -> e.ConsoleWritten:
    return e.ConsoleWritten(cell, run, stream, text)


def appended(cell: str, id: int, text: str, run: int = 1) -> e.OutputAppended[Item]:
    return e.OutputAppended(cell, run, Item(id, {"text/plain": text}))


def test_a_cell_is_its_name_its_lines_and_its_items() -> None:
    shown = report(started("a"), written("a", "x\ny\n"), appended("a", 1, "5"), finished("a"), started("c"))
    assert shown == "[a]\nx\ny\n5\n\n[The third]\n"


def test_complete_lines_are_shown_while_the_cell_runs() -> None:
    assert report(started("a"), written("a", "one\ntw"), close=False) == "[a]\none\n"


def test_items_are_shown_once_in_their_last_state() -> None:
    shown = report(
        started("a"),
        appended("a", 1, "first"),
        appended("a", 2, "second"),
        e.OutputReplaced("a", 1, Item(1, {"text/plain": "FIRST"})),
        e.OutputRemoved("a", 1, 2),
        finished("a"),
    )
    assert shown == "[a]\nFIRST\n"


def replaced(cell: str, id: int, text: str) -> e.OutputReplaced[Item]:
    return e.OutputReplaced(cell, 1, Item(id, {"text/plain": text}))


def test_lines_and_items_are_shown_in_the_order_in_which_they_were_written() -> None:
    rounds = [event for i in range(3) for event in (written("a", f"{i}\n"), appended("a", i, f"item {i}"))]
    shown = report(
        started("a"), *rounds, written("a", "no end of line"), appended("a", 3, "last"), finished("a")
    )
    assert shown == "[a]\n0\nitem 0\n1\nitem 1\n2\nitem 2\nno end of line\nlast\n"


def test_an_item_is_shown_while_the_cell_runs_when_a_line_follows_it() -> None:
    events = [started("a"), appended("a", 0, "item"), written("a", "line\n"), appended("a", 1, "next")]
    assert report(*events, close=False) == "[a]\nitem\nline\n"


def test_an_item_that_changed_after_it_was_shown_is_shown_again_at_the_end() -> None:
    shown = report(
        started("a"),
        appended("a", 0, "zero"),
        appended("a", 1, "one"),
        written("a", "line\n"),
        replaced("a", 0, "ZERO"),
        replaced("a", 0, "null"),
        written("a", "line\n"),
        appended("a", 2, "two"),
        replaced("a", 1, "gone"),
        e.OutputRemoved("a", 1, 1),
        finished("a"),
    )
    assert shown == "[a]\nzero\none\nline\nline\ntwo\nnull\n"


def test_lines_do_not_wait_for_a_progress_item_at_work() -> None:
    def bar(current: int, done: bool) -> Item:
        state = {"title": "Bar", "current": current, "total": 2, "done": done}
        return Item(0, {"text/plain": "Bar", PROGRESS_MIME: state})

    shown = report(
        started("a"),
        e.OutputAppended("a", 1, bar(0, False)),
        written("a", "one\n"),
        e.OutputReplaced("a", 1, bar(1, False)),
        written("a", "two\n"),
        e.OutputReplaced("a", 1, bar(2, True)),
        written("a", "three\n"),
        finished("a"),
    )
    assert shown == "[a]\none\ntwo\nBar 2/2\nthree\n"


def test_overlapping_cells_are_shown_one_after_the_other() -> None:
    shown = report(
        started("a"), started("b"), written("b", "b1\n"), written("a", "a1\n"), finished("b"), finished("a")
    )
    assert shown == "[a]\na1\n\n[b]\nb1\n"


def test_what_threads_write_after_the_end_is_shown_as_later() -> None:
    shown = report(
        started("a"),
        appended("a", 1, "1"),
        finished("a"),
        appended("a", 2, "2"),
        written("a", "late"),
        started("b"),
    )
    assert shown == "[a]\n1\n\n[a] (later)\n2\nlate\n\n[b]\n"


def test_late_writing_of_a_cell_waits_for_the_cell_that_is_being_shown() -> None:
    shown = report(
        started("a"),
        finished("a"),
        started("b"),
        written("a", "late\n"),
        written("b", "now\n"),
        finished("b"),
    )
    assert shown == "[a]\n\n[b]\nnow\n\n[a] (later)\nlate\n"


def test_late_items_are_shown_before_a_new_run_takes_them_away() -> None:
    shown = report(started("a"), finished("a"), appended("a", 1, "late"), started("a", 2), finished("a", 2))
    assert shown == "[a]\n\n[a] (later)\nlate\n\n[a]\n"


def test_what_belongs_to_an_earlier_run_is_not_shown() -> None:
    assert (
        report(started("a"), started("a", 2), written("a", "old\n", 1), appended("a", 1, "old", 1))
        == "[a]\n\n[a]\n"
    )


def test_outcomes_other_than_ok_are_named_and_an_error_is_not_shown_twice() -> None:
    error = CellError("ZeroDivisionError", "division by zero", "Traceback ...")
    item = Item(1, {"text/plain": "Traceback ...", ERROR_MIME: {}})
    shown = report(
        started("a"),
        e.OutputAppended("a", 1, item),
        e.CellFinished("a", 1, "error", error=error),
        e.CellSkipped("b", 1, "cancelled", CellError("Cancelled", "not run because cell 'a' failed")),
        started("c"),
        e.CellFinished("c", 1, "stopped"),
    )
    assert shown == (
        "[a]\nerror: ZeroDivisionError: division by zero\n\n"
        "[b]\ncancelled: not run because cell 'a' failed\n\n"
        "[The third]\nstopped\n"
    )


def test_a_healed_cell_is_not_shown() -> None:
    assert report(e.CellSkipped("a", 1, "idle")) == ""


def test_standard_error_goes_to_standard_error_under_the_name_of_its_cell() -> None:
    shown = report(
        started("a"), written("a", "bad\n", stream="stderr"), written("a", "good\n"), finished("a")
    )
    assert shown == "[a]\n<bad>\ngood\n"


def test_text_of_no_cell_is_shown_as_the_notebooks() -> None:
    assert report(e.ConsoleWritten("", 0, "stdout", "who?\n")) == "[notebook]\nwho?\n"


def test_cleared_text_that_has_not_been_shown_is_not() -> None:
    shown = report(
        started("a"),
        started("b"),
        written("b", "gone\n"),
        e.ConsoleCleared("b", 1, "stdout"),
        written("b", "kept"),
        finished("a"),
        finished("b"),
    )
    assert shown == "[a]\n\n[b]\nkept\n"


def test_a_line_that_comes_in_pieces_is_shown_as_a_terminal_leaves_it() -> None:
    pieces = ("50%", "\r", "\x1b[3", "2mdone", "\x1b[0m", "\b\b!\nnext", "\r\n")
    shown = report(started("a"), *(written("a", piece) for piece in pieces), finished("a"))
    assert shown == "[a]\n\x1b[32mdo\x1b[0m!\x1b[0;32me\x1b[0m\nnext\n"


def test_of_a_progress_bar_drawn_with_carriage_returns_the_last_state_is_shown() -> None:
    events = [written("a", f"\r{n:3}%|{'#' * (n // 20)}", stream="stderr") for n in range(101)]
    assert report(started("a"), *events, finished("a")) == "[a]\n<100%|#####>\n"


def test_unfinished_cells_are_shown_as_far_as_they_are() -> None:
    assert report(started("a"), written("a", "half"), appended("a", 1, "item")) == "[a]\nhalf\nitem\n"


def test_a_progress_item_is_shown_without_what_depends_on_the_time() -> None:
    state = {"title": "Work", "current": 3, "total": 4.0, "subtitle": "now", "rate": 1.234, "eta": 9.0}
    item = Item(1, {"text/plain": "Work 3/4 1.234/s", PROGRESS_MIME: state})
    assert report(started("a"), e.OutputAppended("a", 1, item), finished("a")) == "[a]\nWork 3/4 · now ...\n"


def test_a_transcript_that_begins_late_shows_what_is_there_and_goes_on() -> None:
    notebook = Notebook()
    for event in (
        DECLARED,
        started("a"),
        written("a", "before\n"),
        appended("a", 1, "1"),
        e.ConsoleWritten("a", 1, "stdout", "between\n", 2),
        appended("a", 2, "2"),
        finished("a"),
        started("b"),
    ):
        apply(notebook, event)
    out = io.StringIO()
    transcript = Transcript(LinesDisplay(out, io.StringIO()))
    transcript.start_from(notebook)
    transcript.add(written("b", "after\n"))
    transcript.add(finished("b"))
    assert out.getvalue() == "[a]\nbefore\n1\nbetween\n2\n\n[b]\nafter\n"


def test_after_missed_events_the_state_is_shown_again() -> None:
    cell = e.CellRestored(cell=_cell("a", run=2))
    shown = report(started("a"), e.NotebookRestored(), cell, written("a", "text\n", 2), e.RunFinished(2))
    assert shown == "[a]\n<events were missed; what follows is the state after them>\n\n[a] (later)\ntext\n"


def _cell(id: str, run: int) -> Any:
    from cellwire.protocol.notebook import CellState

    return CellState(id, run=run)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"text/plain": "_md()", "text/markdown": "# Title\n\ntext"}, "# Title\n\ntext"),
        ({"text/plain": "<b>bold</b> text", "text/html": "<b>bold</b> text"}, "bold text"),
        ({"text/plain": "<a.B object at 0x7f12>", "text/html": "<p>one</p><p>two</p>"}, "one\ntwo"),
        (
            {"text/plain": "<a.B object at 0x7f12>", "text/html": "<iframe></iframe>"},
            "<a.B object at 0x7f12>",
        ),
        ({"text/plain": "<iframe></iframe>", "text/html": "<iframe></iframe>"}, "(text/html, 17 characters)"),
        ({"text/plain": "   x\n0  1", "text/html": "<table>...</table>"}, "   x\n0  1"),
        ({"text/plain": "figure", "image/png": b"12345"}, "figure\n(image/png, 5 bytes)"),
    ],
    ids=["markdown", "html", "html-of-an-anonymous-object", "no-text", "html-without-text", "table", "image"],
)
def test_an_item_is_shown_in_the_text_that_says_most(data: dict[str, Any], shown: str) -> None:
    event = e.OutputAppended("a", 1, Item(1, data))
    assert report(started("a"), event, finished("a")) == f"[a]\n{shown}\n"
