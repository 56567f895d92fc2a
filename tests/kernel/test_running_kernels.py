"""Kernels are found by what they made, and only that is removed when they are dead."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cellwire.kernel.running_kernels import running_kernels
from cellwire.protocol.connection import Connection
from support.processes import children_of, wait_until_gone

#: No process has this number.
NOBODY = 2**22 + 1


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory in which kernels are looked for, besides /tmp."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def ours(place: Path) -> list[Connection]:
    """Return the kernels in `place`; others of this user may run in /tmp."""
    return [found for found in running_kernels() if str(place) in f"{found.endpoint} {found.file}"]


def leave(place: Path, pid: int = NOBODY, name: str = "cellwire-0123456789ab") -> Path:
    """Make what a kernel leaves whose machine has lost its power."""
    directory = place / name
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "socket"))
    described = Connection(f"ipc://{directory}/socket", "e", pid, "0.1", str(directory / "connection.json"))
    (directory / "connection.json").write_bytes(msgspec.json.encode(described))
    return directory


def test_running_kernels_are_found_by_name_with_their_notebooks(launch: Callable[..., Any], place: Path):
    second = launch(name="sums", notebook="/home/ada/sums.py")
    first = launch(name="primes")
    bare = launch(transport="tcp")
    assert ours(place) == [first.connection, second.connection, bare.connection]
    assert [(found.name, found.notebook) for found in ours(place)] == [
        ("primes", ""),
        ("sums", "/home/ada/sums.py"),
        ("", ""),
    ]
    second.close()
    assert ours(place) == [first.connection, bare.connection]


def test_a_kernel_with_a_connection_file_elsewhere_is_found(launch: Callable[..., Any], place: Path):
    file = place / "elsewhere.json"
    kernel = launch(connection_file=str(file))
    assert ours(place) == [kernel.connection]
    kernel.close()
    assert list(place.iterdir()) == []


def test_a_killed_kernel_is_not_found(launch: Callable[..., Any], place: Path):
    kernel = launch()
    children = children_of(kernel.connection.pid)
    kernel.process.kill()
    kernel.process.wait()
    assert ours(place) == []
    wait_until_gone(*children)
    assert ours(place) == []


def test_what_a_dead_kernel_has_left_is_removed(place: Path):
    leave(place)
    assert ours(place) == []
    assert list(place.iterdir()) == []


def test_what_else_is_in_the_directory_of_a_dead_kernel_stays(place: Path):
    directory = leave(place)
    (directory / "thesis.tex").touch()
    assert ours(place) == []
    assert list(directory.iterdir()) == [directory / "thesis.tex"]


@pytest.mark.parametrize(
    "change",
    [
        lambda directory: directory.chmod(0o755),
        lambda directory: (directory / "connection.json").write_text("a thesis"),
        lambda directory: (directory / "connection.json").unlink(),
        lambda directory: directory.rename(directory.parent / "cellwire-thesis"),
    ],
    ids=["not private", "another file of that name", "no connection file", "another name"],
)
def test_what_no_kernel_made_is_left_alone(place: Path, change: Callable[[Path], Any]):
    change(leave(place))
    before = sorted(place.rglob("*"))
    assert ours(place) == []
    assert sorted(place.rglob("*")) == before


def test_nothing_is_removed_through_a_link(place: Path):
    directory = leave(place)
    kept = place / "kept"
    directory.rename(kept)
    directory.symlink_to(kept)
    assert ours(place) == []
    assert sorted(path.name for path in kept.iterdir()) == ["connection.json", "socket"]
    directory.unlink()
    shutil.copytree(kept, directory, ignore=shutil.ignore_patterns("*"))
    directory.chmod(0o700)
    (directory / "connection.json").symlink_to(kept / "connection.json")
    assert ours(place) == []
    assert sorted(path.name for path in kept.iterdir()) == ["connection.json", "socket"]


def test_a_file_in_the_place_of_the_socket_stays(place: Path):
    directory = leave(place)
    (directory / "socket").unlink()
    (directory / "socket").write_text("a thesis")
    assert ours(place) == []
    assert (directory / "socket").read_text() == "a thesis"


def test_files_without_a_lock_stay_while_their_process_lives(place: Path):
    """Some file systems have no locks."""
    directory = leave(place, pid=os.getpid())
    assert ours(place) == []
    assert sorted(path.name for path in directory.iterdir()) == ["connection.json", "socket"]
