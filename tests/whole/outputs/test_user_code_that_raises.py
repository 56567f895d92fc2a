"""Every place where cellwire calls user code: what is raised there ends nothing and is reported once.

A place is a function of the runner that catches whatever is raised, or makes text or a number of a value.
`PLACES`, `ASKED` and `ELSEWHERE` list them all: the first two with user code that is called there, and raises
or does not return. A new place that is in none of them fails a test.
"""

import ast
from itertools import count
from pathlib import Path

import anyio
import cellwire.runner
import pytest
from cellwire.protocol import KernelClient
from cellwire.protocol.mime_types import PROGRESS_MIME
from cellwire.protocol.notebook import Console, Notebook
from support.waiting import PATIENCE, printed, until

pytestmark = pytest.mark.anyio

#: Where the report is: on the cell's console, as its error, or nowhere, as another answer is taken. And what
#: values could say, but are never asked.
CONSOLE, ERROR, NOWHERE, NEVER = "console", "error", "nowhere", "never"

A = "class A:\n    {}\n"
META = "class M(type):\n    {}\nclass E({}metaclass=M): pass\n"
NUMBER = "class N({0}):\n    __{0}__ = __index__ = fail\n"
#: What calls user code, the cell that does it, where the report is, and the places that it goes through.
PLACES = {
    "the code of a cell": ("fail()", ERROR, "executor.Executor.run"),
    "a cell that awaits": (
        "await asyncio.sleep(0)\nfail()",
        ERROR,
        "executor.Executor.run_async executor._drive executor._evaluate",
    ),
    "a cell that awaits in its value": (
        "fail(await asyncio.sleep(0))",
        ERROR,
        "executor._drive executor._evaluate",
    ),
    # The value of a cell
    "repr": (
        A.format("__repr__ = fail") + "A()",
        CONSOLE,
        "formatting.plain_text hooks.call_hooks",
    ),
    "a method that formats": (
        A.format("_repr_html_ = fail") + "A()",
        CONSOLE,
        "formatting._guard",
    ),
    "an attribute that formats": (
        A.format("_repr_html_ = property(fail)") + "A()",
        NOWHERE,
        "formatting._method",
    ),
    "a mime bundle": (A.format("_repr_mimebundle_ = fail") + "A()", CONSOLE, "formatting._guard"),
    "what shows itself": (
        A.format("_ipython_display_ = fail") + "A()",
        CONSOLE,
        "formatting.show_itself",
    ),
    "content of a bundle": (
        A.format("__str__ = fail") + "class B:\n    def _repr_html_(self): return A()\nB()",
        CONSOLE,
        "formatting._content",
    ),
    "a mime type of a bundle": (
        A.format("__str__ = fail") + "class B:\n    def _repr_mimebundle_(self, **_): return {A(): ''}\nB()",
        CONSOLE,
        "formatting._merge",
    ),
    "an integer in a bundle": (
        NUMBER.format("int") + "cw.output.append(cw.mime({'text/plain': '', 'application/json': N(1)}));",
        CONSOLE,
        "encoding.as_plain",
    ),
    "a number in a bundle": (
        NUMBER.format("float") + "cw.output.append(cw.mime({'text/plain': '', 'application/json': N(1)}));",
        CONSOLE,
        "encoding.as_plain",
    ),
    "an array in a bundle": (
        A.format("tolist = fail") + "cw.output.append(cw.mime({'text/plain': '', 'application/json': A()}));",
        CONSOLE,
        "encoding.as_plain",
    ),
    "the text of a bundle": (
        A.format("__str__ = fail") + "repr(cw.mime({'text/plain': A()}))",
        ERROR,
        "values.Rendered.__repr__",
    ),
    "the class that a value claims": (A.format("__class__ = property(fail)") + "A()", NEVER, ""),
    "the name of its class": (
        META.format("__qualname__ = __name__ = property(fail)", "") + "E()",
        NEVER,
        "",
    ),
    "the bases of its class": (META.format("__mro__ = property(fail)", "") + "E()", NEVER, ""),
    "the attributes of its class": (
        META.format("def __getattribute__(self, name): fail()", "") + "E()",
        NOWHERE,
        "cell_hooks.ValueHooks.show_value",
    ),
    # An error
    "the text of an error": (
        "class E(Exception): __str__ = fail\nraise E",
        NOWHERE,
        "cell_errors._message cell_errors.raised",
    ),
    "the class that an error claims": (
        "class E(Exception): __class__ = property(fail)\nraise E",
        NOWHERE,
        "cell_errors._suggestion cell_hooks.CellReport.describe_error",
    ),
    "the name of an error's class": (
        META.format("__name__ = property(fail)", "Exception, ") + "raise E",
        NEVER,
        "",
    ),
    "the notes of an error": (
        "class E(Exception): __notes__ = property(fail)\nraise E",
        NOWHERE,
        "cell_errors.raised",
    ),
    "the notes of an error that is reported": (
        "class E(Exception): __notes__ = property(fail)\n" + A.format("def __repr__(self): raise E") + "A()",
        NOWHERE,
        "reports.format_error",
    ),
    "attributes to suggest": (
        A.format("__dir__ = fail") + "A().x",
        NOWHERE,
        "cell_errors._suggestion",
    ),
    "a name that is missing": (
        "class E(NameError): name = property(fail)\nraise E",
        NOWHERE,
        "cell_hooks.CellReport.describe_error",
    ),
    # Streams
    "a stream that is flushed": (
        "class S:\n    closed = False\n    write = print\n    flush = fail\n"
        "_before, sys.stdout = sys.stdout, S()",
        CONSOLE,
        "cell_hooks._flush",
    ),
    "a stream that reports": (
        A.format("__repr__ = fail") + "class S:\n    closed = True\n    write = fail\nsys.stderr = S()\nA()",
        CONSOLE,
        "reports.write_report",
    ),
    # The event loop
    "a task": ("async def task(): fail()\n_t = asyncio.create_task(task())", NOWHERE, "host.Host.serve"),
    "a callback": ("asyncio.get_running_loop().call_soon(fail);", NOWHERE, "host.Host.serve"),
    "a handler of the loop": (
        "asyncio.get_running_loop().set_exception_handler(fail)\n"
        "async def task(): 1 / 0\nasyncio.create_task(task());",
        NOWHERE,
        "",
    ),
    # Objects that go
    "a finalizer": (A.format("__del__ = fail") + "A();", NOWHERE, "executor.Executor.run"),
    # The arguments of cellwire's functions
    "an index": (
        A.format("__index__ = fail") + "cw.output.replace_at_index(1, A())",
        ERROR,
        "output_list.OutputList.replace_at_index",
    ),
    "a number": (
        A.format("__index__ = fail") + "cw.progress_bar(3).update(A())",
        ERROR,
        "progress._number",
    ),
    "a number that is no integer": (
        A.format("__float__ = fail") + "cw.progress_bar(3).update(A())",
        ERROR,
        "progress._number",
    ),
    "a length": (
        A.format("__len__ = fail\n    __getitem__ = 0") + "cw.progress_bar(A());",
        NOWHERE,
        "progress._length",
    ),
    "what a bar counts": (
        A.format("__iter__ = fail") + "for _ in cw.progress_bar(A(), total=3): pass",
        ERROR,
        "executor.Executor.run",
    ),
    "the text of a title": (
        A.format("__str__ = fail") + "cw.progress_bar(3, title=A());",
        NOWHERE,
        "encoding.safe_str",
    ),
    "the text of a prompt": (
        A.format("__str__ = fail") + "input(A())",
        ERROR,
        "input.Inputs.ask",
    ),
    "a state": (
        A.format("__eq__ = fail") + "_get, _set = cw.state(A())\n_set(A());",
        NOWHERE,
        "state.equal",
    ),
    "metadata": (
        A.format("__str__ = fail") + "cw.output.append(cw.mime({'text/plain': ''}, {'a': A()}));",
        NOWHERE,
        "encoding.safe_str encoding.as_plain",
    ),
    # Imports
    "a finder of modules": ("from found_oddly import *", ERROR, "star_imports.find_spec"),
    "names of a module": ("from listed_oddly import *", ERROR, "star_imports._names"),
    "names of a module, looked at again": (
        "from listed_once import *",
        NOWHERE,
        "corrections.Corrections._correct_names",
    ),
}

