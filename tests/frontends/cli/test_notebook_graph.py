"""`cellwire graph`: what it shows of a notebook that is not run."""

import json
import subprocess
import sys
from pathlib import Path

from support.waiting import PATIENCE

GRAPH = """\
# %% Data
x = 1
y = 2
# %% once
w = 1
# %% total
total = sum([x, w])
# %% again
x = 3
# %% broken
)
"""


def graph(notebook: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cellwire", "graph", str(notebook), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def test_graph_shows_definitions_edges_and_errors_without_running(notebook: Path) -> None:
    notebook.write_text(GRAPH + "# %% never\nopen('trap', 'w')\n")
    done = graph(notebook)
    assert done.returncode == 1
    assert done.stdout.startswith(
        "data  (Data)\n  defines  x, y\n  error    MultipleDefinitions: 'x' is also"
    )
    assert "total\n  defines  total\n  after    once  (w)\n  missing  x\n" in done.stdout
    assert "broken\n  error    SyntaxError" in done.stdout
    assert done.stdout.endswith("3 of 6 cells cannot run\n")
    assert not (notebook.parent / "trap").exists()


def test_graph_is_given_to_graphviz_and_to_programs(notebook: Path) -> None:
    notebook.write_text('# %% a "b"\nx = 1\n# %% c\ny = x\n')
    done = graph(notebook, "--dot")
    assert done.returncode == 0
    assert done.stdout.startswith("digraph notebook {")
    assert '  "a-b" -> "c" [label="x"];\n' in done.stdout
    assert r'"a-b" [label="a \"b\"\nx"]' in done.stdout
    as_data = json.loads(graph(notebook, "--json").stdout)
    assert as_data["edges"] == [{"parent": "a-b", "child": "c", "names": ["x"]}]
    assert as_data["order"] == ["a-b", "c"]
