"""What cells see of IPython; IPython is imported when something first needs it.

The engine runs the cells. IPython's shell serves magics, `display` and libraries: until a magic, a library,
or a value other than a number or a text needs the shell, IPython is not imported. The builtin `get_ipython`
makes the shell, the builtin `display` does so for such a value, and `IPython` in `sys.modules` loads itself
when an attribute of it is read.

The host calls `install`, and knows this module only by its name. Hooks around each cell do what IPython does
there: they keep `In`, `Out` and `_`, trigger the events that extensions and matplotlib's inline backend
register for, and notice when user code gives the shell transformers of its own.
"""

import builtins
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, cast

from ...protocol.mime_types import PAYLOAD_MIME
from ..api.output import output
from ..api.values import Rendered
from ..attribution.after_import import after_import
from ..attribution.context import NO_VALUE, Execution
from ..attribution.streams import ConsoleStream
from ..execution.hooks import protected
from ..integrations.figures import install_figures
from ..integrations.ipython_display import display, install_displays
from ..output import formatting
from ..output.reports import is_own
from .debugger import Debuggers
from .history import History
from .ipykernel_names import give_sign
from .syntax import LEAVING, IPythonLanguage, is_installed

_PLAIN: tuple[type, ...] = (int, float, bool, str)
#: The longest list that is shown without IPython, and the width of a line of IPython's pretty printer.
_FEW, _LINE = 20, 79


def install(host: Any) -> None:
    """Let cells be written for IPython; the host calls this before the first cell."""
    Bridge(host).install()


