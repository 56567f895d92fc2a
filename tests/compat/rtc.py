"""Two pages on one notebook with jupyter-collaboration: `make compat-rtc`, a minute.

jupyter-collaboration goes to `build/rtc`, beside the environment: in it, every page would be shared.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from cellwire.frontends.jupyter.kernelspecs import install  # noqa: E402
from selenium.webdriver import Keys  # noqa: E402
from support.lab import Book, opened  # noqa: E402

PLACE = ROOT / "build" / "rtc"
#: What is not in the environment already.
PACKAGES = (
    *(
        "jupyter-collaboration>=5,<6",
        "jupyter-collaboration-ui",
        "jupyter-docprovider",
        "jupyter-server-ydoc",
    ),
    *("jupyter-ydoc", "pycrdt", "pycrdt-store", "pycrdt-websocket", "sqlite-anyio", "jupyter-server-fileid"),
)
EXTENSIONS = {"jupyter_server_ydoc": True, "jupyter_server_fileid": True}
CELLS = (
    "x = 1",
    "print('x is', x)",
    "import ipywidgets\nslider = ipywidgets.IntSlider(3)\nslider",
    "print('at', slider.value)",
)


def main() -> int:
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--upgrade",
        "--target",
        str(PLACE),
    )
    subprocess.run([*pip, *PACKAGES], check=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "PYTHONPATH": str(PLACE),
            "JUPYTER_PATH": str(PLACE / "share/jupyter"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "XDG_DATA_HOME": f"{folder}/xdg",
            **{f"JUPYTER_{name.upper()}_DIR": f"{folder}/{name}" for name in ("data", "config", "runtime")},
        }
        install(Path(folder, "data"))
        enabled = Path(folder, "config/jupyter_server_config.d/rtc.json")
        enabled.parent.mkdir(parents=True)
        enabled.write_text(json.dumps({"ServerApp": {"jpserver_extensions": EXTENSIONS}}))
        place = Path(folder, "lab")
        place.mkdir()
        compare(place)
    sys.stdout.write("both pages show the same, once\n")
    return 0


def compare(place: Path) -> None:
    """Edit and execute in both pages in turns; what follows is drawn once, in both."""
    with opened(place) as lab:
        book = lab.open("shared", *CELLS)
        pages = [book.driver.current_window_handle]
        book.command("notebook:run-all-cells")
        book.shows(3, "at 3")
        book.idle()
        address = book.driver.current_url.replace("/lab/", "/lab/workspaces/second/")
        book.driver.switch_to.new_window("tab")
        pages.append(book.driver.current_window_handle)
        book.driver.get(address)
        book.find(".jp-CodeCell").click()
        book.idle()
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


def both_show(book: Book, pages: list[str], cell: int, text: str) -> None:
    """Return when a cell shows this and nothing else in both pages."""
    for page in pages:
        book.driver.switch_to.window(page)
        book.shows(cell, text)


if __name__ == "__main__":
    sys.exit(main())
