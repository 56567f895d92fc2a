"""History: this process, earlier ones, several at once, and files that cannot be used."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cellwire.frontends.jupyter.history import History


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "made" / "history.sqlite"


@pytest.fixture
def history(file: Path) -> Iterator[History]:
    history = History(file)
    yield history
    history.close()


def _filled(history: History, *sources: str) -> History:
    for line, source in enumerate(sources, 1):
        history.add(line, source)
    return history


def _sources(history: History, **content: Any) -> list[Any]:
    return [entry[2] for entry in history.answer(content)]


def test_the_tail_is_the_newest_oldest_first(history: History) -> None:
    _filled(history, "a", "b", "c")
    assert _sources(history, hist_access_type="tail", n=2) == ["b", "c"]
    assert _sources(history) == ["a", "b", "c"]


def test_outputs_are_given_where_they_are_asked_for(history: History) -> None:
    _filled(history, "1 + 1", "x = 1").add_output(1, "2")
    assert _sources(history, output=True) == [("1 + 1", "2"), ("x = 1", None)]


def test_a_range_ends_before_its_stop(history: History) -> None:
    _filled(history, "a", "b", "c")
    history.save()
    assert _sources(history, hist_access_type="range", session=0, start=1, stop=3) == ["a", "b"]
    assert _sources(history, hist_access_type="range", session=0, start=2) == ["b", "c"]


def test_a_search_may_leave_out_repetitions(history: History) -> None:
    _filled(history, "x = 1", "y", "x = 1", "x = 2")
    assert _sources(history, hist_access_type="search", pattern="x*") == ["x = 1", "x = 1", "x = 2"]
    assert _sources(history, hist_access_type="search", pattern="x*", unique=True) == ["x = 1", "x = 2"]
    assert _sources(history, hist_access_type="search", pattern="x*", n=1) == ["x = 2"]


def test_another_process_is_another_session(file: Path) -> None:
    first = _filled(History(file), "a", "b")
    first.close()
    second = _filled(History(file), "c")
    entries = second.answer({"hist_access_type": "tail", "n": 10})
    assert [entry[2] for entry in entries] == ["a", "b", "c"]
    assert entries[0][0] != entries[2][0]
    assert _sources(second, hist_access_type="range", session=-1, start=1) == ["a", "b"]
    assert _sources(second, hist_access_type="range", session=entries[0][0], start=2) == ["b"]
    second.close()


def test_what_is_not_kept_is_history_of_this_process_alone(file: Path) -> None:
    first = History(file)
    first.add(1, "typed")
    first.add(2, "of a program", kept=False)
    first.add_output(2, "shown")
    assert _sources(first) == ["typed", "of a program"]
    first.add(3, "of a program again", kept=False)
    assert _sources(first, hist_access_type="range", session=0, start=2) == [
        "of a program",
        "of a program again",
    ]
    assert _sources(first, hist_access_type="search", pattern="of*", output=True)[0] == (
        "of a program",
        "shown",
    )
    first.close()
    second = History(file)
    assert _sources(second) == ["typed"]
    second.close()


def test_a_process_that_keeps_nothing_makes_no_file(file: Path) -> None:
    history = History(file)
    history.add(1, "of a program", kept=False)
    assert not history.pending
    history.close()
    assert not file.exists()


def test_what_two_processes_write_in_turns_is_all_there(file: Path) -> None:
    one, two = History(file), History(file)
    for line in range(1, 6):
        one.add(line, f"one {line}")
        two.add(line, f"two {line}")
        one.save()
        two.save()
    assert len(_sources(one)) == len(_sources(two)) == 10
    one.close()
    two.close()


def test_the_user_alone_may_read_the_file(history: History, file: Path) -> None:
    _filled(history, "password = 1").save()
    assert {path.stat().st_mode & 0o077 for path in [file, *file.parent.iterdir()]} == {0}
    assert not history.pending


def test_without_a_usable_file_it_is_that_of_this_process(tmp_path: Path) -> None:
    for name, content in (("broken", b"no database" * 1000), ("ends/in/a/file", b"")):
        place = tmp_path / name
        if content:
            place.write_bytes(content)
        else:
            (tmp_path / "ends").write_text("")
        history = _filled(History(place), "a", "b")
        assert _sources(history, n=1) == ["b"]
        history.close()


def test_what_could_not_be_written_is_written_later(history: History, file: Path) -> None:
    _filled(history, "a").save()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    history.add(2, "b")
    history.save()
    assert history.pending
    other.close()
    assert _sources(history) == ["a", "b"]
