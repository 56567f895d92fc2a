"""Every place where cellwire calls user code: what is raised there ends nothing and is reported once.

`PLACES` and `ASKED` list these places; a new call of user code belongs there too. They are not about code of
a cell that raises by itself, but about what cellwire calls for it: to show a value, to describe an error, to
answer a request, to send what was held back.
"""

import anyio
import pytest
from cellwire.protocol import KernelClient
from cellwire.protocol.mime_types import PROGRESS_MIME
from support.waiting import PATIENCE, printed, until

pytestmark = pytest.mark.anyio

#: Where the report is: on the cell's console, as its error, or nowhere, as another answer is taken.
CONSOLE, ERROR, NOWHERE = "console", "error", "nowhere"

A = "class A:\n    {}\n"
META = "class M(type):\n    {}\nclass E({}metaclass=M): pass\n"
PLACES = {
    # The value of a cell
    "repr": (A.format("__repr__ = fail") + "A()", CONSOLE),
    "a method that formats": (A.format("_repr_html_ = fail") + "A()", CONSOLE),
    "a mime bundle": (A.format("_repr_mimebundle_ = fail") + "A()", CONSOLE),
    "what shows itself": (A.format("_ipython_display_ = fail") + "A()", CONSOLE),
    "content of a bundle": (
        A.format("__str__ = fail") + "class B:\n    def _repr_html_(self): return A()\nB()",
        CONSOLE,
    ),
    "the class that a value claims": (A.format("__class__ = property(fail)") + "A()", NOWHERE),
    "the name of its class": (META.format("__qualname__ = __name__ = property(fail)", "") + "E()", NOWHERE),
    "the bases of its class": (META.format("__mro__ = property(fail)", "") + "E()", NOWHERE),
    # An error
    "the text of an error": ("class E(Exception): __str__ = fail\nraise E", NOWHERE),
    "the class that an error claims": ("class E(Exception): __class__ = property(fail)\nraise E", NOWHERE),
    "the name of an error's class": (
        META.format("__name__ = property(fail)", "Exception, ") + "raise E",
        NOWHERE,
    ),
    "the notes of an error": ("class E(Exception): __notes__ = property(fail)\nraise E", NOWHERE),
    "attributes to suggest": (A.format("__dir__ = fail") + "A().x", NOWHERE),
    "a name that is missing": ("class E(NameError): name = property(fail)\nraise E", NOWHERE),
    # Streams
    "a stream that is flushed": (
        "class S:\n    closed = False\n    write = print\n    flush = fail\n"
        "_before, sys.stdout = sys.stdout, S()",
        CONSOLE,
    ),
    "a stream that reports": (
        A.format("__repr__ = fail") + "class S:\n    closed = True\n    write = fail\nsys.stderr = S()\nA()",
        CONSOLE,
    ),
    # The event loop
    "a task": ("async def task(): fail()\n_t = asyncio.create_task(task())", NOWHERE),
    "a callback": ("asyncio.get_running_loop().call_soon(fail);", NOWHERE),
    "a handler of the loop": (
        "asyncio.get_running_loop().set_exception_handler(fail)\n"
        "async def task(): 1 / 0\n_t = asyncio.create_task(task())",
        NOWHERE,
    ),
    # Objects that go
    "a finalizer": (A.format("__del__ = fail") + "A();", NOWHERE),
    # The arguments of cellwire's functions
    "an index": (A.format("__index__ = fail") + "cw.output.replace_at_index(1, A())", ERROR),
    "a number": (A.format("__index__ = fail") + "cw.progress_bar(3).update(A())", ERROR),
    "the text of a title": (A.format("__str__ = fail") + "cw.progress_bar(3, title=A());", NOWHERE),
    "metadata": (
        A.format("__str__ = fail") + "cw.output.append(cw.mime({'text/plain': ''}, {'a': A()}));",
        NOWHERE,
    ),
}
FAILURES = ["ValueError", "SystemExit", "KeyboardInterrupt", "MemoryError"]

SETUP = """
import asyncio, sys
import cellwire as cw
_streams = sys.stdout, sys.stderr
def put_back():
    sys.stdout, sys.stderr = _streams
"""


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
    source, where = PLACES[place]
    fails = f"def fail(*_): raise {failure}('injected')"
    with anyio.fail_after(PATIENCE):
        run = await kernel.run({"s": SETUP, "fail": fails, "w": source})
    cell = kernel.notebook.cells["w"]
    assert (run.reason, cell.status in ("ok", "error")) == ("", True)
    if where == CONSOLE:
        await printed(kernel, "injected", "w")
        assert (cell.status, cell.console.text().count(": injected")) == ("ok", 1)
    elif where == ERROR:
        assert cell.error is not None
        assert cell.error.message == "injected"
    if cell.status == "error":
        assert cell.outputs[-1].data["text/plain"]
    elif source.endswith(("A()", "E()")):
        assert len(cell.outputs) == 1
    await serves(kernel)


#: Values that are asked by requests about names, and what is asked of them.
ASKED = {
    "repr": "class A:\n    __repr__ = hang\nodd = A()",
    "dir": "class A:\n    __dir__ = hang\nodd = A()",
    "shape": "class A:\n    shape = property(hang)\nodd = A()",
}


async def test_a_value_that_does_not_answer_holds_up_no_other_request(kernel: KernelClient) -> None:
    hangs = "import threading\nfor_ever = threading.Event()\ndef hang(*_): for_ever.wait()"
    await kernel.run({"s": SETUP, "hang": hangs, "w": ASKED["repr"]})
    values = {each.name: each.value for each in await kernel.variables()}
    assert (values["odd"], "put_back" in values) == ("<its repr takes too long>", True)
    await serves(kernel)
    await kernel.run({"free": "for_ever.set()"})


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("asked", ASKED)
async def test_a_value_that_raises_is_passed_over_by_requests(
    asked: str, failure: str, kernel: KernelClient
) -> None:
    await kernel.run({"s": SETUP, "hang": f"def hang(*_): raise {failure}", "w": ASKED[asked]})
    assert "odd" in [each.name for each in await kernel.variables()]
    await kernel.complete("odd.")
    await kernel.inspect("odd", 1)
    await serves(kernel)
