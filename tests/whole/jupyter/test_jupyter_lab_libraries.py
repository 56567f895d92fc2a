"""Widgets of other libraries in a real JupyterLab: drawn, moved by the mouse and followed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from support.lab import Book, Lab, opened
from support.waiting import wait_until


@pytest.fixture(scope="module")
def lab(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server and one browser for all tests."""
    with opened(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


#: A widget whose page shows bytes, and sends others when it is clicked, by a trait and by a message.
BYTES = '''\
import anywidget
from ipywidgets.widgets.trait_types import CByteMemoryView

class Bytes(anywidget.AnyWidget):
    _esm = """
    function render({ model, el }) {
      const button = el.appendChild(document.createElement("button"));
      button.className = "bytes";
      let answer = "none";
      const draw = () => {
        const data = model.get("data");
        button.innerText = `${data.byteLength} from ${data.getUint8(0)}, answer ${answer}`;
      };
      model.on("change:data", draw);
      model.on("msg:custom", (content, [buffer]) => {
        answer = `${content.length}: ${new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)}`;
        draw();
      });
      button.onclick = () => {
        const sent = new Uint8Array(100_000).fill(7);
        model.set("data", new DataView(sent.buffer));
        model.save_changes();
        model.send({ n: 1 }, undefined, [Uint8Array.of(250, 0, 3).buffer]);
      };
      draw();
    }
    export default { render };
    """
    data = CByteMemoryView(b"\\1\\2").tag(sync=True)

    def answer(self, widget, content, buffers):
        self.send({"length": len(buffers[0])}, buffers=[bytes(buffers[0])[::-1]])

shown = Bytes()
shown.on_msg(shown.answer)
shown'''


def test_bytes_travel_between_a_widget_and_its_page_and_a_cell_follows_them(lab: Lab) -> None:
    book = lab.open("bytes", BYTES, "len(shown.data), shown.data[0]", "n = 3", "shown.data = bytes([n, 0])")
    book.command("notebook:run-all-cells")
    book.reads(".bytes", "2 from 3, answer none")
    book.shows(1, "(2, 3)")
    book.idle()
    book.click(".bytes")
    book.reads(".bytes", "100000 from 7, answer 3: 3,0,250")
    book.shows(1, "(100000, 7)")
    book.run(2, "n = 200")
    book.reads(".bytes", "2 from 200, answer 3: 3,0,250")
    book.shows(1, "(2, 200)")

    book.save()
    book.reload()
    book.reads(".bytes", "2 from 200, answer none")
    book.run(1)
    book.click(".bytes")
    book.reads(".bytes", "100000 from 7, answer 3: 3,0,250")
    book.shows(1, "(100000, 7)")


#: Where bqplot draws the points of a figure.
_DOTS = (
    "return [...document.querySelectorAll('.bqplot .object_grp')].map(dot => dot.getAttribute('transform'));"
)


def test_a_selection_in_a_figure_of_bqplot_is_followed_and_its_data_are_redrawn(lab: Lab) -> None:
    book = lab.open(
        "bqplot",
        "import bqplot, numpy\nx, y = bqplot.LinearScale(), bqplot.LinearScale()\n"
        "points = bqplot.Scatter(x=numpy.arange(11.0), y=numpy.zeros(11), scales={'x': x, 'y': y})\n"
        "brush = bqplot.interacts.BrushIntervalSelector(scale=x, marks=[points])\n"
        "bqplot.Figure(marks=[points], interaction=brush, animation_duration=0)",
        "print('from', brush.selected if brush.selected is None else brush.selected.round().tolist())",
        "height = 1",
        "points.y = numpy.linspace(0, height, 11)",
    )
    book.command("notebook:run-all-cells")
    book.shows(1, "from None")
    book.idle()
    figure = book.find(".bqplot")
    actions = ActionChains(book.driver).move_to_element(figure).click_and_hold()
    actions.move_by_offset(40, 0).move_by_offset(40, 0).release().perform()
    book.has(1, r"from \[5.0, \d.0\]")
    book.run(2, "height = 9")
    # Each point has a height of its own.
    book.idle()
    wait_until(lambda: len(set(book.driver.execute_script(_DOTS))) == 11)


def test_a_canvas_of_ipympl_is_redrawn_and_hears_the_mouse_also_after_a_reload(lab: Lab) -> None:
    book = lab.open(
        "ipympl",
        "%matplotlib ipympl\nimport ipywidgets\nimport matplotlib.pyplot as plt\n"
        "figure, axes = plt.subplots(figsize=(4, 2))\n[line] = axes.plot([0, 1])\n"
        "pressed = ipywidgets.Text()\n"
        "def press(event): pressed.value = f'{event.button.name} at {event.xdata:.1f}'\n"
        "_ = figure.canvas.mpl_connect('button_press_event', press)",
        "print(pressed.value or 'not pressed')",
        "height = 1",
        "line.set_ydata([0, height])\naxes.relim()\naxes.autoscale_view()\nfigure.canvas.draw_idle()",
    )
    book.command("notebook:run-all-cells")
    book.shows(1, "not pressed")
    book.idle()
    wait_until(lambda: _drawn(book))
    _press(book, 0)
    book.shows(1, "LEFT at 0.5")
    before = _drawn(book)
    book.run(2, "height = 7")
    wait_until(lambda: _drawn(book) != before)
    book.idle()

    book.save()
    book.reload()
    wait_until(lambda: _drawn(book))
    book.run(1)
    _press(book, 50)
    book.shows(1, "LEFT at 0.7")


def _drawn(book: Book) -> str:
    """Return the picture that a canvas of the page shows; empty if there is none or nothing on it."""
    return book.driver.execute_script(
        """
        const canvas = document.querySelector("canvas"), blank = document.createElement("canvas");
        if (!canvas) return "";
        [blank.width, blank.height] = [canvas.width, canvas.height];
        const [drawn, empty] = [canvas, blank].map(each => each.toDataURL());
        return drawn === empty ? "" : drawn;"""
    )


def _press(book: Book, aside: int) -> None:
    """Press the mouse so far right of the middle of a canvas."""
    ActionChains(book.driver).move_to_element_with_offset(book.find("canvas"), aside, 0).click().perform()
