"""What the processes of a kernel load, counted in modules: launch and memory grow with them."""

import subprocess
import sys

import pytest
from cellwire.protocol.blocking import launch_kernel
from support.book import Book

#: How many modules Python loads by itself, `-m` included, differs; the rest is about the same.
_LISTED = """
import sys
started = set(sys.modules)
{statements}
sys.stdout.write(" ".join(sys.modules.keys() - started))
"""


def loaded(statements: str) -> set[str]:
    """Return the modules that a new interpreter loads for `statements`."""
    program = _LISTED.format(statements=statements)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return set(done.stdout.split())


def test_little_is_loaded_before_the_runner_is_started():
    first = loaded("import cellwire.kernel.process")
    assert not first & {"msgspec", "zmq", "typing", "re"}
    assert len(first) <= 30


@pytest.mark.parametrize(
    ("module", "most"), [("cellwire.kernel.kernel_process", 180), ("cellwire.frontends.jupyter.door", 220)]
)
def test_a_kernel_process_loads_what_it_needs(module: str, most: int):
    modules = loaded(
        f"from cellwire.protocol.lean_imports import import_msgspec\nimport_msgspec()\nimport {module}"
    )
    assert not modules & {"typing_extensions", "asyncio", "inspect", "logging", "ssl"}
    assert len(modules) <= most


def test_a_runner_loads_what_it_needs():
    with launch_kernel() as client:
        book = Book(client)
        book.run(
            a="import sys; modules = set(sys.modules)",
            b="'typing_extensions' in modules or '_ssl' in modules",
        )
        assert book.shows("b") == "False"
        book.run(c="len(modules)")
        assert int(book.shows("c")) <= 280


def test_tls_is_loaded_when_it_is_first_used():
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
