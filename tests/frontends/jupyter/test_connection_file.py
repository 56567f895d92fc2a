"""What is read from Jupyter's connection files, and what is refused."""

import json
from pathlib import Path

import pytest
from cellwire.frontends.jupyter.connection_file import read_connection_file
from cellwire.protocol.errors import ConnectionFileError

_PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}


def _written(directory: Path, **fields: object) -> Path:
    file = directory / "kernel.json"
    file.write_text(json.dumps({**_PORTS, **fields}))
    return file


def test_each_channel_has_its_address(tmp_path: Path) -> None:
    file = read_connection_file(_written(tmp_path, ip="127.0.0.1", kernel_name="cellwire"))
    assert file.address("shell") == "tcp://127.0.0.1:1"
    assert file.address("hb") == "tcp://127.0.0.1:5"
    assert file.digest == "sha256"
    assert not file.encrypted


def test_addresses_of_ipc_are_paths_that_end_with_the_number(tmp_path: Path) -> None:
    file = read_connection_file(_written(tmp_path, ip="/run/k", transport="ipc"))
    assert file.address("iopub") == "ipc:///run/k-2"


def test_an_address_of_ipv6_stands_in_brackets(tmp_path: Path) -> None:
    assert read_connection_file(_written(tmp_path, ip="::1")).address("control") == "tcp://[::1]:4"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"transport": "udp"}, "not a connection file of Jupyter"),
        ({"shell_port": "x"}, "not a connection file of Jupyter"),
        ({"signature_scheme": "rsa"}, "signatures by 'rsa'"),
        ({"curve_publickey": "x"}, "without the other"),
        ({"shell_port": 0}, "0 for shell_port, which is no port"),
        ({"hb_port": 70_000}, "70000 for hb_port, which is no port"),
        ({"shell_port": 2}, "2 for both iopub_port and shell_port"),
        ({"shell_port": 2, "transport": "ipc"}, "2 for both iopub_port and shell_port"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ConnectionFileError, match=message):
        read_connection_file(_written(tmp_path, **fields))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFileError, match=r"absent\.json: No such file"):
        read_connection_file(tmp_path / "absent.json")
