"""What the processes of a kernel load, counted in modules: launch and memory grow with them."""

import subprocess
import sys
from collections.abc import Iterable

import pytest
from cellwire.protocol.blocking import launch_kernel
from support.book import Book

_LISTED = """
import sys
{statements}
sys.stdout.write(" ".join(sys.modules))
"""


def loaded(statements: str) -> set[str]:
    """Return the modules that are loaded in a new interpreter after `statements`."""
    program = _LISTED.format(statements=statements)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return set(done.stdout.split())


def counted(modules: Iterable[str]) -> tuple[int, int]:
    """Return how many modules are cellwire's and how many are not."""
    names = list(modules)
    own = sum(name.startswith("cellwire") for name in names)
    return own, len(names) - own


def test_next_to_nothing_is_loaded_before_the_runner_is_started() -> None:
    needed = loaded("import cellwire.kernel.process") - loaded("import runpy")
    assert counted(needed)[0] <= 7
    others = {name for name in needed if not name.startswith("cellwire")}
    assert others <= {"_socket", "collections.abc", "mmap", "resource"}


def test_next_to_nothing_is_loaded_before_a_kernel_for_jupyter_listens() -> None:
    needed = loaded("import cellwire.frontends.jupyter.listening") - loaded("import importlib")
    assert counted(needed)[0] <= 5
    assert {name for name in needed if not name.startswith("cellwire")} <= {"_socket"}


@pytest.mark.parametrize(
    ("module", "own", "others"),
    [("cellwire.kernel.kernel_process", 37, 37), ("cellwire.frontends.jupyter.door", 63, 44)],
)
def test_a_kernel_process_loads_what_it_needs(module: str, own: int, others: int) -> None:
    """What ZeroMQ loads is left out: it is other modules in another Python."""
    modules = loaded(
        f"from cellwire.protocol.lean_imports import import_msgspec\nimport_msgspec()\nimport {module}"
    )
    modules -= loaded("import zmq")
    assert not modules & {"typing_extensions", "asyncio", "inspect", "logging", "ssl"}
    assert counted(modules)[0] <= own
    assert counted(modules)[1] <= others


def test_a_runner_loads_what_it_needs() -> None:
    with launch_kernel() as client:
        book = Book(client)
        book.run(a="import sys\nprint(*sys.modules)")
        modules = set(book.shows("a").split())
    assert not modules & {"typing_extensions", "_ssl", "zmq", "anyio", "importlib.metadata", "IPython"}
    assert counted(modules)[0] <= 103
    assert counted(modules)[1] <= 180


def test_tls_is_loaded_when_it_is_first_used() -> None:
    refused = """
server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
before = "_ssl" in sys.modules
try:
    await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=True)
except OSError:
    print(before, "_ssl" in sys.modules)
server.close()
"""
    with launch_kernel() as client:
        book = Book(client)
        book.run(a="import asyncio, ssl, sys\n'_ssl' in sys.modules", b=refused)
        assert (book.shows("a"), book.shows("b")) == ("False", "False True\n")
        book.run(c="type(ssl), ssl.create_default_context().verify_mode")
        assert book.shows("c") == "(<class 'module'>, <VerifyMode.CERT_REQUIRED: 2>)"
