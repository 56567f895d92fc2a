"""Kernelspecs: how Jupyter finds the kernel and starts it.

The wheel contains them for the environment that it is installed in. `cellwire jupyter install` writes them
for another environment; they then start the kernel with the Python that runs the command.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

#: The directories of the kernelspecs, each named as the kernel.
_SPECS = Path(__file__).with_name("kernels")


def names() -> list[str]:
    """Return the names of the kernels."""
    return sorted(path.name for path in _SPECS.iterdir() if path.is_dir())


def install(directory: Path, name: str = "", display_name: str = "") -> list[Path]:
    """Write the kernelspecs below `directory`, one of Jupyter's data directories, and return their paths.

    `name` and `display_name` replace those of the first kernelspec; those of the others begin with them.

    Raises: OSError if that is not possible.
    """
    written: list[Path] = []
    for kernel in names():
        suffix = kernel.removeprefix("cellwire")
        target = directory / "kernels" / (f"{name}{suffix}" if name else kernel)
        target.mkdir(parents=True, exist_ok=True)
        for file in (_SPECS / kernel).iterdir():
            shutil.copyfile(file, target / file.name)
        spec: dict[str, Any] = json.loads((target / "kernel.json").read_text())
        spec["argv"][0] = sys.executable
        if display_name:
            spec["display_name"] = spec["display_name"].replace("cellwire", display_name, 1)
        (target / "kernel.json").write_text(json.dumps(spec, indent=2) + "\n")
        written.append(target)
    return written


def user_directory() -> Path:
    """Return the user's data directory of Jupyter."""
    if given := os.environ.get("JUPYTER_DATA_DIR"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Jupyter"
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(data) / "jupyter"


def prefix_directory(prefix: str) -> Path:
    """Return the data directory of Jupyter in an environment."""
    return Path(prefix) / "share" / "jupyter"
