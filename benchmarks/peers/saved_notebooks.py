"""Notebooks run by a command, from its start to its end or from a save to a result.

What runs a notebook is the command of the peer. Commands that are compared run in one environment, so that
libraries cost all of them the same.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

_FIRST = """\
import numpy as np
import pandas as pd
import matplotlib.pyplot as plt
df = pd.DataFrame({"key": np.arange(1000), "value": np.sin(np.arange(1000))})"""


def notebook(cells: int) -> str:
    """Return an ordinary `.ipynb`: imports and data, and then tables and figures in turns."""
    sources = [_FIRST]
    for number in range(1, cells, 2):
        sources.append(f"table{number} = df.groupby(df.key % {number + 1}).value.describe()\ntable{number}")
        sources.append(f"plt.plot(table{number}['mean'])\nplt.title('{number}')\nplt.show()")
    code: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    return json.dumps(
        {
            "cells": [{**code, "id": f"c{i}", "source": source} for i, source in enumerate(sources[:cells])],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


async def run_and_keep(commands: Mapping[str, Sequence[str]], cells: int, python: str) -> Figures:
    """Return the seconds that each command takes to run a notebook and to save it with its outputs.

    `{in}` and `{out}` in a command are the paths. Every cell but the first must have shown something.
    """
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "in.ipynb").write_text(notebook(cells))
        for name, command in commands.items():
            out = place / f"{name}.ipynb"
            filled = [
                part.replace("{in}", str(place / "in.ipynb")).replace("{out}", str(out)) for part in command
            ]
            start = time.perf_counter()
            done = subprocess.run([python, *filled], cwd=place, capture_output=True, text=True)
            figures[name] = time.perf_counter() - start
            if done.returncode:
                raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
            shown = [bool(cell["outputs"]) for cell in json.loads(out.read_text())["cells"]]
            if shown != [False] + [True] * (cells - 1):
                raise RuntimeError(f"{name}: cells have no outputs")
    return figures


async def save_to_result(command: Sequence[str], cells: int, times: int) -> Figures:
    """Return the seconds from a save in which one cell changes to the line that the cell then prints."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nb.py"
        others = "".join(f"# %%\nx{number} = {number}\n" for number in range(cells - 1))
        path.write_text(others + "# %%\nprint('saved', 0)\n")
        filled = [part.replace("{in}", str(path)) for part in command]
        process = subprocess.Popen(
            [sys.executable, *filled], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        try:
            _wait_for(process.stdout.fileno(), b"saved 0\n")
            seconds: list[float] = []
            for number in range(1, times + 1):
                time.sleep(0.05 + 0.003 * number)  # at any point between two looks at the file
                text = f"{others}# %%\nprint('saved', {number})\n"
                start = time.perf_counter()
                path.write_text(text)
                _wait_for(process.stdout.fileno(), b"saved %d\n" % number)
                seconds.append(time.perf_counter() - start)
            return {"seconds": seconds}
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


def _wait_for(descriptor: int, text: bytes) -> None:
    received = b""
    while text not in received:
        if not select.select([descriptor], [], [], 30)[0]:
            raise RuntimeError(f"{text!r} did not come")
        data = os.read(descriptor, 65536)
        if not data:
            raise RuntimeError("the command has ended")
        received += data
