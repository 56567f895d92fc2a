"""`cellwire run --engine`: a client for cells that say where they run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cellwire.frontends.cli.engine import with_engine
from cellwire.frontends.cli.job import Job
from cellwire.frontends.cli.parameters import with_parameters
from cellwire.frontends.cli.reload import same_cells
from cellwire.frontends.notebook_files.load import load
from cellwire.protocol.errors import NotebookFileError
from cellwire.runner.places.dask.client import DaskPlace
from cellwire.runner.places.find import connect
from cellwire.runner.places.place import CannotSend
from distributed.security import Security
from rooms import ROOT
from support.dask_cluster import cluster
from support.waiting import PATIENCE


def test_names_that_no_cell_defines_are_clients_of_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "n.py"
    path.write_text('# %% a on="client"\n1\n# %% b on="own"\n2\n# %% engine\nown = 3\n')
    notebook = with_engine(load(path), "local:2")
    assert [cell.id for cell in notebook.cells] == ["engine-2", "a", "b", "engine"]
    assert notebook.cells[0].source.endswith("\nclient = _connect('local:2')")


def test_an_engine_for_a_notebook_that_needs_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.py"
    path.write_text('# %% a on="client"\n1\n# %% b\nclient = 3\n')
    with pytest.raises(NotebookFileError, match="no cell is marked on="):
        with_engine(load(path), "local:2")


def test_an_engine_that_no_package_has_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(CannotSend, match="no package has an engine for 'nowhere:1'; there are: dask, local"):
        connect("nowhere:1")


@pytest.mark.parametrize("address", ["local:x", "local:0", "tcp://nowhere"])
def test_an_address_without_a_cluster_is_an_error_that_says_what_to_give(address: str) -> None:
    with pytest.raises(CannotSend, match=address) as raised:
        connect(address)
    assert "dask://HOST:PORT" in raised.value.hint


def test_an_engine_whose_library_is_missing_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CannotSend, match=r"local:2 needs Dask, and .* has no 'distributed'") as raised:
        connect("local:2")
    assert "pip install 'cellwire[dask]'" in raised.value.hint


def test_a_worker_without_cellwire_is_an_error_that_says_what_to_install() -> None:
    def forget() -> None:
        sys.modules["cellwire"] = None  # pyright: ignore[reportArgumentType]

    with cluster(n_workers=1, security=None) as client:
        client.run(forget)
        with pytest.raises(CannotSend, match=r"the worker tcp://.* has no cellwire") as raised:
            DaskPlace(client)
    assert "pip install 'cellwire[dask]'" in raised.value.hint


def test_a_run_that_waits_for_workers_until_its_timeout_names_the_waiting_cells(tmp_path: Path) -> None:
    path = tmp_path / "n.py"
    path.write_text('# %% a on="client"\n1\n')
    with cluster(n_workers=0, security=None) as client:
        command = [sys.executable, "-m", "cellwire", "run", str(path), "--timeout", "4"]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": PATIENCE}
        done = subprocess.run([*command, "--engine", client.scheduler.address], **options)
    assert done.returncode == 1
    assert done.stderr == "cellwire: timed out after 4 s, running: no cell, waiting: a\n"


def test_cells_stay_where_they_are_to_run_whatever_is_given_or_read_again(tmp_path: Path) -> None:
    path = tmp_path / "n.py"
    path.write_text('# %% a on="client"\nx = 1\n# %% b\nclient = 3\n')
    notebook = load(path)
    given = with_parameters(notebook, {"x": 2}, "allow")
    assert [(cell.source, cell.on) for cell in Job(given, "").cells] == [
        ("x = 2", "client"),
        ("client = 3", ""),
    ]
    assert [cell.on for cell in same_cells(notebook, load(path)).cells] == ["client", ""]


def test_a_notebook_runs_on_an_engine_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "n.py"
    path.write_text(
        '# %% there on="client"\nimport os\nprint("there")\npid = os.getpid()\n# %% here\nimport os\n'
        "pid != os.getpid()\n"
    )
    command = [sys.executable, "-m", "cellwire", "run", str(path)]
    done = subprocess.run([*command, "--engine", "local:1"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "[engine]\n\n[there]\nthere\n\n[here]\nTrue\n"
    assert (done.returncode, done.stderr) == (0, "")
    path.write_text('# %% there on="client"\nimport missing_module\n# %% magic on="client"\n%time 1\n')
    done = subprocess.run([*command, "--engine", "local:1"], capture_output=True, text=True, timeout=PATIENCE)
    assert "the worker that ran the cell has no 'missing_module': install it where the workers" in done.stderr
    assert "magics and `!` need IPython's shell, which only the notebook's own process has" in done.stderr
    without = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert "cell 'there' is to run on `client`, which is missing" in without.stdout + without.stderr
    assert without.returncode == 1


def test_the_notebook_of_the_document_runs_as_it_stands(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "cluster.md").read_text()
    path = tmp_path / "n.py"
    path.write_text(text.split("```\n")[1])
    command = [sys.executable, "-m", "cellwire", "run", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "[cluster]\n\n[count]\n\n[sum]\n\n[show]\n333332833333500000\n"
    assert done.returncode == 0


def test_a_notebook_runs_on_a_cluster_with_tls_whose_certificates_dask_is_told(tmp_path: Path) -> None:
    path = tmp_path / "n.py"
    path.write_text('# %% a on="client"\nimport os\npid = os.getpid()\n# %% b\nprint(pid)\n')
    security = Security.temporary()
    config = security.get_tls_config_for_role("client")
    names = {"ca_file": "CA_FILE", "cert": "CLIENT__CERT", "key": "CLIENT__KEY"}
    told: dict[str, str] = {}
    for part, name in names.items():
        (tmp_path / part).write_text(config[part])
        told[f"DASK_DISTRIBUTED__COMM__TLS__{name}"] = str(tmp_path / part)
    with cluster(security=security, n_workers=1) as client:
        address = client.scheduler.address
        assert address.startswith("tls://")
        [worker] = client.run(os.getpid).values()
        command = [sys.executable, "-m", "cellwire", "run", str(path), "--engine", address]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": PATIENCE}
        done = subprocess.run(command, env={**os.environ, **told}, **options)
        assert (done.stdout, done.stderr) == (f"[engine]\n\n[a]\n\n[b]\n{worker}\n", "")
        without = subprocess.run(command, **options)
        assert without.returncode == 1
        assert f"{address} wants certificates, and Dask knows none" in without.stdout
        assert "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY" in without.stdout + without.stderr
