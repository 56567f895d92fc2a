"""A kernel for the tests of a module, found by Jupyter as one that is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cellwire.frontends.jupyter.kernelspecs import install
from support.jupyter import Jupyter, start


@pytest.fixture(scope="package", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the kernelspecs where Jupyter looks; history and what runs are elsewhere than the user's."""
    place = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("JUPYTER_DATA_DIR", str(place / "data"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(place / "config"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(place / "runtime"))
        patch.setenv("XDG_DATA_HOME", str(place / "xdg"))
        patch.setenv("IPYTHONDIR", str(place / "ipython"))
        install(place / "data")
        yield place


@pytest.fixture(scope="module")
def kernel(installed: Path) -> Iterator[Jupyter]:
    """One kernel for all tests of a module."""
    kernel = start()
    yield kernel
    kernel.close()
