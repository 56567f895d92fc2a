"""Two pages on one notebook with jupyter-collaboration: `make compat-rtc`, a minute.

First each page executes cells itself, then the server does with jupyter-server-nbmodel. The packages go to
folders of their own below `build`: in the environment, every page would be shared.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import nbformat  # noqa: E402
from cellwire.frontends.jupyter.kernelspecs import install  # noqa: E402
from selenium.webdriver import Keys  # noqa: E402
from support.lab import Book, Lab, opened  # noqa: E402
from support.waiting import wait_until  # noqa: E402

SHARING = ROOT / "build" / "rtc"
EXECUTING = ROOT / "build" / "rtc-executing"
#: What is not in the environment already.
PACKAGES = {
    SHARING: (
        *("jupyter-collaboration>=5,<6", "jupyter-collaboration-ui", "jupyter-docprovider"),
        *("jupyter-server-ydoc", "jupyter-ydoc", "pycrdt", "pycrdt-store", "pycrdt-websocket"),
        *("sqlite-anyio", "jupyter-server-fileid"),
    ),
    EXECUTING: ("jupyter-server-nbmodel>=0.2.9,<0.3",),
}
EXTENSIONS = {
    SHARING: ("jupyter_server_ydoc", "jupyter_server_fileid"),
    EXECUTING: ("jupyter_server_nbmodel",),
}
CELLS = (
    "x = 1",
    "print('x is', x)",
    "import ipywidgets\nslider = ipywidgets.IntSlider(3)\nslider",
    "print('at', slider.value)",
)
EXECUTED = (
    "x = 1",
    "print('x is', x)",
    "1 / 0",
    "print('never')",
    "print('hello', input('name? '))",
    "import os, time\nprint('begun')\nwhile not os.path.exists('go'): time.sleep(0.05)\nprint('ended')",
    "print('in')\nwhile True: pass",
)


def main() -> int:
    for place, packages in PACKAGES.items():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target")
        subprocess.run([*pip, str(place), *packages], check=True)
    with lab_with(SHARING) as lab:
        compare(lab)
    with lab_with(SHARING, EXECUTING) as lab:
        execute_in_server(lab)
    sys.stdout.write("both pages show the same, once\n")
    return 0


@contextmanager
def lab_with(*places: Path) -> Iterator[Lab]:
    """Open a Lab that has the packages of these folders."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "PYTHONPATH": os.pathsep.join(map(str, places)),
            "JUPYTER_PATH": os.pathsep.join(str(place / "share/jupyter") for place in places),
            "JUPYTER_PLATFORM_DIRS": "1",
            "XDG_DATA_HOME": f"{folder}/xdg",
            **{f"JUPYTER_{name.upper()}_DIR": f"{folder}/{name}" for name in ("data", "config", "runtime")},
        }
        install(Path(folder, "data"))
        config = Path(folder, "config")
        enabled = config / "jupyter_server_config.d/rtc.json"
        enabled.parent.mkdir(parents=True)
        extensions = {name: True for place in places for name in EXTENSIONS[place]}
        enabled.write_text(json.dumps({"ServerApp": {"jpserver_extensions": extensions}}))
        # Otherwise it would be written where this was started.
        store = {"db_path": f"{folder}/ystore.db"}
        (config / "jupyter_server_config.json").write_text(json.dumps({"SQLiteYStore": store}))
        place = Path(folder, "lab")
        place.mkdir()
        with opened(place) as lab:
            yield lab


def compare(lab: Lab) -> None:
    """Edit and execute in both pages in turns; what follows is drawn once, in both."""
    book = lab.open("shared", *CELLS)
    pages = [book.driver.current_window_handle]
    book.command("notebook:run-all-cells")
    book.shows(3, "at 3")
    book.idle()
    pages.append(second_page(book))
    book.shows(2, "3")

    for number, page in enumerate((*pages, *pages)):
        book.driver.switch_to.window(page)
        # What the other page has edited is what this one executes.
        book.run(0, f"x = {number}") if number < 2 else book.run(0)
        both_show(book, pages, 1, f"x is {min(number, 1)}")
    for value, page in enumerate((*pages, *pages), 4):
        book.driver.switch_to.window(page)
        book.slide(0, Keys.ARROW_RIGHT, lambda shown, value=value: shown == str(value))
        both_show(book, pages, 2, str(value))
        both_show(book, pages, 3, f"at {value}")
    book.driver.switch_to.window(pages[1])
    book.run(0, "x = nothing")
    for page in pages:
        book.driver.switch_to.window(page)
        book.has(1, r"^x is 1 ↻ stale: waits for cell \[\d+\]$")


def execute_in_server(lab: Lab) -> None:
    """Let the server execute cells for both pages: as without a graph, since it names no cell."""
    book = lab.open("executed", *EXECUTED)
    pages = [book.driver.current_window_handle, second_page(book)]
    # The server connects to stdin only now.
    book.run(4)
    book.find(".jp-Stdin-input").send_keys("Ada\n")
    for page in pages:
        book.driver.switch_to.window(page)
        book.has(4, "hello Ada")
    # The page clears all cells, also those that an error keeps from being executed.
    book.command("notebook:run-all-cells")
    for page in pages:
        book.driver.switch_to.window(page)
        book.shows(1, "x is 1")
        book.has(2, "ZeroDivisionError")
        book.shows(3)
        book.shows(4)
    book.run(0, "x = 2")
    book.numbered("5", "3", "4", "", "1", "", "")
    both_show(book, pages, 1, "x is 1")
    book.run(1)
    both_show(book, pages, 1, "x is 2")

    # The page that asked goes, and the server goes on.
    book.run(5)
    book.shows(5, "begun")
    book.driver.refresh()
    (book.path.parent / "go").touch()
    book.idle()
    both_show(book, pages, 5, "begun\nended")
    book.run(6)
    book.shows(6, "in")
    book.command("notebook:interrupt-kernel")
    for page in pages:
        book.driver.switch_to.window(page)
        book.has(6, "^in -+ KeyboardInterrupt")

    def saved() -> bool:
        with suppress(ValueError):
            cells = nbformat.read(book.path, as_version=4).cells
            return [len(cell.outputs) for cell in cells] == [0, 1, 1, 0, 0, 1, 2]
        # It is being written.
        return False

    wait_until(saved)
    book.reload()
    both_show(book, pages, 1, "x is 2")
    both_show(book, pages, 5, "begun\nended")


def second_page(book: Book) -> str:
    """Open the notebook in one more page, and return the page."""
    address = book.driver.current_url.replace("/lab/", "/lab/workspaces/second/")
    book.driver.switch_to.new_window("tab")
    book.driver.get(address)
    book.find(".jp-CodeCell").click()
    book.idle()
    return book.driver.current_window_handle


def both_show(book: Book, pages: list[str], cell: int, *texts: str) -> None:
    """Return when a cell shows this and nothing else in both pages."""
    for page in pages:
        book.driver.switch_to.window(page)
        book.shows(cell, *texts)


if __name__ == "__main__":
    sys.exit(main())
