"""The debugger: clients' requests to debugpy in the runner, and debugpy's events.

A loose cell makes debugpy listen in the runner, and the kernel connects to its adapter. At a breakpoint only
user code stands still: the kernel and the runner's own threads go on. Clients name a cell by a file
(`cell_files`); before the cell runs, the adapter is told that this file is the cell.
"""

import ast
from collections.abc import Callable
from typing import Any

import msgspec

from ...protocol import events as e
from ...protocol import messages as m
from ...protocol.errors import RequestError
from .cell_files import CellFiles
from .core import Core
from .dap import DebugAdapter, OnReply, Reply, failure, guarded
from .own_code import LISTEN, MODULES, OwnCode

#: How many lines of a cell are mapped at most.
_LINES = 1_000_000
#: Names that the list of variables leaves out.
_HIDDEN = frozenset({"In", "Out", "exit", "quit", "get_ipython", "debugpy", "display"})

#: Requests after which user code goes on.
_GOING_ON = frozenset({"continue", "next", "stepIn", "stepOut"})


class Debugger:
    """The debugger of one kernel, as clients use it."""

    def __init__(self, core: Core, publish: Callable[[dict[str, Any]], None], own_code: str) -> None:
        """`publish` publishes an event, and `own_code` is the folder that stepping does not enter."""
        self._core, self._publish = core, publish
        self._rules = [{"path": f"{own_code}/**", "include": False}]
        self._files = CellFiles()
        self._adapter: DebugAdapter | None = None
        # Where debugpy listens in the present runner; 0 if it does not.
        self._port = 0
        self._breakpoints: dict[str, list[Any]] = {}
        self._stopped: set[int] = set()
        # Whether what runs was interrupted, so that nothing is to stop it any more.
        self._interrupted = False
        # Cells by the path of their file.
        self._mapped: dict[str, str] = {}
        self._code = OwnCode(core)
        self._handlers: dict[str, Callable[[dict[str, Any], OnReply], None]] = {
            "initialize": self._initialize,
            "attach": self._attach,
            "configurationDone": self._configured,
            "disconnect": self._disconnect,
            "dumpCell": self._dump_cell,
            "debugInfo": self._info,
            "source": self._source,
            "stackTrace": self._stack_trace,
            "setBreakpoints": self._set_breakpoints,
            "variables": self._variables,
            "inspectVariables": self._inspect_variables,
            "richInspectVariables": self._inspect_richly,
            "copyToGlobals": self._copy_to_globals,
            "modules": self._modules,
        }

    @property
    def stopped(self) -> bool:
        """Whether user code stands at a breakpoint."""
        return bool(self._stopped)

    def request(self, content: dict[str, Any], on_reply: OnReply) -> None:
        """Carry out one request of a client; `on_reply` gets the content of the reply."""
        command = str(content.get("command", ""))
        arguments: dict[str, Any] = content.get("arguments") or {}

        def answer(reply: Reply) -> None:
            own: Reply = {"type": "response", "command": command, "success": True, "body": {}}
            on_reply({**own, **reply, "request_seq": content.get("seq", 0)})

        handler = self._handlers.get(command)
        try:
            if handler is not None:
                handler(arguments, answer)
            elif command in _GOING_ON and not self._stopped:
                answer(failure("nothing has stopped at a breakpoint"))
            else:
                self._forward(command, arguments, answer)
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            answer(failure(f"{command}: {type(error).__name__}: {error}"))

    def before_cell(self, cell: str, source: str, run: Callable[[], None]) -> None:
        """Call `run` once the adapter knows which file is the cell."""
        if self._adapter is None:
            run()
            return
        path = self._files.path(source)
        for other, mapped in list(self._mapped.items()):
            if mapped == cell and other != path:
                # Its source has changed.
                del self._mapped[other]
                self._map(other, "", _ignore)
        self._mapped[path] = cell
        self._map(path, cell, lambda reply: run())

    def interrupt(self, interrupt: Callable[[], None]) -> None:
        """Call `interrupt`, and let user code go on if it stands at a breakpoint: the interrupt strikes then.

        It may be about to stop, so nothing stops it until the run has ended.
        """
        interrupt()
        if self._adapter is None or self._core.notebook.idle:
            return
        self._interrupted = True
        for path in self._breakpoints:
            self._send_breakpoints(path, [])
        if self._stopped:
            self._go_on(min(self._stopped))

    def _go_on(self, thread: int) -> None:
        self._forward("continue", {"threadId": thread}, _ignore)

    def _send_breakpoints(self, path: str, points: list[Any]) -> None:
        self._forward("setBreakpoints", {"source": {"path": path}, "breakpoints": points}, _ignore)

    def take(self, event: Any) -> bool:
        """Handle an event of the kernel; return whether it is from one of the debugger's own cells."""
        if isinstance(event, e.RunnerDied):
            self._end()
            self._port = 0
        elif isinstance(event, e.RunFinished) and self._interrupted:
            self._interrupted = False
            for path, points in self._breakpoints.items():
                self._send_breakpoints(path, points)
        return self._code.take(event)

    def close(self) -> None:
        """Disconnect, and remove the cells' files."""
        self._end()
        self._files.remove()

    # Beginning and end

    def _initialize(self, arguments: dict[str, Any], answer: OnReply) -> None:
        def listening(data: dict[str, Any] | None, text: str) -> None:
            if data is None:
                answer(failure("debugpy cannot listen in the runner: is it installed?"))
                return
            self._port = ast.literal_eval(str(data["text/plain"]))[1]
            connect()

        def connect() -> None:
            try:
                self._adapter = self._core.connect(self._port, self._event, self._end)
            except OSError as error:
                answer(failure(f"cannot connect to debugpy: {error}"))
            else:
                self._forward("initialize", arguments, answer)

        self._end()
        if self._port:
            connect()
        else:
            self._code.run(LISTEN, guarded(listening, answer))

    def _attach(self, arguments: dict[str, Any], answer: OnReply) -> None:
        wanted = {
            **arguments,
            "connect": {"host": "127.0.0.1", "port": self._port},
            "debugOptions": ["DebugStdLib"],
            "rules": self._rules,
        }
        for cell in self._core.notebook.cells.values():
            self._mapped[self._files.path(cell.source)] = cell.id
        self._forward("attach", wanted, answer)

    def _configured(self, arguments: dict[str, Any], answer: OnReply) -> None:
        # The adapter got this when it was ready, which is before clients send it.
        answer({})

    def _disconnect(self, arguments: dict[str, Any], answer: OnReply) -> None:
        def disconnected(reply: Reply) -> None:
            self._end()
            answer(reply)

        # The process is the user's.
        self._forward("disconnect", {"terminateDebuggee": False}, disconnected)

    def _end(self) -> None:
        if self._adapter is not None:
            self._adapter.close()
            self._adapter = None
            self._publish({"type": "event", "event": "terminated", "seq": 0, "body": {}})
        self._breakpoints.clear()
        self._stopped.clear()
        self._interrupted = False
        self._mapped.clear()

    # What clients ask about cells

    def _dump_cell(self, arguments: dict[str, Any], answer: OnReply) -> None:
        answer({"body": {"sourcePath": self._files.write(str(arguments["code"]))}})

    def _info(self, arguments: dict[str, Any], answer: OnReply) -> None:
        breakpoints = [{"source": path, "breakpoints": lines} for path, lines in self._breakpoints.items()]
        body = {
            **self._files.described,
            "isStarted": self._adapter is not None,
            "breakpoints": breakpoints,
            "stoppedThreads": sorted(self._stopped),
            "richRendering": True,
            "exceptionPaths": ["Python Exceptions"],
            "copyToGlobals": True,
        }
        answer({"body": body})

    def _source(self, arguments: dict[str, Any], answer: OnReply) -> None:
        try:
            with open(arguments["source"]["path"], encoding="utf-8") as file:
                answer({"body": {"content": file.read()}})
        except (OSError, UnicodeDecodeError) as error:
            answer(failure(f"the source cannot be read: {error}"))

    def _stack_trace(self, arguments: dict[str, Any], answer: OnReply) -> None:
        def cut(reply: Reply) -> None:
            body: Any = reply.get("body") or {}
            frames: list[Any] = body.get("stackFrames", [])
            own = [n for n, frame in enumerate(frames, 1) if self._files.is_one(frame["source"]["path"])]
            if own:
                # The frames below the outermost frame of a cell are cellwire's.
                reply = {**reply, "body": {**body, "stackFrames": frames[: own[-1]], "totalFrames": own[-1]}}
            answer(reply)

        self._forward("stackTrace", arguments, guarded(cut, answer))

    def _set_breakpoints(self, arguments: dict[str, Any], answer: OnReply) -> None:
        path = str(arguments["source"]["path"])

        def set_(reply: Reply) -> None:
            # They may be on other lines than the client asked for.
            found = reply.get("body", {}).get("breakpoints") if reply.get("success") else None
            lines = arguments.get("breakpoints", []) if found is None else found
            self._breakpoints[path] = [{"line": point["line"]} for point in lines if "line" in point]
            answer(reply)

        self._forward("setBreakpoints", arguments, guarded(set_, answer))

    def _variables(self, arguments: dict[str, Any], answer: OnReply) -> None:
        def filtered(reply: Reply) -> None:
            variables = reply.get("body", {}).get("variables", [])
            shown = [variable for variable in variables if _is_shown(str(variable.get("name", "")))]
            answer({**reply, "body": {"variables": shown}})

        if self._stopped:
            self._forward("variables", arguments, guarded(filtered, answer))
        else:
            answer({"body": {"variables": []}})

    def _inspect_variables(self, arguments: dict[str, Any], answer: OnReply) -> None:
        def listed(reply: Any) -> None:
            variables = reply.variables if isinstance(reply, m.VariableList) else []
            body = [
                {
                    "name": variable.name,
                    "type": variable.type,
                    "value": variable.value,
                    "evaluateName": variable.name,
                    "variablesReference": 0,
                }
                for variable in variables
                if _is_shown(variable.name)
            ]
            answer({"body": {"variables": body}})

        try:
            self._core.pass_on(m.Variables(""), guarded(listed, answer))
        except RequestError as error:
            answer(failure(error.message))

    def _inspect_richly(self, arguments: dict[str, Any], answer: OnReply) -> None:
        name = str(arguments["variableName"])
        if not name.isidentifier():
            answer({"success": name.endswith(" variables"), "body": {"data": {}, "metadata": {}}})
            return

        def evaluated(reply: Reply) -> None:
            try:
                data, metadata = ast.literal_eval(reply["body"]["result"])
            except (KeyError, ValueError, SyntaxError):
                answer(failure(str(reply.get("message", f"{name} cannot be shown"))))
            else:
                answer({"body": {"data": data, "metadata": metadata}})

        def shown(data: dict[str, Any] | None, text: str) -> None:
            found = data is not None
            answer({"success": found, "body": {"data": data or {}, "metadata": {}}})

        if self._stopped and "frameId" in arguments:
            expression = f"get_ipython().display_formatter.format({name})"
            wanted = {"expression": expression, "frameId": arguments["frameId"], "context": "clipboard"}
            self._forward("evaluate", wanted, guarded(evaluated, answer))
        else:
            self._code.run(name, shown)

    def _copy_to_globals(self, arguments: dict[str, Any], answer: OnReply) -> None:
        source, target = str(arguments["srcVariableName"]), str(arguments["dstVariableName"])
        if not (source.isidentifier() and target.isidentifier()):
            answer(failure("srcVariableName and dstVariableName must be names"))
            return
        wanted = {
            "expression": f"globals()['{target}']",
            "value": source,
            "frameId": arguments["srcFrameId"],
        }
        self._forward("setExpression", wanted, answer)

    def _modules(self, arguments: dict[str, Any], answer: OnReply) -> None:
        def listed(data: dict[str, Any] | None, text: str) -> None:
            found = [] if data is None else msgspec.json.decode(text, type=list[tuple[str, str]])
            modules = [{"id": i, "name": name, "path": path} for i, (name, path) in enumerate(found)]
            first = int(arguments.get("startModule", 0))
            last = first + int(arguments.get("moduleCount", len(modules)))
            answer({"body": {"modules": modules[first:last], "totalModules": len(modules)}})

        self._code.run(MODULES, guarded(listed, answer))

    # The adapter

    def _forward(self, command: str, arguments: Any, answer: OnReply) -> None:
        if self._adapter is None:
            answer(failure("the debugger has not started"))
        else:
            if command in _GOING_ON:
                # The adapter says so later, and does not answer if it is asked again.
                self._stopped.clear()
            self._adapter.request(command, arguments, answer)

    def _event(self, event: dict[str, Any]) -> None:
        name: str = event.get("event", "")
        body: dict[str, Any] = event.get("body") or {}
        if name == "initialized" and self._adapter is not None:
            for path, cell in self._mapped.items():
                self._map(path, cell, _ignore)
            self._adapter.request("configurationDone", {}, _ignore)
        elif name == "stopped" and self._interrupted:
            self._go_on(int(body.get("threadId", 1)))
            return
        elif name == "output":
            # Of the adapter and debugpy: how cells are struck by an interrupt disturbs them.
            return
        elif name == "stopped" and self._adapter is not None:

            def threads(reply: Reply) -> None:
                if self._interrupted:
                    self._go_on(int(body.get("threadId", 1)))
                    return
                self._stopped.add(int(body.get("threadId", 1)))
                for thread in reply.get("body", {}).get("threads", []):
                    if body.get("allThreadsStopped") and not thread["name"].startswith("cellwire"):
                        self._stopped.add(thread["id"])
                self._publish(event)

            self._adapter.request("threads", {}, threads)
            return
        elif name == "continued":
            if body.get("allThreadsContinued", True):
                self._stopped.clear()
            self._stopped.discard(int(body.get("threadId", 0)))
        self._publish(event)

    def _map(self, path: str, cell: str, on_reply: OnReply) -> None:
        """Tell the adapter that a path is a cell, or is no cell any more."""
        code = {"path": f"<cell {cell}>"}
        lines = {"line": 1, "endLine": _LINES, "runtimeSource": code, "runtimeLine": 1}
        arguments = {"source": {"path": path}, "pydevdSourceMaps": [lines] if cell else []}
        self._forward("setPydevdSourceMap", arguments, on_reply)


def _is_shown(name: str) -> bool:
    return name not in _HIDDEN and not name.startswith(("__", "_i", "_o", "_d")) and not name[1:2].isdigit()


def _ignore(reply: Reply) -> None:
    pass