#: Places that do not call user code, or are injected into elsewhere.
ELSEWHERE = {
    "analysis._compile": "the text of Python's own SyntaxError",
    "star_imports._all_of": "a constant of a source",
    "progress._on_the_wire": "a number that `_number` has made",
    "progress.progress_data": "likewise",
    "subprocesses.Children.interrupt": "tests/whole/faults/test_interrupts_of_children.py",
    "throttle.Throttle.send_due": "tests/runner/api/test_throttle.py",
    "after_import._call": "tests/runner/attribution/test_after_import.py",
    "order.NotebookOrder._number": "cellwire's own numbers",
    "structural_errors._cells": "ids of cells, which are text",
    "runs.Runs._run_request": "a fault of cellwire's own",
    "runs.Runs._keep": "likewise",
    "scheduler.Scheduler._fly": "likewise",
    "scheduler.Scheduler.drive": "likewise, and the end of the task that it is in",
    "cell_errors._position": "a traceback's lines",
    "executor._close": "tests/whole/faults/test_interrupts.py",
    "hooks._report": "tests/runner/engine/test_hooks.py",
    "signals.install_signals.guarded.handle": "tests/whole/faults/test_signal_handlers.py",
    "sources.remember_source": "tests/runner/test_host.py",
    "host.": "the number of a signal",
    "host.Host._finish_tasks": "tests/whole/faults/test_shutdown.py",
    "host.Host._read_control": "what it calls reports by itself",
    "extensions.load_extensions": "tests/whole/test_hooks_document.py",
    "answers.complete": "failures of jedi",
    "introspector.Introspector._send": "failures of the link",
    "introspector.Introspector._start_worker": "the text of Python's own RuntimeError",
    "emitter.Emitter._drain": "tests/runner/output/test_emitter.py",
    "emitter.Emitter._encode_step": "likewise",
    "emitter.Emitter.emit": "likewise",
    "encoding.encode_bundle": "tests/runner/output/test_encoding.py",
    "formatters._artists_bundle": "called as other formatters are",
    "formatters.figure_bundle": "likewise",
    "formatting.format_value": "what metaclasses raise where the methods of a value are looked for",
    "answers.source": "files, and attributes of functions and classes",
    "inspection._file": "likewise",
    "inspection.labelled": "the length of a value of a built-in type",
    "comms.Comms.deal_with": "tests/whole/outputs/test_widgets.py",
    "embed._guard": "what the engine of an embedded notebook is given, which it handles as any engine",
    "part.Part._ipython_display_": "names and numbers of items",
    "part.PartOutput.__repr__": "texts of items",
    "extensions.call": "tests/whole/test_settings.py",
    "marimo_html._content": "what was decoded from JSON",
    "lifecycle.CellLifecycle._call_retiring": "tests/runner/engine/test_elsewhere.py and its siblings",
    "formatting.normalized": "names of mime types, from IPython's formatters",
    # IPython's shell, which catches what user code raises in magics
    "bridge.Bridge.end": "the text of a page",
    "bridge._is_shown_alike": "built-in containers of built-in values",
    "shell.CellDisplayHook.quiet": "the tokens of a source",
    "shell.KernelFacade._parent_ident": "a part of a message",
    "shell.ZMQInteractiveShell._showtraceback": "tests/whole/ipython/",
    "kernel_magics.KernelMagics.autosave": "a part of a source",
    "kernel_magics.KernelMagics.edit": "the path of a file",
    "syntax.IPythonLanguage._transform_tree": "tests/whole/ipython/",
    # Places of cells: what is raised there is the error of the cell, in the tests of each place
    "boxes._dump": "tests/runner/engine/test_elsewhere.py and its siblings",
    "boxes._load": "likewise",
    "boxes.cannot_send": "the text of an error of pickle's",
    "cellhost.CellHost._execute": "tests/runner/engine/test_elsewhere.py and its siblings",
    "cellhost.CellHost._execute_within_gate": "likewise",
    "cellhost.CellHost._summary": "likewise",
    "cellhost._retire": "likewise",
    "client.DaskPlace.__init__": "an error of the scheduler",
    "client.DaskPlace._on_done": "an error of a worker",
    "client.DaskPlace.check": "likewise",
    "client.DaskPlace.fetch": "likewise",
    "client.DaskPlace.send": "tests/runner/engine/test_elsewhere.py and its siblings",
    "connect._connect": "a number of the command line",
    "connect.connect": "an error of Dask",
    "find.make_place": "an error of a place",
    "inputs._copies_on_write": "the version of pandas",
    "internals.Relay.log_event": "keys of a scheduler",
    "internals.tell.run": "an error of a worker that has ended",
    "internals.threads_of": "a number of the scheduler",
    "place.Place._pump": "an error of a place",
}
FAILURES = ["ValueError", "SystemExit", "KeyboardInterrupt", "MemoryError"]

