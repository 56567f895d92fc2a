"""A JupyterLab in a browser, driven by keyboard and mouse, and read back from the page."""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.remote.webelement import WebElement

from .machines import missing
from .waiting import wait_until

_CHROMIUM, _DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1300,1500",
)
#: Asks nobody for news; what a user sees otherwise is as it comes.
_SETTINGS = {"apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}
#: The panel of the notebook in front, and what its cells show: text of the page itself, line by line.
_PANEL = "const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;"
_SHOWN = f"""{_PANEL}
return panel.content.widgets.map(cell => [...cell.outputArea.node.querySelectorAll(
    '.jp-OutputArea-output')].filter(part => !part.parentElement.closest('.jp-OutputArea-output'))
    .map(part => part.innerText.trim()));"""
_TEXTS = "return [...document.querySelectorAll(arguments[0])].map(element => element.innerText);"
_READY = f"""{_PANEL}
return panel && panel.context && panel.context.isReady && panel.sessionContext.isReady
    && panel.sessionContext.session && panel.sessionContext.session.kernel
    && panel.sessionContext.session.kernel.connectionStatus === 'connected'
    && panel.sessionContext.session.kernel.info && panel.sessionContext.kernelDisplayStatus"""
#: Notes the messages between the page and the kernel.
_RECORD = f"""{_PANEL}
const recorded = window.sent = [];
panel.sessionContext.session.kernel.anyMessage.connect((_, {{ msg, direction }}) => recorded.push(
    `${{direction}} ${{msg.header.msg_type}} ${{JSON.stringify(msg.content).slice(0, 200)}}`));"""

#: Closes what is open without saving it, and opens another notebook: much faster than to load the page again.
_OPEN_INSTEAD = """
const [path, done] = arguments, app = window.jupyterapp;
for (const panel of [...app.shell.widgets('main')]) {
    if (panel.context) panel.context.model.dirty = false;
    panel.close();
}
app.commands.execute('docmanager:open', {path}).then(() => done());"""


class Book:
    """The notebook in front of a Lab's page. Cells are numbered from 0."""

    def __init__(self, driver: Chrome, path: Path) -> None:
        self.driver, self.path = driver, path

    # Gestures

    def click(self, selector: str, number: int = 0) -> WebElement:
        """Click the element of the page with this number among those that a selector finds."""
        element = self.find(selector, number)
        element.click()
        return element

    def keys(self, *keys: str, control: bool = False) -> None:
        """Press keys, one after another."""
        actions = ActionChains(self.driver)
        if control:
            actions.key_down(Keys.CONTROL)
        actions.send_keys(*keys)
        if control:
            actions.key_up(Keys.CONTROL)
        actions.perform()

    def run(self, cell: int, source: str | None = None) -> None:
        """Press Ctrl-Enter in a cell, edited by the keyboard if `source` is given."""
        self.click(f".jp-CodeCell[data-windowed-list-index='{cell}'] .cm-content")
        if source is not None:
            self.keys("a", control=True)
            self.keys(source)
        self.keys(Keys.ENTER, control=True)

    def command(self, name: str) -> None:
        """Choose a command, as its menu does."""
        self.driver.execute_script("window.jupyterapp.commands.execute(arguments[0])", name)

    def interrupt(self) -> None:
        """Press I twice outside the editor."""
        self.keys(Keys.ESCAPE)
        self.keys("i", "i")

    def slide(self, number: int, key: str, follows: Callable[[str], object]) -> None:
        """Press a key on a slider and return when what is to follow it does.

        `follows` is given the slider's value. If nothing does, the error says what page and kernel have sent.
        """
        before = self.find(".widget-readout", number).text
        self.driver.execute_script(_RECORD)
        self.find(".noUi-handle", number).send_keys(key)

        def followed() -> object:
            value = self.find(".widget-readout", number).text
            return value != before and follows(value)

        try:
            wait_until(followed)
        except AssertionError:
            sent = "\n".join(self.driver.execute_script("return window.sent"))
            raise AssertionError(f"nothing follows slider {number}:\n{sent}") from None

    def save(self) -> list[Any]:
        """Press Ctrl-S and return the cells of the saved file."""
        self.keys("s", control=True)
        wait_until(lambda: self.driver.execute_script(f"{_PANEL} return !panel.context.model.dirty"))
        return nbformat.read(self.path, as_version=4).cells

    def reload(self) -> None:
        """Load the page again. Lab may remember what was open a while ago, and is not to open that too."""
        self.driver.execute_script("history.replaceState(null, '', location.pathname + '?reset');")
        self.driver.refresh()
        self.idle()

    # What there is to see

    def find(self, selector: str, number: int = 0) -> WebElement:
        """Return an element that the page shows, once it does."""
        found: list[WebElement] = []

        def there() -> bool:
            found[:] = self.driver.find_elements("css selector", selector)
            return len(found) > number and found[number].is_displayed()

        wait_until(there)
        return found[number]

    @property
    def shown(self) -> list[list[str]]:
        """What stands below each cell, as text."""
        return self.driver.execute_script(_SHOWN)

    @property
    def counts(self) -> list[str]:
        """What stands before each cell: its number, or `*`."""
        return [
            element.text.strip("[]: ")
            for element in self.driver.find_elements("css selector", ".jp-Notebook .jp-InputPrompt")
        ]

    def shows(self, cell: int, *texts: str) -> None:
        """Return when a cell shows this and nothing else."""
        self._until(lambda: self.shown[cell], lambda shown: shown == list(texts), f"cell {cell}: {texts}")

    def has(self, cell: int, pattern: str) -> None:
        """Return when the text below a cell matches a pattern, in which a space stands for any."""
        pattern = pattern.replace(" ", r"\s+")
        self._until(
            lambda: "\n".join(self.shown[cell]),
            lambda text: re.search(pattern, text),
            f"cell {cell}: {pattern}",
        )

    def reads(self, selector: str, *patterns: str) -> None:
        """Return when the elements that a selector finds have texts that these patterns match, one each."""
        wanted = [pattern.replace(" ", r"\s*") for pattern in patterns]
        self._until(
            lambda: self.driver.execute_script(_TEXTS, selector),
            lambda texts: len(texts) == len(wanted) and all(map(re.search, wanted, texts)),
            f"{selector}: {patterns}",
        )

    def numbered(self, *numbers: str) -> None:
        """Return when these stand before the cells."""
        self._until(lambda: self.counts, lambda counts: counts == list(numbers), f"numbers {numbers}")

    def _until(self, read: Callable[[], Any], holds: Callable[[Any], object], what: str) -> None:
        last: Any = None

        def look() -> object:
            nonlocal last
            last = read()
            return holds(last)

        try:
            wait_until(look)
        except AssertionError:
            raise AssertionError(f"the page does not show {what}, but {last!r}") from None

    def idle(self) -> None:
        """Return when the kernel is connected and the page says that it is idle."""
        wait_until(lambda: self.driver.execute_script(_READY) == "idle")


class Lab:
    """A page of a server that is running."""

    def __init__(self, url: str, token: str, folder: Path, driver: Chrome) -> None:
        self._url, self._token, self._folder = url, token, folder
        self._loaded = False
        self.driver = driver

    def open(self, name: str, *sources: str, kernel: str = "cellwire") -> Book:
        """Write a notebook of these cells and open it in the page."""
        path = self._folder / f"{name}.ipynb"
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), path)
        if self._loaded:
            self.driver.execute_async_script(_OPEN_INSTEAD, path.name)
        else:
            self.driver.get(f"{self._url}lab/tree/{path.name}?token={self._token}")
            self._loaded = True
        book = Book(self.driver, path)
        book.idle()
        return book


