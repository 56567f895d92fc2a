"""Where the peers live: an environment for each under `build/peers`, made when it is first needed.

A peer that cannot be installed is no error: it is missing, with the reason, and the rest is measured.
cellwire and the floors are measured in the environment that runs the benchmark.
"""

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / "build" / "peers"


@dataclass(frozen=True)
class Peer:
    """Something to measure: its driver, and what its environment must hold."""

    name: str
    #: Empty: the environment that runs the benchmark.
    requirements: tuple[str, ...] = ()

    @property
    def driver(self) -> Path:
        """The script that speaks for it."""
        return HERE / "peers" / f"{self.name}_driver.py"


CELLWIRE = Peer("cellwire")
FLOOR = Peer("floor")
MARIMO = Peer("marimo", ("marimo>=0.25,<0.26", "pyzmq>=26"))
#: What the notebooks of the workload `job` import, in the versions that cellwire is measured with.
_LIBRARIES = tuple(f"{name}=={version(name)}" for name in ("matplotlib", "numpy", "pandas"))
#: cellwire is there too: commands are compared in one environment, with one set of compiled libraries.
_COMMANDS = ("nbclient>=0.10", "papermill>=2.6", *_LIBRARIES, "--editable", str(HERE.parent))
IPYKERNEL = Peer("ipykernel", ("ipykernel>=7.4,<7.5", *_COMMANDS))
PEERS = (MARIMO, IPYKERNEL, CELLWIRE, FLOOR)


class Missing(Exception):
    """Raised when a peer cannot be measured here; the text is the reason."""


def python_path(peer: Peer) -> Path:
    """Return where the interpreter of the peer's own environment is, or will be."""
    return ENVIRONMENTS / peer.name / "bin" / "python"


def python_of(peer: Peer) -> str:
    """Return the interpreter of the peer's environment, which is made if need be.

    Raises: Missing if it cannot be made.
    """
    if not peer.requirements:
        return sys.executable
    place, python = ENVIRONMENTS / peer.name, python_path(peer)
    wanted = "\n".join((sys.version, *peer.requirements))
    stamp = place / "requirements"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    _call(sys.executable, "-m", "venv", "--clear", str(place))
    _call(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements)
    stamp.write_text(wanted)
    return str(python)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(lines[-1] if lines else f"{command[0]} ended with {done.returncode}")
