"""Kernels that are kept, listed, attached to and stopped from the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from cellwire.frontends.cli.kernels import spell_out_keep
from cellwire.protocol import blocking, launch_kernel, read_connection_file
from support.processes import is_alive, wait_until_gone
from support.relay import Relay
from support.waiting import PATIENCE

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where no kernel runs but those of the test; those left are stopped at the end."""
    place = tmp_path_factory.mktemp("runtime")
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(place), "TMPDIR": str(place)}
    yield environment
    for file in place.glob("cellwire-*/connection.json"):
        with blocking.connect(file) as kernel:
            kernel.shutdown()


@pytest.fixture
def cellwire(environment: dict[str, str]) -> Command:
    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "cellwire", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)

    return run


@pytest.fixture
def listed(cellwire: Command, environment: dict[str, str]) -> Callable[[], list[dict[str, object]]]:
    """Return a function that returns what `ps` lists, without the kernels that others of this user run."""

    def list_kernels() -> list[dict[str, object]]:
        done = cellwire("ps", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        found = map(json.loads, done.stdout.splitlines())
        return [one for one in found if environment["TMPDIR"] in one["connection_file"]]

    return list_kernels


def test_a_kept_kernel_is_listed_attached_to_and_stopped_by_its_name(
    cellwire: Command, listed: Callable[[], list[dict[str, object]]], notebook: Path
):
    notebook.write_text("# %% a\nx = 1\n# %% b\nprint(x + 1)\n")
    done = cellwire("run", "--keep", notebook)
    assert (done.returncode, done.stdout) == (0, "[a]\n\n[b]\n2\n")
    assert "`cellwire attach notebook`" in done.stderr
    assert "`cellwire stop notebook`" in done.stderr
    [kernel] = listed()
    assert (kernel["name"], kernel["notebook"]) == ("notebook", str(notebook))
    shown = cellwire("ps").stdout.splitlines()
    assert shown[0].split() == ["NAME", "PID", "NOTEBOOK"]
    assert ["notebook", str(kernel["pid"]), str(notebook)] in [line.split() for line in shown]
    connection = read_connection_file(str(kernel["connection_file"]))
    assert (connection.name, connection.notebook) == ("notebook", str(notebook))
    with blocking.connect(connection) as client:
        assert client.notebook.cells["b"].console.text() == "2\n"
    done = cellwire("stop", "notebook")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert listed() == []
    wait_until_gone(connection.pid)


def test_a_kernel_behind_another_address_is_stopped_there(
    cellwire: Command, listed: Callable[[], list[dict[str, object]]], notebook: Path, tmp_path: Path
):
    notebook.write_text("1\n")
    file = tmp_path / "k.json"
    cellwire("run", "--keep", "--listen", "127.0.0.1", "--connection-file", file, notebook)
    content = json.loads(file.read_text())
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps({**content, "endpoint": "tcp://127.0.0.1:1"}))
    assert cellwire("stop", "--endpoint", content["endpoint"], copy).returncode == 0
    assert listed() == []


def test_a_kernel_is_kept_although_a_cell_failed(
    cellwire: Command, listed: Callable[[], list[dict[str, object]]], notebook: Path
):
    notebook.write_text("1 / 0\n")
    assert cellwire("run", "--keep", "mine", notebook).returncode == 1
    assert [one["name"] for one in listed()] == ["mine"]


def test_a_name_that_is_taken_is_refused_before_anything_runs(
    cellwire: Command, listed: Callable[[], list[dict[str, object]]], notebook: Path
):
    notebook.write_text("print('run')\n")
    assert cellwire("run", "--keep=mine", notebook).returncode == 0
    done = cellwire("run", "--keep=mine", notebook)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'mine' runs already" in done.stderr
    assert len(listed()) == 1


def test_kernels_of_other_frontends_are_listed_and_stopped_by_process_id(
    cellwire: Command, listed: Callable[[], list[dict[str, object]]], environment: dict[str, str]
):
    with blocking.launch_kernel(env=environment) as kernel:
        [one] = listed()
        assert one == {
            "name": "",
            "pid": kernel.connection.pid,
            "notebook": "",
            "connection_file": kernel.connection_file,
        }
        assert cellwire("stop", kernel.connection.pid).returncode == 0
        assert not is_alive(kernel.connection.pid)


@pytest.mark.parametrize("command", ["attach", "stop"])
def test_a_name_that_no_kernel_has_is_one_line_with_those_that_run(
    cellwire: Command, notebook: Path, command: str
):
    notebook.write_text("x = 1\n")
    cellwire("run", "--keep", "sums", notebook)
    done = cellwire(command, "summs")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "'summs'" in line
    assert "sums" in line.partition("these run:")[2]


def test_attaching_by_name_shows_what_is_there(
    environment: dict[str, str], cellwire: Command, notebook: Path
):
    notebook.write_text("# %% a\nprint('there')\n")
    cellwire("run", "--keep", "sums", notebook)
    command = [sys.executable, "-m", "cellwire", "attach", "--watch", "sums"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as attached:
        assert attached.stdout is not None
        assert [attached.stdout.readline() for _ in range(2)] == ["[a]\n", "there\n"]
        cellwire("stop", "sums")
        assert attached.wait(PATIENCE) == 0


async def follow_through_a_relay(tmp_path: Path) -> tuple[str, str]:
    """Watch a kernel on tcp with a file and an address of another machine, as it were; cut the way once."""
    async with launch_kernel(transport="tcp") as kernel:
        way = Relay(kernel.connection, tmp_path)
        command = [sys.executable, "-m", "cellwire", "attach", "--watch", kernel.connection_file]
        command += ["--endpoint", way.endpoint]
        process = await anyio.open_process(command)
        assert process.stdout is not None
        assert process.stderr is not None
        out = b""
        await kernel.run({"a": "print('first')"})
        while b"first" not in out:
            out += await process.stdout.receive()
        statistics = await kernel.statistics()
        assert sorted(session.role for session in statistics.sessions) == ["control", "watch"]
        way.close()
        error = await process.stderr.receive()
        await kernel.run({"a": "print('second')"})
        way.come_back()
        while b"second" not in out:
            out += await process.stdout.receive()
        error += await process.stderr.receive()
        await kernel.shutdown()
        assert await process.wait() == 0
        way.close()
        return out.decode(), error.decode()


def test_a_kernel_behind_an_address_of_its_own_is_watched_across_a_lost_connection(tmp_path: Path):
    async def main() -> tuple[str, str]:
        with anyio.fail_after(PATIENCE):
            return await follow_through_a_relay(tmp_path)

    out, error = anyio.run(main)
    assert out.startswith("[a]\nfirst\n")
    lost, again = error.splitlines()
    assert "lost" in lost
    assert "again" in again


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        (["run", "--keep", "nb.py"], ["run", "--keep=", "nb.py"]),
        (["run", "nb.ipynb", "--keep"], ["run", "nb.ipynb", "--keep="]),
        (["run", "--keep", "--json", "nb.py"], ["run", "--keep=", "--json", "nb.py"]),
        (["run", "--keep", "sums", "nb.py"], ["run", "--keep", "sums", "nb.py"]),
        (["run", "nb.py", "--", "--keep"], ["run", "nb.py", "--", "--keep"]),
    ],
)
def test_a_name_may_be_left_out(given: list[str], spelled: list[str]):
    assert spell_out_keep(given) == spelled