@contextmanager
def opened(folder: Path) -> Iterator[Lab]:
    """Start a server of the folder and a browser, and end both."""
    for program, package in ((_CHROMIUM, "chromium"), (_DRIVER, "chromium-driver")):
        if not os.path.exists(program):
            missing(f"there is no {program}, which shows JupyterLab", package)
    root, profile = folder / "root", folder / "profile"
    root.mkdir()
    with _server(root) as (url, token):
        options = ChromeOptions()
        options.binary_location = _CHROMIUM
        for option in (*_OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        driver = Chrome(options, ChromeService(_DRIVER))
        try:
            yield Lab(url, token, root, driver)
        finally:
            driver.quit()


@contextmanager
def _server(root: Path) -> Iterator[tuple[str, str]]:
    """Start JupyterLab on a free port of the loopback interface; give its address and its token."""
    token = secrets.token_hex(16)
    for name, content in _SETTINGS.items():
        file = Path(os.environ["JUPYTER_CONFIG_DIR"], "lab/user-settings/@jupyterlab", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".jupyterlab-settings").write_text(json.dumps(content))
    arguments = [
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={root}"),
        *("--LabApp.expose_app_in_browser=True", "--ServerApp.terminals_enabled=False"),
        "--ServerApp.jpserver_extensions={'jupyter_lsp': False, 'jupyter_server_terminals': False}",
    ]
    with open(root.parent / "server.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *arguments],
            # Extensions leave their files where they are started.
            cwd=root,
            env={**os.environ, "JUPYTER_TOKEN": token},
            stdout=log,
            stderr=log,
        )
    try:
        file = Path(os.environ["JUPYTER_RUNTIME_DIR"], f"jpserver-{server.pid}.json")

        def listens() -> bool:
            assert server.poll() is None, (root.parent / "server.log").read_text()
            return file.exists() and file.read_bytes().endswith(b"}")

        wait_until(listens)
        yield json.loads(file.read_text())["url"], token
    finally:
        server.terminate()
        server.wait()
