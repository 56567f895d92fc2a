"""IPython's shell over the names of the cells; importing this imports IPython.

It has no loop and runs no cells: magics and libraries call it. What they display is appended to the outputs
of the calling cell, and commands are children of that cell.
"""

# IPython has few types.
# pyright: basic

import codecs
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from IPython.core import page
from IPython.core.autocall import ZMQExitAutocall
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell, InteractiveShellABC
from IPython.utils.text import LSString, SList
from traitlets import Any as AnyTrait
from traitlets import Type
from traitlets.config import Config

from ...protocol.messages import Complete, Inspect
from ...protocol.mime_types import ERROR_MIME
from ..api.output import output
from ..attribution.context import current_execution
from ..attribution.redirection import redirection
from ..attribution.streams import ConsoleStream
from ..integrations import ipython_display
from ..integrations.comms import message_in_hand
from ..output.encoding import as_plain
from ..output.formatting import normalized
from ..output.output_list import RESULT
from . import ipykernel_names
from .kernel_magics import KernelMagics

#: How many bytes are read at once from a command whose output goes to a stream of user code.
_CHUNK = 4096


class CellPublisher(DisplayPublisher):
    """Appends what is displayed to the outputs of the calling cell."""

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        *_: Any,
        transient: Any = None,
        update: bool = False,
        **__: Any,
    ) -> None:
        ipython_display.publish_display_data(normalized(data), metadata, transient=transient, update=update)

    def clear_output(self, wait: bool = False) -> None:
        ipython_display.clear_output(wait)


