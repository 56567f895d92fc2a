"""Names that several cells make: each cell finds the version that the notebook above it makes."""

import pytest
from cellwire.protocol import events as e
from cellwire.protocol.limits import Limits


@pytest.fixture
def book(make_book):
    """Return a notebook whose cells may redefine names."""
    return make_book(redefine="allow")


def test_each_reader_finds_the_version_above_it_whichever_cells_run(book):
    book.run({"a": "df = 1", "b": "df + 10", "c": "df = 2", "d": "df + 20"})
    assert (book.texts("b"), book.texts("d")) == (["11"], ["22"])
    book.run(["b"])
    assert book.ran == ["b"]
    book.run({"c": "df = 3"})
    assert book.ran == ["c", "d"]
    book.run({"a": "df = 4"})
    assert book.ran == ["a", "b"]
    assert (book.texts("b"), book.texts("d")) == (["14"], ["23"])


def test_a_cell_that_redefines_what_it_reads_may_run_any_number_of_times(book):
    book.run({"a": "df = [3]", "b": "df = df + [4]", "c": "df"})
    for _ in range(2):
        book.run(["b"])
        assert book.ran == ["b", "c"]
        assert book.texts("c") == ["[3, 4]"]
    book.run({"a": "df = [5]"})
    assert book.ran == ["a", "b", "c"]
    assert book.texts("c") == ["[5, 4]"]


def test_an_augmented_assignment_starts_from_the_version_above_each_time(book):
    book.run({"a": "n = 1", "b": "n += 1", "c": "n += 1\nn"})
    book.run(["b"])
    book.run(["c"])
    book.run(["b", "c"])
    assert book.texts("c") == ["3"]


def test_a_name_that_a_cell_maybe_defines_is_otherwise_that_of_the_cell_above(book):
    book.run({"a": "x = 1\nc = False", "b": "if c: x = 2\nx", "d": "x"})
    assert book.texts("b") == ["1"]
    assert book.texts("d") == ["1"]
    book.run({"a": "x = 1\nc = True"})
    assert (book.texts("b"), book.texts("d")) == (["2"], ["2"])


def test_deleting_a_name_makes_a_version_that_is_absent(book):
    book.run({"a": "x = 1", "b": "x", "d": "del x", "c": "'x' in globals()", "r": "x"})
    assert book.texts("b") == ["1"]
    assert book.statuses["r"] == "error"
    assert book["r"].error.cells == ["a", "d"]
    assert "x" not in book.globals
    book.run(["d"])
    book.run(["b"])
    assert book.texts("b") == ["1"]
    assert book.statuses["d"] == "ok"
    assert "x" not in book.globals


def test_a_name_may_be_defined_again_below_the_cell_that_deletes_it(book):
    book.run({"a": "x = 1", "d": "del x", "b": "x = 2", "c": "x"})
    assert book.texts("c") == ["2"]
    book.run(["d"])
    assert book.ran == ["d"]
    assert (book.texts("c"), book.globals["x"]) == (["2"], 2)


def test_the_version_above_is_given_back_when_the_deleting_cell_goes(book):
    book.run({"a": "x = 1", "d": "del x", "r": "x", "e": "'x' in globals()"})
    assert book.statuses["r"] == "error"
    book.delete("d")
    assert (book.ran, book.texts("r")) == (["r"], ["1"])
    book.run(["e"])
    assert book.texts("e") == ["True"]


def test_a_cell_that_deletes_what_it_defined_takes_it_from_the_readers_above(book):
    book.run({"r": "x", "a": "x = 1"})
    assert book.texts("r") == ["1"]
    book.run({"a": "del x"})
    assert (book.ran, book.statuses) == (["r", "a"], {"r": "error", "a": "error"})


def test_a_cell_that_defines_what_it_deleted_gives_it_to_the_readers_above(book):
    book.run({"r": "x", "a": "del x"})
    assert book.statuses == {"r": "error", "a": "error"}
    book.run({"a": "x = 1"})
    assert (book.ran, book.texts("r")) == (["a", "r"], ["1"])


def test_functions_find_the_version_above_their_caller(book):
    book.run({"a": "x = 1", "f": "def f(): return x", "b": "f()", "c": "x = 2", "d": "f()", "e": "del x"})
    assert (book.texts("b"), book.texts("d")) == (["1"], ["2"])
    book.run(["b", "d"])
    assert (book.texts("b"), book.texts("d")) == (["1"], ["2"])
    book.run({"c": "x = 3"})
    assert book.ran == ["c", "d", "e"]
    assert book.texts("d") == ["3"]