class Bridge:
    """The shell of this process, which may not exist yet, and what it needs around cells."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.engine = host.engine
        self.names: dict[str, Any] = host.engine.globals
        self.history = History(self.names)
        self.language = IPythonLanguage(None, self._is_bound)
        self.shell: Any = None
        self._transformers: Any = None
        self._making = False
        # The namespaces of the embedded notebooks that are running, the innermost last.
        self._parts: list[dict[str, Any]] = []
        self._watch: Any = None
        # Whether a Jupyter client has executed something.
        self._in_jupyter = False

    def install(self) -> None:
        self.engine.program.language = self.language
        if not is_installed():
            install_displays()
            install_figures()
            return
        self.language.make_shell = self.make_shell
        builtins.get_ipython = self.make_shell  # pyright: ignore[reportAttributeAccessIssue]
        builtins.display = self.display  # pyright: ignore[reportAttributeAccessIssue]
        self.history.install()
        for name in LEAVING:
            self.names[name] = _Leave(self, name)
        os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        os.environ.setdefault("CLICOLOR", "1")
        # ipykernel's streams have this: code that forks uses it to find out whether it is in the child.
        ConsoleStream._is_master_process = _in_process(os.getpid())  # pyright: ignore[reportAttributeAccessIssue]
        # No terminal: a pager would wait for a key for ever.
        os.environ["PAGER"] = os.environ["GIT_PAGER"] = "cat"
        formatting.whole = self.format
        hooks = self.engine.hooks
        hooks.pre_execution += [self.begin, self.announce]
        after = {function.__name__: index for index, function in enumerate(hooks.post_execution)}
        # In place of cellwire's own figures: the inline backend shows figures on this event.
        hooks.post_execution[after["show_figures"]] = self.remember_value
        hooks.post_execution.insert(after["finish"], self.end)
        hooks.post_execution.insert(after["show_error"], self.describe_error)
        self.host.answer = partial(self._answer, self.host.answer)
        Debuggers(self.engine.interrupts).install()
        _load_when_used("IPython")
        # So that code that imports IPython finds this shell in it.
        after_import("IPython.core.interactiveshell", lambda module: self.make_shell())

    # The shell

    def make_shell(self) -> Any:
        """Return the shell; the first call makes it."""
        if self.shell is not None or self._making:
            return self.shell
        interrupts = self.engine.interrupts
        subject, interrupts.subject = interrupts.subject, None
        try:
            # The first call of `make_shell` leads back into this method.
            importlib.import_module("IPython.core.interactiveshell")

            if self.shell is None and not self._making:
                self._making = True
                from .shell import make_shell

                self.shell = self.language.shell = make_shell(self)
                self._transformers = self._state_of_transformers()
                self._find_names()
        finally:
            self._making = False
            interrupts.subject = subject
            if subject is not None and interrupts.count:
                interrupts.repeat()
        return self.shell

    def _find_names(self) -> None:
        """Let magics find the names of the notebook that runs, which may be embedded in another."""
        if self.shell is not None:
            self.shell.user_ns = self._parts[-1] if self._parts else self.names

    def display(self, *values: Any, **options: Any) -> Any:
        """Show values in the calling cell, as `IPython.display.display` does."""
        if self.shell is None and values and not options and all(map(_is_shown_alike, values)):
            return display(*values)
        self.make_shell()
        show: Any = importlib.import_module("IPython.display").display
        return show(*values, **options)

    def _is_bound(self, name: str) -> bool:
        if self.engine.program.definers.all(name):
            return True
        return name in self.names and name not in LEAVING

    # Around a cell

    @protected
    def begin(self, execution: Execution) -> None:
        """Note the cell that begins."""
        if execution.embedding is not None:
            self._parts.append(execution.embedding.globals)
            self._find_names()
            return
        if not self._in_jupyter and "jupyter" in execution.about:
            self._in_jupyter = True
            give_sign(self.make_shell)
        code = self.engine.program.compiled[execution.cell]
        raw = self.engine.notebook.cells[execution.cell].source
        self.history.begin(execution, code.source, raw)
        if self.shell is not None:
            self.note_cell(execution)

    def note_cell(self, execution: Execution) -> None:
        """Give the shell the number and the file name of the cell that is about to run."""
        self.shell.execution_count = self.history.count
        code = self.engine.program.compiled[execution.cell]
        self.shell.compile._filename_map[code.filename] = self.history.count

    def announce(self, execution: Execution) -> None:
        """Trigger the events before a cell."""
        if self.shell is not None and execution.embedding is None:
            self.shell.events.trigger("pre_execute")
            if not self.history.is_silent(execution):
                self.shell.events.trigger("pre_run_cell", self.history.info(execution))

    def remember_value(self, execution: Execution) -> None:
        """Put the value that was shown into `_` and `Out`."""
        if (
            execution.embedding is None
            and execution.status == "ok"
            and execution.value is not NO_VALUE
            and execution.value is not None
        ):
            self.history.end(execution, execution.value)

    def describe_error(self, execution: Execution) -> None:
        """Describe the error as IPython does, for Jupyter's frontends; see `cell_hooks.show_error`."""
        error: Any = execution.error
        if error is None or "jupyter" not in execution.about:
            return
        shell = self.make_shell()
        trace = _without_own_frames(error.__traceback__)
        if type(error).__name__ == "UsageError":
            lines = [f"UsageError: {error}"]
        elif hasattr(error, "_render_traceback_"):
            lines: list[str] = list(error._render_traceback_())
        else:
            lines = shell.InteractiveTB.structured_traceback(type(error), error, trace, tb_offset=0)
        execution.about = {**execution.about, "lines": lines}

    def end(self, execution: Execution) -> None:
        """Trigger the events after a cell, and show what its magics left for the frontend."""
        if execution.embedding is not None:
            self._parts.pop()
            self._find_names()
            return
        shell = self.shell
        if shell is None:
            self.history.forget(execution)
            return
        result = self.history.result(execution)
        shell.last_execution_succeeded = execution.error is None
        shell.last_execution_result = result
        if execution.status == "error" and shell.call_pdb:
            shell.InteractiveTB.tb = execution.error and execution.error.__traceback__
            shell.debugger(force=True)
        shell.events.trigger("post_execute")
        if not self.history.is_silent(execution):
            shell.events.trigger("post_run_cell", result)
        for payload in shell.payload_manager.read_payload():
            text = payload.get("text") or payload.get("data", {}).get("text/plain", "")
            # Only frontends that understand payloads can show the colours.
            plain = re.sub(r"\x1b\[[\d;]*m", "", str(text))
            output.append_bundle({"text/plain": plain, PAYLOAD_MIME: payload}, {})
        shell.payload_manager.clear_payload()
        transformers = self._state_of_transformers()
        if transformers != self._transformers:
            self._transformers = transformers
            self.language.transforms_all = self.language.transforms_all or self._has_own_transformers()
            self.language.version += 1
        if self._watch is None:
            from .autoreload import Watch

            self._watch = Watch(self.engine)
        self._watch.note(shell)

    def _state_of_transformers(self) -> Any:
        """Return a value that differs if the same source would now be transformed differently."""
        shell = self.shell
        lists = (*self._transformer_lists(), shell.ast_transformers)
        return [[id(each) for each in listed] for listed in lists], shell.ast_node_interactivity

    def _transformer_lists(self) -> tuple[list[Any], ...]:
        shell = self.shell
        manager = shell.input_transformer_manager
        return (
            shell.input_transformers_post,
            manager.cleanup_transforms,
            manager.line_transforms,
            manager.token_transformers,
        )

    def _has_own_transformers(self) -> bool:
        """Return whether user code has given the shell transformers of text."""
        from IPython.core.inputtransformer2 import TransformerManager

        plain: Any = TransformerManager()
        cleanup: list[Any] = plain.cleanup_transforms
        known: list[list[Any]] = [[], cleanup, plain.line_transforms, plain.token_transformers]
        # Some are bound methods of the manager, equal only in name.
        return any(
            [getattr(each, "__qualname__", each) for each in listed]
            != [getattr(each, "__qualname__", each) for each in own]
            for listed, own in zip(self._transformer_lists(), known, strict=True)
        )

    # Requests about names

    def _answer(self, others: Callable[..., Any], request: Any, *context: Any) -> Any:
        from .answers import answer

        return answer(self, others, request, *context)

    def ask(self, request: Any) -> Any:
        """Return the answer to a request about names, in the calling thread."""
        return self.host.answer(request, self.names.copy(), self.engine.notebook)

    # Values

    def format(self, value: object) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return IPython's mime bundle of `value`; None where IPython would show it as Python does."""
        if self.shell is None and _is_shown_alike(value):
            return None
        data, about = self.make_shell().display_formatter.format(value)
        if not data:
            return {}, {}  # it displayed itself
        bundle = formatting.normalized(data)
        if "text/plain" not in bundle:
            bundle["text/plain"] = ""
        return bundle, formatting.as_plain(about)