SETUP = """
import asyncio, os, sys, threading, types
import cellwire as cw
import cellwire.runner
_streams = sys.stdout, sys.stderr
def put_back():
    sys.stdout, sys.stderr = _streams

root = os.path.dirname(cellwire.runner.__file__) + os.sep
callers = set()
def called():
    frame = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(root):
            name = code.co_qualname.replace(".<locals>", "")
            callers.add(f"{os.path.basename(code.co_filename)[:-3]}.{name}")
        frame = frame.f_back

class Finder:
    def find_spec(self, name, *_):
        if name == "found_oddly":
            fail()
if not any(type(finder).__name__ == "Finder" for finder in sys.meta_path):
    sys.meta_path.insert(0, Finder())
class _Listed(types.ModuleType):
    __all__ = property(lambda self: fail())
class _ListedOnce(types.ModuleType):
    _asked = 0
    x = 1
    @property
    def __all__(self):
        # Python itself asks the second time.
        _ListedOnce._asked += 1
        return ["x"] if _ListedOnce._asked == 2 else fail()
sys.modules["listed_oddly"] = _Listed("listed_oddly")
sys.modules["listed_once"] = _ListedOnce("listed_once")
"""
RAISES = "def fail(*_):\n    called()\n    raise {}('injected')"
HANGS = "def fail(*_):\n    os.write(1, b'hangs')\n    threading.Event().wait()"