class CellDisplayHook(DisplayHook):
    """Shows values of code that the shell itself runs, as in `%run -i` or `run_cell`."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        if format_dict:
            output.append_bundle(
                {"text/plain": "", **normalized(format_dict)}, {**as_plain(md_dict or {}), **RESULT}
            )

    def quiet(self) -> bool:
        try:
            return bool(super().quiet())
        except Exception:
            return False  # the input is not Python


class ZMQInteractiveShell(InteractiveShell):
    """The shell. Libraries look for a class of this name."""

    displayhook_class = Type(CellDisplayHook)
    display_pub_class = Type(CellPublisher)
    kernel = AnyTrait()
    keepkernel_on_exit: Any = None

    def init_exiter(self) -> None:
        self.exiter = ZMQExitAutocall(self)

    def init_sys_modules(self) -> None:
        """Do nothing: the runner has already installed the module of the cells."""

    def init_virtualenv(self) -> None:
        """Do nothing: the runner's interpreter is the one that the user chose."""

    def init_hooks(self) -> None:
        super().init_hooks()
        self.set_hook("show_in_pager", page.as_hook(self._show_page), 99)

    def init_magics(self) -> None:
        super().init_magics()
        self.register_magics(KernelMagics)

    def enable_gui(self, gui: Any = None) -> None:
        """Do nothing: no event loop for windows runs here."""

    def show_value(self, value: Any) -> None:
        """Show the value of an expression statement; `interactivity` inserts the calls."""
        if value is not None:
            self.displayhook(value)

    def run_cell(self, *args: Any, **options: Any) -> Any:
        """Run code inside a cell, as `%%capture` does; an interrupt ends the whole cell."""
        result = super().run_cell(*args, **options)
        if isinstance(result.error_in_exec, KeyboardInterrupt):
            raise result.error_in_exec
        return result

    # Commands

    def system(self, cmd: str) -> None:
        """Run a command; the calling cell shows what it writes as it comes."""
        command = self.var_expand(cmd, depth=1)
        options = _options()
        if type(sys.stdout) is ConsoleStream and redirection("stdout") is None:
            code = subprocess.call(command, **options)
        else:
            code = _call_into(sys.stdout, command, options)
        self.user_ns["_exit_code"] = code
        if self.system_raise_on_error and code:
            raise subprocess.CalledProcessError(code, cmd)

    system_piped = system_raw = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Run a command and return its text, as a list of lines if it is to be split."""
        done = subprocess.run(self.var_expand(cmd, depth=depth + 1), stdout=subprocess.PIPE, **_options())
        if self.system_raise_on_error and done.returncode:
            raise subprocess.CalledProcessError(done.returncode, cmd)
        text = done.stdout.decode(errors="replace")
        return SList(text.splitlines()) if split else LSString(text)

    # What is left for the frontend

    def _leave(self, payload: dict[str, Any]) -> None:
        assert self.payload_manager is not None
        self.payload_manager.write_payload(payload)

    def _show_page(self, strg: Any, start: int = 0, screen_lines: int = 0, pager_cmd: Any = None) -> None:
        data = strg if isinstance(strg, dict) else {"text/plain": strg}
        payload = {"source": "page", "data": as_plain(data), "start": max(0, start)}
        self._leave(payload)

    def set_next_input(self, text: str, replace: bool = False) -> None:
        payload = {"source": "set_next_input", "text": text, "replace": replace}
        self._leave(payload)

    def ask_exit(self) -> None:
        self._leave({"source": "ask_exit", "keepkernel": bool(self.keepkernel_on_exit)})

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        if issubclass(etype, KeyboardInterrupt):
            return  # the cell shows it, see `run_cell`
        text = "\n".join(stb)
        error = {"kind": etype.__name__, "message": str(evalue), "traceback": text, "lines": list(stb)}
        output.append_bundle({"text/plain": text, ERROR_MIME: as_plain(error)}, {})

    # What libraries ask of a Jupyter kernel's shell

    @property
    def parent_header(self) -> dict[str, Any]:
        return self.get_parent().get("header", {})

    def get_parent(self) -> dict[str, Any]:
        """Return the request that the calling cell runs for, if the frontend submitted one with the cell.

        In the handler of a comm it is the message that the handler deals with, maybe of another page.
        """
        execution = current_execution.get()
        about = {} if execution is None else execution.about.get("jupyter", {})
        message = message_in_hand.get({})
        if message and message["header"].get("session") != about.get("session"):
            return message
        header = about.get("header", {})
        return {"header": header, "msg_id": header.get("msg_id", ""), "metadata": about.get("metadata", {})}

    def get_control_parent(self) -> dict[str, Any]:
        """Return the last message on the control channel before the calling cell was requested."""
        execution = current_execution.get()
        header = {} if execution is None else execution.about.get("jupyter", {}).get("control", {})
        return {"header": header, "msg_id": header.get("msg_id", ""), "metadata": {}}

    def set_parent(self, parent: Any) -> None:
        """Do nothing: cells know which request their output belongs to."""

    set_thread_parent = set_parent


class KernelFacade:
    """What libraries and frontends ask of `get_ipython().kernel`."""

    implementation = "cellwire"

    def __init__(self, shell: Any, ask: Callable[[Complete | Inspect], Any]) -> None:
        self.shell = shell
        self._ask = ask
        self.session = SimpleNamespace(session="")

    def get_parent(self, channel: str | None = None) -> dict[str, Any]:
        return self.shell.get_parent() if channel != "control" else self.shell.get_control_parent()

    def do_complete(self, code: str, cursor_pos: int | None = None) -> dict[str, Any]:
        """Return a `complete_reply`: VS Code asks for it in a thread of a cell."""
        cursor = len(code) if cursor_pos is None else cursor_pos
        found = self._ask(Complete("", code, cursor))
        start, end = (found.start, found.end) if found.items else (cursor, cursor)
        types = [{"start": start, "end": end, "text": i.text, "type": i.kind} for i in found.items]
        return {
            "matches": [item.text for item in found.items],
            "cursor_start": start,
            "cursor_end": end,
            "metadata": {"_jupyter_types_experimental": types},
            "status": "ok",
        }

    def do_inspect(self, code: str, cursor_pos: int, detail_level: int = 0, **_: Any) -> dict[str, Any]:
        """Return an `inspect_reply`."""
        data = self._ask(Inspect("", code, cursor_pos, detail=detail_level)).data
        return {"found": bool(data), "data": data, "metadata": {}, "status": "ok"}

    @property
    def _parent_ident(self) -> dict[str, list[bytes]]:
        sessions = {name: self.get_parent(name)["header"].get("session", "") for name in ("shell", "control")}
        return {name: [str(session).encode()] for name, session in sessions.items()}

    @property
    def _parent_header(self) -> dict[str, Any]:
        return self.shell.get_parent()

    @property
    def comm_manager(self) -> Any:
        import comm

        return comm.get_comm_manager()


def make_shell(bridge: Any) -> Any:
    """Return the shell of this process, with the names of the cells."""
    config = Config()
    # Not the database that all sessions of IPython share.
    config.HistoryManager.hist_file = ":memory:"
    # Without this attribute tqdm takes the kernel for a terminal.
    config.IPKernelApp.connection_file = ""
    names = bridge.names
    known = set(names)
    kept = {name: names[name] for name in ("_", "__", "___") if name in names}
    for name in ("exit", "quit"):
        if type(names.get(name)).__module__ != bridge.__module__:
            kept[name] = names[name]  # a cell has bound it
    if ipykernel_names.MODULE in sys.modules:
        ZMQInteractiveShell.__module__ = ipykernel_names.MODULE
    shell = ZMQInteractiveShell.instance(config=config, user_module=sys.modules["__main__"])
    InteractiveShellABC.register(ZMQInteractiveShell)
    shell.exiter = ZMQExitAutocall(shell)
    shell.kernel = KernelFacade(shell, bridge.ask)
    names.update(kept)
    for name in known - kept.keys():
        # Cells have bound these already: they are the user's, and `%who` lists them.
        if name not in ("In", "Out", "get_ipython") and not name.startswith("_"):
            shell.user_ns_hidden.pop(name, None)
    for name in ("exit", "quit", "In", "Out", "display", "get_ipython"):
        shell.user_ns_hidden[name] = names.get(name)
    bridge.history.join(shell.history_manager)
    # As inside a cell that IPython runs: nested runs of code then leave these as they are.
    shell.builtin_trap.__enter__()
    shell.display_trap.__enter__()
    # As IPython's own kernel does.
    extensions: Any = shell.extension_manager
    extensions.load_extension("storemagic")
    execution = current_execution.get()
    if execution is not None:
        bridge.shell = shell
        bridge.note_cell(execution)
    return shell


def _options() -> dict[str, Any]:
    """Return how commands are run: by the user's shell, with both streams as one."""
    shell = os.environ.get("SHELL", "")
    options: dict[str, Any] = {"shell": True, "stderr": subprocess.STDOUT}
    if os.path.isfile(shell) and os.access(shell, os.X_OK):
        options["executable"] = shell
    return options


def _call_into(stream: Any, command: str, options: dict[str, Any]) -> int:
    """Run a command, write its text to `stream` and return how it ended."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    with subprocess.Popen(command, stdout=subprocess.PIPE, **options) as process:
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), _CHUNK):
            stream.write(decode(data))
        stream.write(decode(b"", True))
        return process.wait()
