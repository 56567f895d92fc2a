"""What a user of JupyterLab sees after a gesture: stock Lab in a headless Chromium, by the page's own clock.

From a command or a key until the text of the cells that follow is in the page. Lab and browser are those of
the tests; ipykernel, in the same Lab, gives what a cell's own output costs there.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from cellwire.frontends.jupyter.kernelspecs import install

Figures = dict[str, Any]

#: Calls back with the milliseconds from `act` until all `cells` show `text`.
_WATCH = """
const watch = (cells, text, act, done) => {
  const panel = window.jupyterapp.shell.currentWidget;
  const areas = cells.map(cell => panel.content.widgets[cell].outputArea.node);
  const missing = new Set(areas);
  const observers = areas.map(area => {
    const look = () => {
      if (area.textContent.includes(text)) missing.delete(area);
      if (missing.size) return;
      observers.forEach(observer => observer.disconnect());
      requestAnimationFrame(() => done(performance.now() - start));
    };
    const observer = new MutationObserver(look);
    observer.observe(area, { childList: true, subtree: true, characterData: true });
    return observer;
  });
  const start = performance.now();
  act(panel);
};
const done = arguments[arguments.length - 1];
"""
#: Executes the first cell with another source.
_EDIT = """
const [source, cells, text] = arguments;
watch(cells, text, panel => {
  panel.content.activeCellIndex = 0;
  panel.content.activeCell.model.sharedModel.setSource(source);
  window.jupyterapp.commands.execute('notebook:run-cell');
}, done);"""
#: Presses a key on the slider.
_PRESS = """
const [cell, text] = arguments;
watch([cell], text, () => document.querySelector('.noUi-handle').dispatchEvent(
    new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true })), done);"""


def measure_page(times: int, dependents: int) -> Figures:
    """Return the seconds of each time: for an own output, a dependent, a slider's reader, many dependents."""
    sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("DATA", "CONFIG", "RUNTIME"):
            os.environ[f"JUPYTER_{name}_DIR"] = f"{folder}/{name.lower()}"
        os.environ |= {"JUPYTER_PLATFORM_DIRS": "1", "XDG_DATA_HOME": f"{folder}/xdg"}
        install(Path(folder, "data"))
        place = Path(folder, "lab")
        place.mkdir()
        return _measure(place, times, dependents)


def _measure(place: Path, times: int, dependents: int) -> Figures:
    from support.lab import opened

    with opened(place) as lab:
        lab.driver.set_script_timeout(60)

        def ask(script: str, *arguments: object) -> float:
            return lab.driver.execute_async_script(_WATCH + script, *arguments) / 1000

        figures: Figures = {}
        for kernel, name in (("python3", "own_ipykernel"), ("cellwire", "own")):
            book = lab.open(f"own-{kernel}", "print('own', 0)", kernel=kernel)
            figures[name] = [ask(_EDIT, f"print('own', {n})", [0], f"own {n}") for n in range(1, times + 1)]
            book.idle()

        book = lab.open(
            "dependent",
            "x = 0",
            "print('x is', x)",
            "import ipywidgets\nslider = ipywidgets.IntSlider()\nslider",
            "print('at', slider.value)",
        )
        book.command("notebook:run-all-cells")
        book.shows(3, "at 0")
        book.idle()
        figures["dependent"] = [ask(_EDIT, f"x = {n}", [1], f"x is {n}") for n in range(1, times + 1)]
        figures["slider"] = [ask(_PRESS, 3, f"at {n}") for n in range(1, times + 1)]

        sources = ("x = 0", *(f"print('x is', x, {n})" for n in range(dependents)))
        book = lab.open("many", *sources)
        book.command("notebook:run-all-cells")
        book.idle()
        cells = list(range(1, dependents + 1))
        figures["many"] = [ask(_EDIT, f"x = {n}", cells, f"x is {n}") for n in range(1, 4)]
        return figures
