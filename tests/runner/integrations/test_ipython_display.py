from collections.abc import Callable
from typing import Any

import IPython.core.display_functions as functions
import IPython.display
import pytest
from cellwire.runner.integrations import ipython_display

NAMES = ("display", "publish_display_data", "clear_output")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setattr(functions, name, getattr(functions, name))
    ipython_display.install_displays()
    # As `from IPython.display import …` finds them when it is imported after the installation.
    for name in NAMES:
        monkeypatch.setattr(IPython.display, name, getattr(functions, name))


def test_displayed_objects_are_items(cell: Any) -> None:
    IPython.display.display(1, IPython.display.HTML("<b>2</b>"))
    assert [item.data.get("text/html") for item in cell.outputs] == [None, "<b>2</b>"]
    assert cell.texts[0] == "1"


def test_ipythons_own_classes_are_shown(cell: Any) -> None:
    show = IPython.display.display
    show(IPython.display.Markdown("**m**"))
    show(IPython.display.Image(data=b"\x89PNG\r\n\x1a\nrest", format="png", width=3))
    show(IPython.display.JSON({"a": 1}))
    show(IPython.display.Latex("$x$"))
    markdown, image, json, latex = (item.data for item in cell.outputs)
    assert markdown["text/markdown"] == "**m**"
    assert image["image/png"] == b"\x89PNG\r\n\x1a\nrest"
    assert cell.outputs[1].metadata["image/png"] == {"width": 3}
    assert json["application/json"] == {"a": 1}
    assert latex["text/latex"] == "$x$"


def test_a_display_id_updates_its_items(cell: Any) -> None:
    handle = IPython.display.display("first", display_id=True)
    assert handle is not None
    IPython.display.display("other")
    handle.update("second")
    assert cell.texts == ["'second'", "'other'"]
    IPython.display.update_display("third", display_id=handle.display_id)
    assert cell.texts == ["'third'", "'other'"]
    handle.display("again")
    handle.update("both")
    assert cell.texts == ["'both'", "'other'", "'both'"]


def test_the_display_id_of_an_item_is_in_its_metadata(cell: Any) -> None:
    IPython.display.display(1, display_id="named")
    IPython.display.display(2)
    assert [item.metadata for item in cell.outputs] == [{"cellwire": {"display_id": "named"}}, {}]


def test_an_update_of_what_nobody_has_displayed_shows_nothing(cell: Any) -> None:
    IPython.display.update_display(1, display_id="never displayed")
    assert cell.outputs == []


def test_a_handle_without_content_is_an_empty_item_to_fill(cell: Any) -> None:
    handle = IPython.display.display(display_id="here")
    assert handle is not None
    assert cell.texts == [""]
    handle.update(5)
    assert cell.texts == ["5"]


def test_raw_bundles_metadata_and_a_choice_of_mime_types(cell: Any) -> None:
    display = IPython.display.display
    display({"text/html": "<i>"}, raw=True, metadata={"text/html": {"isolated": True}})
    display(IPython.display.HTML("x"), exclude=["text/html"])
    display(IPython.display.HTML("x"), include=["text/html"])
    IPython.display.publish_display_data({"text/plain": "published", "application/json": {1: {2}}})
    assert cell.outputs[0].data == {"text/plain": "", "text/html": "<i>"}
    assert cell.outputs[0].metadata == {"text/html": {"isolated": True}}
    assert list(cell.outputs[1].data) == ["text/plain"]
    assert set(cell.outputs[2].data) == {"text/plain", "text/html"}
    assert cell.outputs[3].data == {"text/plain": "published", "application/json": {"1": [2]}}


def test_clearing_empties_the_cells_outputs(cell: Any) -> None:
    IPython.display.display(1)
    IPython.display.clear_output(wait=True)
    assert cell.outputs == []
    IPython.display.display(1)
    IPython.display.display(2, clear=True)
    assert cell.texts == ["2"]


def test_an_object_that_displays_itself_does(cell: Any) -> None:
    class Own:
        def _ipython_display_(self) -> None:
            IPython.display.display(IPython.display.HTML("own"))

    class Declines:
        def _ipython_display_(self) -> None:
            raise NotImplementedError

        def __repr__(self) -> str:
            return "declined"

    IPython.display.display(Own(), Declines())
    assert cell.outputs[0].data["text/html"] == "own"
    assert cell.texts[1:] == ["declined"]


def test_a_library_that_displays_through_ipython_appends(cell: Any) -> None:
    import altair
    import pandas

    altair.Chart(pandas.DataFrame({"a": [1]})).mark_bar().encode(x="a:Q").show()
    assert "vega" in cell.outputs[0].data["text/html"]


def test_a_display_id_is_valid_in_every_cell_until_its_own_runs_again(
    make_cell: Callable[[str], Any],
) -> None:
    a, b = make_cell("a"), make_cell("b")
    with a:
        IPython.display.display(1, display_id="x")
    with b:
        IPython.display.display(2, display_id="x")
        IPython.display.update_display(3, display_id="x")
    assert (a.texts, b.texts) == (["3"], ["3"])
    a.execution.retire()
    with b:
        IPython.display.update_display(4, display_id="x")
    assert (a.texts, b.texts) == (["3"], ["4"])


def test_outside_any_cell_display_prints(capsys: pytest.CaptureFixture[str]) -> None:
    IPython.display.display(1, display_id="printed")
    IPython.display.update_display(2, display_id="printed")
    assert capsys.readouterr().out == "1\n2\n"
