"""`cellwire run --engine`: a client for cells that say where they run."""

from pathlib import Path

import pytest
from cellwire.frontends.cli.engine import with_engine
from cellwire.frontends.notebook_files.load import load
from cellwire.protocol.errors import NotebookFileError
from cellwire.runner.places.find import connect
from cellwire.runner.places.place import CannotSend


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
