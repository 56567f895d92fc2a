"""Where the peers live: an environment for each under `build/peers`, made when it is first needed.

Everything is measured as its users have it: installed by pip, with bytecode. So is cellwire, from a wheel of
this tree that is installed again when a file of the package has changed. A peer that cannot be installed is
no error: it is missing, with the reason, and the rest is measured.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
ENVIRONMENTS = ROOT / "build" / "peers"


@dataclass(frozen=True)
class Peer:
    """Something to measure: its driver, and what its environment must hold."""

    name: str
    requirements: tuple[str, ...]
    #: Whether cellwire is installed there too.
    has_cellwire: bool = False
    #: The name of the environment; the peer's own if empty.
    environment: str = ""

    @property
    def driver(self) -> Path:
        """The script that speaks for it."""
        return HERE / "peers" / f"{self.name}_driver.py"

    @property
    def place(self) -> Path:
        """The folder of its environment."""
        return ENVIRONMENTS / (self.environment or self.name)


def _as_here(*names: str) -> tuple[str, ...]:
    """Return requirements of the versions that the tests run with."""
    return tuple(f"{name}=={version(name)}" for name in names)


#: What cellwire needs by itself, over Jupyter and for the workloads `cluster` and `jupyter-page`.
_NEEDED = _as_here(
    *("anyio", "comm", "distributed", "ipykernel", "ipython", "ipywidgets", "jupyter_client", "jupyterlab"),
    *("msgspec", "nbformat", "psutil", "pytest", "pyzmq", "selenium"),
)
CELLWIRE = Peer("cellwire", _NEEDED, has_cellwire=True)
#: The floors are those of cellwire's environment.
FLOOR = Peer("floor", _NEEDED, has_cellwire=True, environment="cellwire")
MARIMO = Peer("marimo", ("marimo>=0.25,<0.26", "pyzmq>=26"))
#: What the notebooks of the workload `job` import, and what runs them. cellwire is there too: commands are
#: compared in one environment, with one set of compiled libraries.
_COMMANDS = (
    "nbclient>=0.10",
    "papermill>=2.6",
    *_as_here("anyio", "matplotlib", "msgspec", "numpy", "pandas"),
)
IPYKERNEL = Peer("ipykernel", ("ipykernel>=7.4,<7.5", *_COMMANDS), has_cellwire=True)
PEERS = (MARIMO, IPYKERNEL, CELLWIRE, FLOOR)


class Missing(Exception):
    """Raised when a peer cannot be measured here; the text is the reason."""


def python_path(peer: Peer) -> Path:
    """Return where the interpreter of the peer's environment is, or will be."""
    return peer.place / "bin" / "python"


def python_of(peer: Peer) -> str:
    """Return the interpreter of the peer's environment, which is made or brought up to date if need be.

    Raises: Missing if that fails.
    """
    python = str(python_path(peer))
    if not _has(peer, "requirements", wanted := "\n".join((sys.version, *peer.requirements))):
        _call(sys.executable, "-m", "venv", "--clear", str(peer.place))
        _install(python, *peer.requirements)
        (peer.place / "requirements").write_text(wanted)
    if peer.has_cellwire and not _has(peer, "sources", wanted := _digest()):
        with tempfile.TemporaryDirectory() as folder:
            # A copy, in which a build leaves its files.
            ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
            shutil.copytree(ROOT, f"{folder}/source", ignore=ignored)
            _install(python, "--no-deps", "--force-reinstall", f"{folder}/source")
        (peer.place / "sources").write_text(wanted)
    return python


def _has(peer: Peer, stamp: str, wanted: str) -> bool:
    path = peer.place / stamp
    return path.exists() and path.read_text() == wanted


def _digest() -> str:
    """Return a digest of all that a wheel is made of."""
    digest = hashlib.sha256()
    folders = ("frontends", "kernel", "protocol", "runner")
    inside = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    for path in sorted([*ROOT.glob("*.py"), ROOT / "pyproject.toml", *inside]):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _install(python: str, *what: str) -> None:
    _call(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(lines[-1] if lines else f"{command[0]} ended with {done.returncode}")