def test_a_moved_cell_reads_another_version(book):
    book.run({"a": "x = [1]", "r": "x", "b": "x = 2"})
    book.run({"a": "x = [1]", "b": "x = 2", "r": "x"})
    assert book.texts("r") == ["2"]
    book.sync({"r": "x", "a": "x = [1]", "b": "x = 2"})
    assert book.stale == ["r"]
    book.run_stale()
    # No cell could need the version of `a` meanwhile, so it was not kept.
    assert (book.ran, book.texts("r")) == (["a", "r"], ["[1]"])


def test_between_runs_the_namespace_is_that_of_the_notebooks_end(book):
    book.run({"a": "x = 1", "r": "x", "b": "x = 2", "c": "y = x"})
    book.run(["r"])
    assert book.globals["x"] == 2
    book.run({"a": "x = 3"})
    assert (book.ran, book.globals["x"]) == (["a", "r"], 2)
    book.delete("b")
    assert (book.globals["x"], book.globals["y"]) == (3, 3)
    book.sync({"d": "del x"})
    assert book.globals["x"] == 3
    book.run_stale()
    assert "x" not in book.globals


def test_between_runs_a_thread_finds_the_names_of_the_notebooks_end(book):
    source = "import asyncio\nasync def later():\n  await gate.wait()\n  seen.append(x)\n  done.set()\n"
    book.run(
        {
            "s": "import asyncio\ngate, done, seen = asyncio.Event(), asyncio.Event(), []",
            "a": "x = 1",
            "r": "x",
            "t": source + "task = asyncio.create_task(later())",
            "b": "x = 2",
        }
    )
    book.run(["r"])
    book.globals["gate"].set()
    book.do(book.globals["done"].wait())
    assert book.globals["seen"] == [2]


def test_versions_are_references_and_a_change_inside_an_object_is_seen_by_all(book):
    book.run({"a": "x = [1]", "b": "y = x", "c": "x = x", "d": "x.append(2)\nx"})
    assert book.globals["y"] == [1, 2]
    book.run(["b"])
    assert book.globals["y"] == [1, 2]


def test_a_version_goes_with_its_cell_and_readers_find_the_one_above(book):
    book.run({"a": "x = [1]", "b": "x = 2", "r": "x", "c": "x = 3"})
    book.delete("b")
    # No cell could need the version of `a` before.
    assert (book.ran, book.texts("r"), book.globals["x"]) == (["a", "r"], ["[1]"], 3)
    book.delete("a")
    assert book.texts("r") == ["3"]


def test_a_version_of_a_cell_that_failed_is_what_it_had_bound_by_then(book):
    book.run({"a": "x = 1", "b": "x = 2\n1 / 0", "r": "x", "c": "x = 3", "s": "x"})
    assert book.statuses == {"a": "ok", "b": "error", "r": "cancelled", "c": "ok", "s": "ok"}
    book.run({"b": "x = 2"})
    assert book.ran == ["b", "r"]
    assert (book.texts("r"), book.texts("s"), book.globals["x"]) == (["2"], ["3"], 3)


# The end of the notebook


def test_a_light_version_that_nothing_needed_is_there_when_the_next_one_goes(book):
    book.run({"a": "x, y = 1, None", "b": "x, y = 2, 3", "c": "x = 'text'"})
    book.delete("c")
    assert (book.ran, book.globals["x"], book.globals["y"]) == ([], 2, 3)
    book.sync({"b": "y = 4"})
    assert (book.stale, book.globals["x"]) == (["b"], 1)
    book.delete("b")
    assert (book.ran, book.globals["x"], book.globals["y"]) == ([], 1, None)
    book.run({"a": "y = 5"})
    assert "x" not in book.globals


def test_the_namespace_is_that_of_the_end_when_cells_have_only_moved(book):
    book.run({"a": "x = 1", "b": "x = 2"})
    book.sync({"b": "x = 2", "a": "x = 1"})
    assert (book.ran, book.stale, book.globals["x"]) == ([], [], 1)
    book.sync({"a": "x = 1", "b": "x = 2"})
    assert (book.ran, book.stale, book.globals["x"]) == ([], [], 2)


