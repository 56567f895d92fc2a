"""Where it is listened before the connection file is really read."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cellwire.frontends.jupyter.listening import listen_early

_CHANNELS = ("shell", "iopub", "stdin", "control", "hb")


@contextmanager
def _free_ports() -> Iterator[dict[str, int]]:
    """Ports that nobody uses for now."""
    sockets = {f"{channel}_port": socket.create_server(("127.0.0.1", 0)) for channel in _CHANNELS}
    ports = {name: server.getsockname()[1] for name, server in sockets.items()}
    for server in sockets.values():
        server.close()
    yield ports


def _written(directory: Path, indent: int | None = 2, **fields: object) -> str:
    file = directory / "kernel.json"
    file.write_text(json.dumps({"ip": "127.0.0.1", "transport": "tcp", "key": "k", **fields}, indent=indent))
    return str(file)


def test_all_ports_in_a_file_of_jupyter_client_accept_connections(tmp_path: Path) -> None:
    with _free_ports() as ports:
        listening = listen_early(_written(tmp_path, **ports))
    assert set(listening) == set(ports.values())
    for port, descriptor in listening.items():
        assert not os.get_inheritable(descriptor)
        with socket.create_connection(("127.0.0.1", port)):
            os.close(descriptor)


@pytest.mark.parametrize(
    "fields",
    [
        {"ip": "/run/k", "transport": "ipc"},
        {"ip": "::1"},
        {"ip": "localhost"},
        {"shell_port": "x"},
        {"shell_port": -1},
        {"shell_port": 70_000},
        {"indent": None},
    ],
)
def test_what_is_not_understood_is_left_to_those_who_say_what_is_wrong(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    with _free_ports() as ports:
        assert listen_early(_written(tmp_path, **{**ports, **fields})) == {}  # pyright: ignore[reportArgumentType]


def test_a_port_that_is_in_use_is_left_to_those_who_try_again(tmp_path: Path) -> None:
    with _free_ports() as ports, socket.create_server(("127.0.0.1", ports["shell_port"])):
        assert listen_early(_written(tmp_path, **ports)) == {}


def test_a_file_that_cannot_be_read_is_left_to_those_who_say_so(tmp_path: Path) -> None:
    assert listen_early(str(tmp_path / "absent.json")) == {}
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert listen_early(str(tmp_path / "bytes")) == {}
