"""The example frontend for Node.js launches, runs, follows and survives a reconnect."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "docs" / "node"
NODE, NPM = shutil.which("node"), shutil.which("npm")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its packages, installed once under the build folder."""
    if NODE is None or NPM is None:
        pytest.skip("Node.js is not installed")
    folder = ROOT / "build" / "node"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = (SOURCES / "package.json").read_text()
    installed = folder / "installed.json"
    if not installed.exists() or installed.read_text() != manifest:
        (folder / "package.json").write_text(manifest)
        subprocess.run([NPM, "install", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=180)
        installed.write_text(manifest)
    for source in SOURCES.glob("*.mjs"):
        shutil.copy(source, folder)
    return folder / "example.mjs"


def test_a_frontend_in_another_language_follows_a_kernel_across_a_reconnect(example: Path):
    assert NODE is not None
    done = subprocess.run(
        [NODE, example, sys.executable], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == {
        "step": "run",
        "outputs": ["'item'", "2"],
        "parts": ["'item'", "from b\n", "2"],
    }
    assert second == {
        "step": "reconnect",
        "outputs": ["'item'", "42"],
        "dependent": ["82"],
        "order": ["a", "c", "b"],
    }


def test_the_example_stays_small_enough_to_read():
    assert len((SOURCES / "frontend.mjs").read_text().splitlines()) <= 150
