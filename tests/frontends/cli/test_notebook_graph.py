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
    done = graph(notebook, "--redefine", "error")
    assert done.returncode == 1
    assert done.stdout.startswith(
        "data  (Data)\n  defines  x, y\n  error    MultipleDefinitions: 'x' is also"
    )
    assert "total\n  defines  total\n  after    once: w\n  missing  x\n" in done.stdout
    assert f'broken\n  error      File "{notebook}", line 11\n' in done.stdout
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
    edge = {"parent": "a-b", "child": "c", "names": ["x"], "deferred": [], "versions": {}}
    assert as_data["edges"] == [edge]
    assert as_data["order"] == ["a-b", "c"]


VERSIONS = """\
# %% load
df = [3, None]
# %% clean
df = [x for x in df if x]
# %% report
def report():
    return limit, df
# %% limit
limit = 2
# %% show
report()
# %% gone
del df
"""


def test_a_name_with_several_definers_is_shown_with_the_version_that_each_makes_or_reads(
    notebook: Path,
) -> None:
    notebook.write_text(VERSIONS)
    done = graph(notebook)
    assert (done.returncode, done.stderr) == (0, "")
    assert "clean\n  defines  df (2nd)\n  after    load: df (1st)\n" in done.stdout
    assert "gone\n  deletes  df (3rd)\n  after    clean: df (2nd)\n" in done.stdout
    assert '"load" -> "clean" [label="df (1st)"];' in graph(notebook, "--dot").stdout
    as_data = json.loads(graph(notebook, "--json").stdout)
    clean, gone = (node for node in as_data["cells"] if node["id"] in ("clean", "gone"))
    assert (clean["versions"], gone["versions"], gone["deletes"]) == ({"df": 2}, {"df": 3}, ["df"])
    [edge] = [edge for edge in as_data["edges"] if edge["child"] == "clean"]
    assert edge["versions"] == {"df": 1}


def test_what_functions_read_is_told_apart_from_what_a_cell_reads_while_it_runs(notebook: Path) -> None:
    notebook.write_text(VERSIONS)
    text = graph(notebook).stdout
    assert "report\n  defines  report\n  later    clean: df (2nd)\n  later    limit: limit\n" in text
    # The caller depends on what the function reads, too.
    show = "show\n  after    report: report\n  later    clean: df (2nd)\n  later    limit: limit\n"
    assert show in text
    assert '"limit" -> "report" [label="limit", style=dashed];' in graph(notebook, "--dot").stdout
    as_data = json.loads(graph(notebook, "--json").stdout)
    [edge] = [edge for edge in as_data["edges"] if (edge["parent"], edge["child"]) == ("limit", "report")]
    assert (edge["names"], edge["deferred"]) == (["limit"], ["limit"])


def test_whether_names_may_be_defined_again_follows_the_kind_of_file_unless_it_is_given(
    tmp_path: Path,
) -> None:
    script, marimo = tmp_path / "script.py", tmp_path / "marimo.py"
    script.write_text("# %%\nx = 1\n# %%\nx = 2\n")
    cells = "\n\n".join(f"@app.cell\ndef _():\n    x = {n}\n    return (x,)" for n in (1, 2))
    marimo.write_text(f"import marimo\n\napp = marimo.App()\n\n\n{cells}\n")
    assert [graph(script).returncode, graph(marimo).returncode] == [0, 1]
    assert graph(script, "--redefine", "error").returncode == 1
    assert graph(marimo, "--redefine", "allow").returncode == 0