class _Leave:
    """`exit` and `quit`: asks the frontend to end the kernel, and lets the cell go on."""

    def __init__(self, bridge: Bridge, name: str) -> None:
        self._bridge = bridge
        self._name = name

    def __repr__(self) -> str:
        return f"Use {self._name}() to end the kernel"

    def __call__(self, keep_kernel: bool = False) -> None:
        self._bridge.make_shell().exiter(keep_kernel)


def _in_process(pid: int) -> Callable[[ConsoleStream], bool]:
    return lambda stream: os.getpid() == pid


def _is_shown_alike(value: object) -> bool:
    """Return whether IPython would show `value` as this package does: by its `repr`, or by its bundle."""
    kind = type(value)
    if kind in _PLAIN or kind is Rendered or value is None:
        return True
    if kind is list or kind is tuple:
        entries = list(cast("list[object]", value)[: _FEW + 1])
        return (
            len(entries) <= _FEW
            and all(type(entry) in _PLAIN or entry is None for entry in entries)
            and sum(len(entry) for entry in entries if isinstance(entry, str)) <= _LINE
            and len(repr(value)) <= _LINE
        )
    return False


def _load_when_used(name: str) -> None:
    """Put a module into `sys.modules` that is loaded when one of its attributes is read."""
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return a copy of a traceback without cellwire's own frames: the first, and the last of an interrupt."""
    parts: list[TracebackType] = []
    while trace is not None:
        parts.append(trace)
        trace = trace.tb_next
    for part in reversed(parts):
        if not is_own(part.tb_frame.f_code.co_filename):
            trace = TracebackType(trace, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return trace
