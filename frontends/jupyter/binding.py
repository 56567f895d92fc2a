"""Translates between Jupyter's messages and the kernel. Knows no sockets.

Execute requests wait for each other, in `executions`. All other requests are handled here, at once, even
while a cell runs, each between a `busy` and an `idle` of its own. Events are passed to what handles them.
"""

import os
import platform
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

from ...kernel.diagnostics import report, resident_memory
from ...protocol import events as e
from ...protocol import messages as m
from ...protocol.errors import RequestError
from ...version import __version__
from . import errors
from .comms import Comms
from .connection_file import Channel
from .core import Core
from .debugging import Debugger
from .executions import Executions
from .history import History
from .inputs import InputRequests
from .publisher import Publisher
from .reactivity import Reactivity
from .views import View, Views
from .wire import NO_PARENT, VERSION, Message

#: The folder of the package.
PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))
_COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})
#: Seconds after a debugger's request until the kernel says that it is still busy: more follow at once.
_QUIET = 0.2
#: Seconds after an input until history is written.
_SAVE = 2.0

_STUCK = (
    "Python cannot be interrupted while native code holds the interpreter. Interrupt again to replace the "
    "process that runs the cells: outputs stay, and cells run again when they are needed.\n"
)

#: Handles a request; returns whether it is answered.
_Handler = Callable[[Channel, Message], bool]


