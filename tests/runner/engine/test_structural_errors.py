import msgspec
import pytest
from cellwire.protocol import events as e

FAULTY = {"MultipleDefinitions", "Cycle", "SyntaxError", "ImportStar"}


def kinds(book):
    return {id: cell.error.kind for id, cell in book.replica.cells.items() if cell.error}


def test_a_syntax_error_takes_the_old_definitions_and_readers_name_the_cell(book):
    book.run({"a": "x = 1", "b": "x", "c": "2"})
    finished = book.run({"a": "x = ="})
    assert finished.failed == ["a", "b"]
    assert kinds(book) == {"a": "SyntaxError", "b": "NameError"}
    assert "cell 'a'" in book["b"].error.message
    assert "syntax error" in book["b"].error.message
    assert book["a"].defs == []
    book.run({"a": "x = 2"})
    assert book.ran == ["a", "b"]
    assert kinds(book) == {}


def test_a_star_import_names_the_repair(book):
    book.run({"a": "from no_such_module import *"})
    assert book["a"].error.kind == "ImportStar"
    assert "import no_such_module" in book["a"].error.hint


def test_a_second_definition_is_the_error_of_whoever_came_second(book):
    book.run({"a": "x = 1", "r": "x"})
    finished = book.run({"b": "x = 2\ny = 1"})
    assert finished.failed == ["b"]
    assert book.ran == []
    assert kinds(book) == {"b": "MultipleDefinitions"}
    assert book["b"].error.cells == ["a"]
    assert "'x'" in book["b"].error.message
    assert book.globals["x"] == 1
    assert "y" not in book.globals


def test_both_carry_the_error_when_both_are_new(book):
    book.run({"a": "x = 1", "b": "x = 2"})
    assert kinds(book) == {"a": "MultipleDefinitions", "b": "MultipleDefinitions"}


def test_editing_a_valid_definer_keeps_it_valid(book):
    book.run({"a": "x = 1"})
    book.run({"b": "x = 2"})
    book.run({"a": "x = 3"})
    assert kinds(book) == {"b": "MultipleDefinitions"}
    assert book.globals["x"] == 3


def test_deleting_or_renaming_one_heals_the_other_without_being_asked(book):
    book.run({"a": "x = 1", "r": "x"})
    book.run({"b": "x = 2"})
    book.delete("a")
    assert book.emitted(e.CellSkipped, cell="b", status="idle")
    assert book.ran == ["b", "r"]
    assert book.texts("r") == ["2"]
    book.run({"c": "x = 3"})
    book.run({"b": "w = 2"})
    assert kinds(book) == {}
    assert book.texts("r") == ["3"]


def test_a_cell_that_deletes_the_name_instead_heals_the_other(book):
    book.run({"a": "x = 1", "b": "x = 2"})
    book.run({"b": "del x"})
    assert kinds(book) == {}
    assert book.ran == ["a", "b"]


def test_a_healed_cell_is_stale_in_lazy_mode(book):
    book.run({"a": "x = 1", "r": "x"})
    book.run({"b": "x = 2"})
    book.mode("lazy")
    book.delete("a")
    assert book.ran == []
    assert sorted(book.stale) == ["b", "r"]
    assert book["b"].status == "idle"


def test_every_cell_on_a_cycle_carries_it_with_the_names_along_the_way(book):
    finished = book.run({"a": "x = z", "b": "y = x", "c": "z = y", "d": "5"})
    assert finished.failed == ["a", "b", "c"]
    assert book.ran == ["d"]
    assert kinds(book) == {"a": "Cycle", "b": "Cycle", "c": "Cycle"}
    assert book["b"].error.cells == ["b", "c", "a"]
    assert all(name in book["a"].error.message for name in ("'x'", "'y'", "'z'"))


def test_repairing_one_cell_heals_the_whole_cycle(book):
    book.run({"a": "x = z", "b": "y = x", "c": "z = y\nz"})
    book.run({"a": "x = 1"})
    assert book.ran == ["a", "b", "c"]
    assert kinds(book) == {}
    assert book.texts("c") == ["1"]


def test_a_cycle_with_a_chord_is_healed_as_a_whole(book):
    book.run({"p": "c = d + a", "o": "a = 0 * d", "m": "d = c"})
    assert set(kinds(book).values()) == {"Cycle"}
    book.run({"m": "d = 1"})
    assert kinds(book) == {}
    assert book.globals["c"] == 1


def test_cells_behind_a_cycle_fail_with_its_name_and_others_run(book):
    book.run({"a": "x = y", "b": "y = x", "c": "x", "d": "1"})
    assert book.statuses == {"a": "error", "b": "error", "c": "error", "d": "ok"}
    assert "'a'" in book["c"].error.message


def test_what_a_cell_left_is_gone_when_it_becomes_part_of_a_cycle(book):
    book.run({"a": "x = 1", "b": "y = x\ny"})
    book.run({"a": "x = y"})
    assert not {"x", "y"} & book.globals.keys()
    assert book["b"].outputs == []
    assert kinds(book) == {"a": "Cycle", "b": "Cycle"}


def test_a_faulty_cell_that_is_asked_for_again_says_so_again(book):
    book.run({"a": "x ="})
    finished = book.run(["a"])
    assert finished.failed == ["a"]
    assert book["a"].run == 2


THOUSAND = range(1_000)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ({f"c{number}": "x = 1" for number in THOUSAND}, "MultipleDefinitions"),
        ({f"c{number}": f"x{number} = x{(number or 1_000) - 1}" for number in THOUSAND}, "Cycle"),
        (
            {f"c{number}": f"x{number} = y" for number in THOUSAND}
            | {"all": f"y = {THOUSAND}\n" + "\n".join(f"x{number}" for number in THOUSAND)},
            "Cycle",
        ),
        (
            {cell: "\n".join(f"x{number} = 1" for number in THOUSAND) for cell in "ab"},
            "MultipleDefinitions",
        ),
    ],
    ids=["name", "circle", "star", "names"],
)
def test_the_errors_of_a_thousand_cells_are_as_short_as_each_alone(book, cells, kind):
    finished = book.run(cells)
    assert sorted(finished.failed) == sorted(cells)
    assert set(kinds(book).values()) == {kind}
    for cell in book.replica.cells.values():
        assert len(msgspec.msgpack.encode(cell.error)) <= 1024
        assert len(cell.error.message) <= 300
    book.delete(*list(cells)[1:])
    assert not FAULTY & set(kinds(book).values())
