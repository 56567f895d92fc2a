"""The documents: one width, links and paths that lead somewhere, commands that exist."""

import re
from pathlib import Path

import pytest
from rooms import ROOT

WIDTH = 110
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def prose(path: Path) -> str:
    """Return a document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)


def test_the_documents_are_found() -> None:
    names = {path.name for path in DOCUMENTS}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "architecture.md", "outputs.md"} <= names


@documents
def test_lines_are_wrapped(path: Path) -> None:
    """Those of tables are not, and a link counts as the text that it shows."""
    for line in path.read_text().splitlines():
        shown = re.sub(r"\]\([^)]*\)", "]", line)
        assert line.startswith("|") or len(shown) <= WIDTH, line


@documents
def test_links_lead_to_files(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(path)):
        assert target.startswith("https://") or (path.parent / target).exists(), target


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_are_named_with_their_folder_exist(name: str) -> None:
    for path in re.findall(r"`((?:\w+/)+(?:[\w.-]+\.\w+)?)`", prose(ROOT / name)):
        assert (ROOT / path).exists(), path


def test_files_that_are_named_after_another_of_their_folder_exist() -> None:
    """As in: `protocol/client/kernel_client.py`, `session.py`."""
    text = prose(ROOT / "docs" / "architecture.md")
    followers = re.findall(r"`((?:\w+/)+)\w+\.py`, `(\w+\.py)`", text)
    assert len(followers) > 5
    for folder, follower in followers:
        assert (ROOT / folder / follower).exists(), folder + follower


def test_the_readme_says_what_every_room_holds() -> None:
    listed = set(re.findall(r"^\| `([\w/]+/)` \|", (ROOT / "README.md").read_text(), re.M))
    rooms = {f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("[fkpr]*/**/__init__.py")}
    nested = {"frontends/", "runner/places/dask/", "runner/places/worker/"}
    assert rooms - nested - {"runner/"} <= listed
    assert len(rooms) > 15


def test_the_readme_leads_to_every_document() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [
        path.name for path in DOCUMENTS if path.parent.name == "docs" and f"(docs/{path.name})" not in readme
    ] == []


@pytest.mark.parametrize("name", [".github/workflows/test.yml", ".pre-commit-config.yaml", "CONTRIBUTING.md"])
def test_only_targets_that_the_makefile_has_are_called(name: str) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    called = set(re.findall(r"(?:run: |entry: |`)make (\w+)", (ROOT / name).read_text()))
    assert called
    assert called <= targets


def test_the_workflow_is_short_and_runs_on_every_supported_python() -> None:
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert len(workflow.splitlines()) < 40
    assert "make test" in workflow
    [floor] = re.findall(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert f'python: ["{floor}"' in workflow
