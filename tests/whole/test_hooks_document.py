"""The extension of docs/hooks.md, installed as a package would be, works in a real kernel."""

import os
import re
from pathlib import Path

import pytest
from cellwire.protocol import launch_kernel

pytestmark = pytest.mark.anyio

DOCUMENT = Path(__file__).parents[2] / "docs" / "hooks.md"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder that holds the document's package as an installer leaves it."""
    text = DOCUMENT.read_text()
    (module,) = re.findall(r"```python\n# durations.py\n(.*?)```", text, re.S)
    (entry,) = re.findall(r"^durations = \"(.*)\"$", text, re.M)
    (tmp_path / "durations.py").write_text(module)
    metadata = tmp_path / "durations-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: durations\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[cellwire.hooks]\ndurations = {entry}\n")
    return tmp_path


async def test_an_installed_extension_records_the_duration_of_every_cell(installed: Path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    async with launch_kernel(env=environment) as kernel:
        await kernel.run({"a": "x = 1", "b": "x + 1", "c": "1 / 0"})
        await kernel.run({"look": "import durations\nsorted(durations.durations)"})
        (item,) = kernel.notebook.cells["look"].outputs
        assert item.data["text/plain"] == "['a', 'b', 'c']"


async def test_an_extension_that_raises_is_reported_and_stops_nothing(installed: Path):
    (installed / "durations.py").write_text("raise RuntimeError('not today')\n")
    async with launch_kernel(env={**os.environ, "PYTHONPATH": str(installed)}) as kernel:
        finished = await kernel.run({"a": "1 + 1"})
        assert finished.status == "ok"
        assert "not today" in kernel.notebook.console.text("stderr")
