import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from cellwire.protocol.events import OutputsCleared
from cellwire.runner.api.output import cell_id, output, running_in_kernel
from cellwire.runner.api.values import html, md


def test_appended_values_are_items_in_order(cell: Any) -> None:
    output.append(1)
    output.append(html("<b>"))
    output.append(None)
    assert [item.data for item in cell.outputs] == [
        {"text/plain": "1"},
        {"text/html": "<b>", "text/plain": "<b>"},
        {"text/plain": "None"},
    ]


def test_a_handle_replaces_and_removes_its_own_item(cell: Any) -> None:
    first, second = output.append("first"), output.append("second")
    first.replace(md("**1**"))
    assert cell.texts == ["**1**", "'second'"]
    first.remove()
    first.replace("dropped")
    assert cell.texts == ["'second'"]
    second.replace(2)
    assert cell.texts == ["2"]


def test_replace_makes_a_value_the_only_item_and_none_clears(cell: Any) -> None:
    output.append(1)
    output.append(2)
    output.replace(3)
    assert cell.texts == ["3"]
    output.replace(None)
    assert cell.outputs == []
    assert cell.events[-1] == OutputsCleared("a", 1)


def test_replace_at_index_replaces_or_appends_or_refuses(cell: Any) -> None:
    output.replace_at_index("a", 0)
    output.replace_at_index("b", 1)
    output.replace_at_index("A", 0)
    assert cell.texts == ["'A'", "'b'"]
    with pytest.raises(IndexError):
        output.replace_at_index("c", 3)
    assert cell.texts == ["'A'", "'b'"]


def test_clear_empties_the_list_at_once(cell: Any) -> None:
    output.append(1)
    output.clear()
    assert cell.outputs == []


def test_code_of_each_of_two_cells_writes_to_its_own_cell(make_cell: Callable[[str], Any]) -> None:
    a, b = make_cell("a"), make_cell("b")
    with a:
        output.append("in a")
        assert (cell_id(), running_in_kernel()) == ("a", True)
        with b:
            output.append("in b")
            assert cell_id() == "b"
        output.append("in a again")
    assert (a.texts, b.texts) == (["'in a'", "'in a again'"], ["'in b'"])


def test_a_retired_list_ignores_every_change(cell: Any) -> None:
    handle = output.append("kept")
    cell.execution.retire()
    handle.replace("dropped")
    output.append("dropped")
    output.clear()
    assert cell.texts == ["'kept'"]


def test_formatting_may_append_to_the_same_list(cell: Any) -> None:
    class Nested:
        def __repr__(self) -> str:
            output.append("inner")
            return "outer"

    output.append(Nested())
    assert cell.texts == ["'inner'", "outer"]


def test_without_a_kernel_values_are_printed() -> None:
    program = """
        import cellwire as cw
        handle = cw.output.append([1])
        handle.replace("two")
        handle.remove()
        cw.output.replace(cw.md("**three**"))
        cw.output.replace(None)
        cw.output.replace_at_index(4, 7)
        cw.output.clear()
        cw.output.clear_console()
        print(cw.cell_id(), cw.running_in_kernel())
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30
    )
    assert result.stderr == ""
    assert result.stdout == "[1]\n'two'\n**three**\n4\nNone False\n"