@pytest.mark.parametrize("change", ["delete", "edit", "move"])
def test_a_cell_runs_again_for_the_end_of_the_notebook_if_its_version_was_dropped(book, change):
    book.run({"a": "x, z = [1], 0", "b": "x = [2]", "r": "z"})
    if change == "delete":
        book.delete("b")
        assert book.ran == ["a"]
    elif change == "edit":
        book.run({"b": "y = x"})
        assert book.ran == ["a", "b"]
    else:
        book.run({"b": "x = [2]", "a": "x, z = [1], 0"})
    assert book.globals["x"] == [1]
    assert book.stale == []


def test_a_cell_becomes_stale_for_the_end_of_the_notebook_where_nothing_runs_by_itself(book):
    book.mode("lazy")
    book.run({"a": "x, z = [1], 0", "b": "x = [2]", "r": "z"})
    book.delete("b")
    assert (book.ran, book.stale) == ([], ["a", "r"])
    book.run_stale()
    assert (book.ran, book.stale, book.globals["x"]) == (["a", "r"], [], [1])


def test_an_older_version_does_not_take_the_place_of_one_that_was_dropped(book):
    book.mode("lazy")
    book.run({"a": "x = [1]", "r": "x", "b": "x = [2]", "c": "x = [3]"})
    book.delete("c")
    assert (book.stale, "x" in book.globals) == (["b"], False)
    book.run(["r"])
    assert (book.ran, book.texts("r"), "x" in book.globals) == (["r"], ["[1]"], False)
    book.run_stale()
    assert (book.ran, book.globals["x"]) == (["b"], [2])


def test_a_cell_that_failed_does_not_run_again_for_the_end_of_the_notebook(book):
    book.run({"a": "x = [1]\n1 / 0", "b": "x = [2]"})
    book.delete("b")
    assert book.ran == []


def test_the_end_of_the_notebook_has_the_version_above_a_cell_that_defines_nothing_after_all(book):
    book.run({"a": "x = [1]", "b": "if False: x = 2", "c": "try: x = int('no')\nexcept ValueError: pass"})
    for cells in (["b"], ["c"], ["b", "c"]):
        book.run(cells)
        assert (book.ran, book.globals["x"]) == (cells, [1])


# Cells that await


GATE = {"s": "import asyncio\ngate = asyncio.Event()"}


def test_cells_that_need_different_versions_do_not_overlap(book):
    wait = "await asyncio.sleep(0)\nawait asyncio.sleep(0)\n"
    book.run({"s": "import asyncio", "a": "x = 1", "b": wait + "x", "c": wait + "x = 2", "d": wait + "x"})
    assert (book.texts("b"), book.texts("d")) == (["1"], ["2"])
    steps = [
        (type(event), event.cell) for event in book.events if type(event) in (e.CellStarted, e.CellFinished)
    ]
    for cell in "abcd":
        at = steps.index((e.CellStarted, cell))
        assert steps[at + 1] == (e.CellFinished, cell)


def test_cells_that_need_the_same_version_overlap(book):
    meet = "await barrier.wait()\nx"
    book.run(
        {
            "s": "import asyncio\nbarrier = asyncio.Barrier(2)",
            "a": "x = 1",
            "b": meet,
            "c": meet,
            "d": "x = 2",
        }
    )
    assert (book.texts("b"), book.texts("c"), book.globals["x"]) == (["1"], ["1"], 2)


def test_a_cell_with_other_names_overlaps_with_one_that_waits(book):
    book.run(
        GATE | {"a": "x = 1", "b": "await gate.wait()\nx", "c": "y = 2", "go": "gate.set()", "d": "x = 3"}
    )
    assert book.texts("b") == ["1"]
    assert book.ran[-2:] == ["go", "d"]


def test_a_redefinition_waits_for_a_function_that_reads_the_old_version(book):
    waits = "async def f():\n  await gate.wait()\n  return x"
    book.run(GATE | {"a": "x = 1", "f": waits, "b": "await f()", "go": "gate.set()", "c": "x = 2"})
    assert (book.texts("b"), book.globals["x"]) == (["1"], 2)


def test_a_cell_that_deletes_a_name_waits_for_a_reader_of_the_version_that_it_deletes(book):
    book.run(GATE | {"a": "x = 1", "b": "await gate.wait()\nx", "d": "del x", "go": "gate.set()"})
    assert book.texts("b") == ["1"]
    assert "x" not in book.globals


