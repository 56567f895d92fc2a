"""What `cellwire.protocol` offers, and what it costs to import."""

import subprocess
import sys

import cellwire.protocol
import pytest

NAMES = [
    "AuthenticationError",
    "Cell",
    "CellError",
    "CellState",
    "CellwireError",
    "Connection",
    "ConnectionFileError",
    "Console",
    "EventStream",
    "EventsLost",
    "Item",
    "KernelClient",
    "KernelDied",
    "Limits",
    "Notebook",
    "NotebookFileError",
    "ProtocolError",
    "RequestError",
    "Settings",
    "attach",
    "blocking",
    "connect",
    "events",
    "launch_kernel",
    "read_connection_file",
    "start_kernel",
]


def test_the_public_names_are_these_and_each_is_there():
    assert cellwire.protocol.__all__ == NAMES == sorted(NAMES)
    for name in NAMES:
        assert getattr(cellwire.protocol, name).__name__.rpartition(".")[2] == name


def test_the_public_names_are_listed_before_they_are_used_and_no_others():
    script = (
        "import cellwire.protocol as p; print([n for n in dir(p) if n[0] != '_'] == p.__all__, "
        "'RunFinished' in dir(p.events))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["True", "True"]


def test_the_error_for_a_missing_name_has_the_name():
    with pytest.raises(AttributeError, match="no attribute 'Kernel'"):
        cellwire.protocol.Kernel  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    script = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_sockets_nor_loops():
    loaded = loaded_by("import cellwire.protocol")
    assert not loaded & {"zmq", "anyio", "asyncio", "msgspec"}


def test_the_state_and_the_messages_need_only_msgspec():
    loaded = loaded_by("from cellwire.protocol import messages, reducer, link, markers, connection, Limits")
    assert "msgspec" in loaded
    assert not loaded & {"zmq", "anyio", "asyncio"}