def places() -> set[str]:
    """Return the functions of the runner that catch everything, or convert what may be a user's value."""
    root = Path(cellwire.runner.__path__[0])
    found: set[str] = set()

    def walk(node: ast.AST, file: str, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{name}.{child.name}" if name else child.name
            if (isinstance(child, ast.ExceptHandler) and catches_all(child)) or converts(child):
                found.add(f"{file}.{name}")
            walk(child, file, inner)

    for path in sorted(root.rglob("*.py")):
        walk(ast.parse(path.read_text()), path.stem, "")
    return found


def catches_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")


def converts(node: ast.AST) -> bool:
    called = ast.unparse(node.func) if isinstance(node, ast.Call) and node.args else ""
    converting = {"repr", "str", "dir", "int", "float", "eval", "exec", "as_index", "operator.index"}
    return called in converting and not isinstance(node.args[0], ast.Constant)  # pyright: ignore[reportAttributeAccessIssue]


def test_no_place_where_user_code_is_called_is_left_out():
    listed = [*(through for _, _, through in PLACES.values()), *(through for _, through in ASKED.values())]
    assert {*" ".join(listed).split(), *ELSEWHERE} == places()


async def callers(kernel: KernelClient) -> set[str]:
    """Return through which of cellwire's functions user code was called."""
    await kernel.run({"callers": "put_back()\n' '.join(callers)"})
    text: str = kernel.notebook.cells["callers"].outputs[0].data["text/plain"]
    return set(text.strip("'").split())


async def serves(kernel: KernelClient) -> None:
    """Check that everything of the runner's works."""
    with anyio.fail_after(PATIENCE):
        await kernel.run(
            {"after": "put_back()\nprint('printed')\n6 * 7", "awaits": "await asyncio.sleep(0)\n'slept'"}
        )
        assert [item.data["text/plain"] for item in kernel.notebook.cells["after"].outputs] == ["42"]
        assert [item.data["text/plain"] for item in kernel.notebook.cells["awaits"].outputs] == ["'slept'"]
        await printed(kernel, "printed", "after")
        await kernel.run({"bar": "_b = cw.progress_bar(10)\nfor _ in range(9): _b.update()"})
        await until(kernel, lambda it: it.cells["bar"].outputs[0].data[PROGRESS_MIME]["current"] == 9)
        assert "put_back" in [variable.name for variable in await kernel.variables()]
        assert "put_back" in [item.text for item in (await kernel.complete("put_b")).items]
        assert (await kernel.inspect("put_back", 3)).data
    assert (kernel.notebook.runner.condition, kernel.notebook.idle) == ("ready", True)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("place", PLACES)
async def test_what_it_raises_ends_nothing(place: str, failure: str, kernel: KernelClient) -> None:
    source, where, through = PLACES[place]
    with anyio.fail_after(PATIENCE):
        await kernel.run({"s": SETUP, "fail": RAISES.format(failure)})
        run = await kernel.run({"w": source})
    cell = kernel.notebook.cells["w"]
    assert (run.reason, cell.status in ("ok", "error")) == ("", True)
    if where == CONSOLE and cell.status == "ok":
        await printed(kernel, "injected", "w")
        assert cell.console.text().count(": injected") == 1
    elif where in (CONSOLE, ERROR):
        # What is no `Exception` goes on to the cell, if it is the cell that asks for an item.
        assert where == ERROR or (failure == "SystemExit" or failure == "KeyboardInterrupt")
        assert cell.error is not None
        assert "injected" in cell.error.message or "found_oddly" in cell.error.message
    if cell.error is not None and cell.error.kind != "ImportStar":
        assert cell.outputs[-1].data["text/plain"]
    elif source.endswith(("A()", "E()")):
        assert len(cell.outputs) == 1
    called = await callers(kernel)
    assert [place for place in through.split() if place not in called] == []
    assert called == set() or where != NEVER
    await serves(kernel)


numbers = count()

#: Where nothing can be raised, while cells are analysed and in the loop itself, a restart helps.
DEAF = {
    "a finder of modules",
    "names of a module",
    "names of a module, looked at again",
    "a handler of the loop",
}
SLOW = [place for place, (_, where, _) in PLACES.items() if where != NEVER and place not in DEAF]


@pytest.mark.parametrize("place", SLOW)
async def test_what_does_not_return_is_interrupted(place: str, kernel: KernelClient) -> None:
    await kernel.run({"s": SETUP, "fail": HANGS})
    await kernel.run({"w": PLACES[place][0]}, wait=False)
    await until(kernel, lambda it: any("hangs" in console.text() for console in consoles(it)))
    # Some of them are asked again, for another answer.
    with anyio.fail_after(PATIENCE):
        while not await answers(kernel):
            await kernel.interrupt()
    await serves(kernel)


def consoles(notebook: Notebook) -> list[Console]:
    return [notebook.console, *(cell.console for cell in notebook.cells.values())]


async def answers(kernel: KernelClient) -> bool:
    """Whether the main thread takes a run within a moment."""
    with anyio.move_on_after(0.3):
        return (await kernel.run({"free": f"put_back()\n{next(numbers)}"})).status == "ok"
    return False


#: Values that are asked by requests about names, what is asked of them, and where.
ASKED = {
    "repr": (
        "class A:\n    __repr__ = fail\nodd = A()",
        "short_text._short short_text.short_text introspector.Introspector._work",
    ),
    "what repr raises": (
        "class E(Exception):\n    __str__ = fail\nclass A:\n    def __repr__(self): raise E\nodd = A()",
        "short_text._message",
    ),
    "dir": ("class A:\n    __dir__ = fail\nodd = A()", "answers._names"),
    "shape": ("class A:\n    shape = property(fail)\nodd = A()", "short_text.short_text"),
    "signature": (
        "class A:\n    __signature__ = property(fail)\n    def __call__(self): pass\nodd = A()",
        "answers.signature",
    ),
    "documentation": (
        "class M(type):\n    __doc__ = property(fail)\nclass odd(metaclass=M): pass",
        "answers.document",
    ),
    "attribute": (
        "class A:\n    x = 1\n    def __getattribute__(self, name): fail()\nodd = A()",
        "answers._attribute",
    ),
}


async def ask(kernel: KernelClient) -> None:
    await kernel.variables()
    await kernel.complete("odd.")
    await kernel.inspect("odd", 1)
    await kernel.inspect("odd.x", 5)


async def test_a_value_that_does_not_answer_is_passed_over(kernel: KernelClient) -> None:
    hangs = "for_ever = threading.Event()\ndef fail(*_): for_ever.wait()"
    await kernel.run({"s": SETUP, "fail": hangs, "w": ASKED["repr"][0]})
    values = {each.name: each.value for each in await kernel.variables()}
    assert (values["odd"], "put_back" in values) == ("<its repr takes too long>", True)
    await serves(kernel)
    await kernel.run({"free": "for_ever.set()"})


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("asked", ASKED)
async def test_a_value_that_raises_is_passed_over_by_requests(
    asked: str, failure: str, kernel: KernelClient
) -> None:
    source, through = ASKED[asked]
    await kernel.run({"s": SETUP, "fail": RAISES.format(failure), "w": source})
    assert "odd" in [each.name for each in await kernel.variables()]
    await ask(kernel)
    called = await callers(kernel)
    assert [place for place in through.split() if place not in called] == []
    await serves(kernel)