def test_a_reader_waits_for_a_cell_that_deletes_the_same_version(book):
    wait = "await asyncio.sleep(0)\nawait asyncio.sleep(0)\n"
    book.run({"s": "import asyncio", "d": wait + "del x", "a": "x = 1", "b": wait + "x"})
    assert book.statuses == {"s": "ok", "d": "ok", "a": "ok", "b": "ok"}
    assert (book.texts("b"), book.globals["x"]) == (["1"], 1)


# Few versions


def test_a_cell_whose_version_was_dropped_runs_again_when_a_reader_needs_it(make_book):
    book = make_book(redefine="allow", limits=Limits(versions=1))
    cells = {}
    for number in range(4):
        cells |= {f"c{number}": f"x = {number}", f"r{number}": "x"}
    book.run(cells)
    assert [book.texts(f"r{number}") for number in range(4)] == [["0"], ["1"], ["2"], ["3"]]
    book.run(["r0"])
    assert book.ran == ["c0", "r0"]
    assert book.texts("r0") == ["0"]
    assert book.stale == []


def test_whatever_is_dropped_readers_find_theirs_and_the_namespace_is_that_of_the_end(make_book):
    book = make_book(redefine="allow", limits=Limits(versions=1))
    cells = {}
    for number in range(5):
        cells |= {f"c{number}": f"x = {number}", f"r{number}": "x"}
    book.run(cells)
    for number in (3, 0, 2, 4, 1, 3):
        book.run([f"r{number}"])
        assert book.texts(f"r{number}") == [str(number)]
        assert book.globals["x"] == 4


def test_a_version_is_not_dropped_before_the_cells_of_the_run_that_find_it(make_book):
    book = make_book(redefine="allow", limits=Limits(versions=1))
    # `late` needs what stands below all others, so it runs after the cell that makes the next version.
    book.run({"a": "x = 1", "late": "x, last", "b": "x = 2", "r": "x", "c": "x = 3", "z": "last = 0"})
    assert (book.texts("late"), book.texts("r"), book.globals["x"]) == (["(1, 0)"], ["2"], 3)


def test_of_many_cells_that_may_define_a_name_none_runs_again_when_the_last_goes(make_book):
    book = make_book(redefine="allow", limits=Limits(versions=2))
    book.run({f"c{number}": f"for x in [[{number}]]: pass" for number in range(9)})
    book.delete("c8")
    assert (book.ran, book.globals["x"]) == ([], [7])


def test_the_bound_holds_once_the_run_is_over(make_book):
    book = make_book(redefine="allow", limits=Limits(versions=1))
    late = {f"l{number}": "x, last" for number in range(3)}
    makers = {f"c{number}": f"x = [{number}]" for number in range(4)}
    cells = [pair for both in zip(makers.items(), late.items(), strict=False) for pair in both]
    book.run(dict(cells) | {"c3": "x = [3]", "z": "last = 0"})
    assert [book.texts(cell) for cell in late] == [["([0], 0)"], ["([1], 0)"], ["([2], 0)"]]
    # One is put aside, that of the end is in place.
    assert len(book.engine._namespace.dropped) == 2
    book.run(["l1"])
    assert book.texts("l1") == ["([1], 0)"]


def test_without_a_bound_no_cell_runs_again_for_its_version(make_book):
    book = make_book(redefine="allow", limits=Limits(versions=0))
    cells = {}
    for number in range(300):
        cells |= {f"c{number}": f"x = {number}", f"r{number}": "x"}
    book.run(cells)
    book.run(["r0"])
    assert book.ran == ["r0"]


def test_a_version_that_no_cell_can_read_is_not_kept(make_book):
    book = make_book(redefine="allow", limits=Limits(versions=1))
    book.run({"a": "x = 1", "r": "x"} | {f"c{number}": f"x = {number}" for number in range(5)})
    book.run(["r"])
    assert book.ran == ["r"]


def test_names_with_one_maker_are_left_alone(book):
    book.run({"a": "x = 1", "b": "x", "c": "y = 2"})
    book.globals["x"] = 5
    book.run(["b"])
    assert book.texts("b") == ["5"]


def test_a_name_that_a_cell_below_could_not_delete_is_missing_above_it(book):
    book.run({"a": "x = 1", "b": "1 / 0\ndel x"})
    assert (book["a"].status, book["b"].error.kind) == ("ok", "ZeroDivisionError")
    book.run({"a": "_y = x"})
    assert book["a"].error.kind == "NameError"
    assert "x" not in book.globals