class Binding:
    """Carries out the requests of one kernel's clients."""

    def __init__(
        self,
        core: Core,
        publisher: Publisher,
        history: History,
        ports: Mapping[Channel, int],
        *,
        lazy: bool = False,
    ) -> None:
        self._core, self._publisher, self._history = core, publisher, history
        self._ports = ports
        self._views = Views(publisher, history.add_output)
        self._debugger = Debugger(core, self._publish_debug_event, PACKAGE)
        self._reactivity = Reactivity(core, publisher, self._views, lazy=lazy)
        self._executions = Executions(
            core,
            publisher,
            self._views,
            history,
            self._reactivity,
            self._save_soon,
            self._debugger.before_cell,
        )
        self._inputs = InputRequests(core, publisher, self._views)
        self._comms = Comms(core, publisher, self._views)
        self._saving = False
        # The view of a request whose code could not be interrupted.
        self._stuck: View | None = None
        # Whether a runner has been ready since one was last started here.
        self._was_ready = True
        self._handlers: dict[str, _Handler] = {
            "kernel_info_request": self._kernel_info,
            "connect_request": self._connect,
            "history_request": self._history_request,
            "is_complete_request": self._is_complete,
            "comm_info_request": self._comm_info,
            "comm_open": self._comms.receive,
            "comm_msg": self._comms.receive,
            "comm_close": self._comms.receive,
            "complete_request": self._complete,
            "inspect_request": self._inspect,
            "interrupt_request": self._interrupt,
            "shutdown_request": self._shutdown,
            "usage_request": self._usage,
            "debug_request": self._debug,
        }
        # Debuggers' requests that wait, as each needs what the one before has brought about.
        self._debug_queue: deque[tuple[Channel, Message]] = deque()
        self._debugging = False
        # How many of them were answered just now, while a cell ran.
        self._recent = 0

    def start(self) -> None:
        """Publish that the kernel is starting."""
        self._publisher.status("starting", NO_PARENT)

    def close(self) -> None:
        """Send and save what is left."""
        self._executions.close()
        self._debugger.close()
        self._publisher.finish()
        self._history.close()

    def welcome(self, topic: bytes) -> None:
        """Greet a client that has subscribed."""
        self._publisher.welcome(topic)

    # From clients

    def receive(self, channel: Channel, message: Message) -> None:
        """Take one message of a client."""
        kind = message.type
        if channel == "control":
            self._executions.control_header = message.header
        self._reactivity.heard(message.session, message.identities)
        if kind == "execute_request":
            self._executions.receive(channel, message)
        elif kind == "input_reply":
            self._inputs.receive(message)
        elif kind == "debug_request":
            self._debug_later(channel, message)
        elif kind in _COMMS:
            # What follows is sent while user code deals with the message.
            done = self._answer(channel, message)
            self._publisher.status("busy", message.header_bytes)
            if done:
                self._views.idle(message.header_bytes)
        else:
            self._publisher.status("busy", message.header_bytes)
            if self._answer(channel, message):
                self._views.idle(message.header_bytes)

    def _answer(self, channel: Channel, message: Message) -> bool:
        """Handle a request; return whether it is answered."""
        try:
            handler = self._handlers.get(message.type)
            if handler is not None:
                return handler(channel, message)
            content = errors.named("UnknownRequest", f"cellwire does not know {message.type[:100]!r}")
        except RequestError as error:
            content = errors.of_request(error)
        except Exception as error:
            report(traceback.format_exc())
            content = errors.named(type(error).__name__, str(error))
        if message.type.endswith("_request"):
            self._reply(channel, message, {**content, "status": "error"})
        return True

    def _reply(self, channel: Channel, message: Message, content: dict[str, Any]) -> bool:
        kind = message.type.removesuffix("_request") + "_reply"
        self._publisher.reply(channel, message, kind, {"status": "ok", **content})
        return True

    def _kernel_info(self, channel: Channel, message: Message) -> bool:
        version = platform.python_version()
        language = {
            "name": "python",
            "version": version,
            "mimetype": "text/x-python",
            "file_extension": ".py",
            "pygments_lexer": "ipython3",
            "codemirror_mode": {"name": "ipython", "version": sys.version_info[0]},
            "nbconvert_exporter": "python",
        }
        content: dict[str, Any] = {
            "protocol_version": VERSION,
            "implementation": "cellwire",
            "implementation_version": __version__,
            "language_info": language,
            "banner": f"cellwire {__version__} · Python {version}\n"
            f"Attach in a terminal: cellwire attach {self._core.connection_file}",
            "help_links": [],
            "supported_features": ["debugger"] if find_spec("debugpy") else [],
        }
        return self._reply(channel, message, content)

    def _connect(self, channel: Channel, message: Message) -> bool:
        return self._reply(channel, message, {f"{name}_port": port for name, port in self._ports.items()})

    def _history_request(self, channel: Channel, message: Message) -> bool:
        return self._reply(channel, message, {"history": self._history.answer(message.content)})

    def _is_complete(self, channel: Channel, message: Message) -> bool:
        # Only consoles ask.
        from .completeness import completeness

        status, indentation = completeness(str(message.content.get("code", "")))
        indent = {"indent": indentation} if status == "incomplete" else {}
        return self._reply(channel, message, {"status": status, **indent})

    def _comm_info(self, channel: Channel, message: Message) -> bool:
        return self._reply(channel, message, {"comms": self._comms.open(message.content.get("target_name"))})

    def _usage(self, channel: Channel, message: Message) -> bool:
        memory = resident_memory()
        content = {"hostname": socket.gethostname(), "pid": os.getpid(), "kernel_memory": memory}
        return self._reply(channel, message, content)

    def _debug_later(self, channel: Channel, message: Message) -> None:
        if message.content.get("command") == "disconnect":
            # This ends what the others wait for.
            self._debug_queue.appendleft((channel, message))
            self._debugging = False
        else:
            self._debug_queue.append((channel, message))
        self._debug_next()

    def _debug_next(self) -> None:
        while self._debug_queue and not self._debugging:
            channel, message = self._debug_queue.popleft()
            self._debugging = True
            self._publisher.status("busy", message.header_bytes)
            if self._answer(channel, message):
                self._debugged(message)

    def _debug(self, channel: Channel, message: Message) -> bool:
        def on_reply(content: dict[str, Any]) -> None:
            self._publisher.reply(channel, message, "debug_reply", content)
            self._debugged(message)

        self._debugger.request(message.content, on_reply)
        return False

    def _debugged(self, message: Message) -> None:
        self._debugging = False
        self._publisher.status("idle", message.header_bytes)
        if self._debug_queue:
            self._core.later(0.0, self._debug_next)
        if (view := self._views.current) is not None:
            self._recent += 1
            self._core.later(_QUIET, partial(self._still_busy, view))

    def _still_busy(self, view: View) -> None:
        self._recent -= 1
        if not self._recent and self._views.current is view:
            self._publisher.status("busy", view.parent)

    def _publish_debug_event(self, event: dict[str, Any]) -> None:
        view = self._views.current
        self._publisher.publish("debug_event", event, NO_PARENT if view is None else view.parent)

    # What the runner knows

    def _complete(self, channel: Channel, message: Message) -> bool:
        code, cursor = _code(message)

        def on_reply(reply: Any) -> None:
            items = reply.items if isinstance(reply, m.Completions) else []
            start, end = (reply.start, reply.end) if items else (cursor, cursor)
            types = [{"start": start, "end": end, "text": i.text, "type": i.kind} for i in items]
            content = {
                "matches": [item.text for item in items],
                "cursor_start": start,
                "cursor_end": end,
                "metadata": {"_jupyter_types_experimental": types},
            }
            self._reply(channel, message, content)
            self._views.idle(message.header_bytes)

        self._ask(m.Complete("", code, cursor), on_reply)
        return False

    def _inspect(self, channel: Channel, message: Message) -> bool:
        code, cursor = _code(message)
        detail = message.content.get("detail_level")

        def on_reply(reply: Any) -> None:
            data = reply.data if isinstance(reply, m.Inspection) else {}
            self._reply(channel, message, {"found": bool(data), "data": data, "metadata": {}})
            self._views.idle(message.header_bytes)

        request = m.Inspect("", code, cursor, detail=detail if isinstance(detail, int) else 0)
        self._ask(request, on_reply)
        return False

    def _ask(self, request: m.Introspection, on_reply: Callable[[Any], None]) -> None:
        """Ask the runner; answer with an empty result if it cannot be asked."""
        try:
            self._core.pass_on(request, on_reply)
        except RequestError as error:
            on_reply(error)

    # The kernel's life

    def _interrupt(self, channel: Channel, message: Message) -> bool:
        self.interrupt()
        return self._reply(channel, message, {})

    def interrupt(self) -> None:
        """Interrupt what runs.

        Native code that holds the interpreter cannot be interrupted. Once that is noticed, the next interrupt
        replaces the runner, since Jupyter itself can only restart everything.
        """
        self._reactivity.interrupt()
        current = self._views.current
        stuck = current is not None and self._core.notebook.runner.condition == "unresponsive"
        if current is None or not stuck:
            self._debugger.interrupt(self._core.interrupt)
        elif self._stuck is current:
            self._core.replace()
        else:
            self._stuck = current
            self._core.interrupt()
            self._publisher.write("stderr", _STUCK, current.parent)

    def _shutdown(self, channel: Channel, message: Message) -> bool:
        content = {"status": "ok", "restart": bool(message.content.get("restart"))}
        self._reply(channel, message, content)
        self._publisher.publish("shutdown_reply", content, message.header_bytes)
        self._core.shut_down("a Jupyter client requested it")
        return True

    def _save_soon(self) -> None:
        if self._history.pending and not self._saving:
            self._saving = True
            self._core.later(_SAVE, self._save)

    def _save(self) -> None:
        self._saving = False
        self._history.save()

    # From the kernel

    def rest(self) -> None:
        """Do what is left to do when neither clients nor the kernel have sent anything."""
        if not self._executions.busy:
            self._reactivity.go_on()

    def take(self, event: Any) -> None:
        """Handle one event of the kernel."""
        if self._debugger.take(event):
            return
        self._reactivity.take(event)
        if self._executions.take(event):
            return
        if isinstance(event, e.RunFinished):
            self._executions.go_on()
        if isinstance(event, e.InputRequested):
            self._inputs.requested(event)
        elif isinstance(event, e.InputClosed):
            self._inputs.closed(event)
        elif isinstance(event, e.CommSent):
            self._comms.sent(event)
        elif isinstance(event, e.RunnerStarted):
            self._was_ready = True
        elif isinstance(event, e.RunnerDied):
            self._inputs.forget()
            self._comms.forget()
            if self._was_ready:
                # Only after a runner that had been ready: one that cannot start would be restarted for ever.
                self._was_ready = False
                self._core.revive()
        else:
            self._views.take(event)


def _code(message: Message) -> tuple[str, int]:
    code, cursor = str(message.content.get("code", "")), message.content.get("cursor_pos")
    return code, cursor if isinstance(cursor, int) else len(code)
