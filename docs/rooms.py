"""The rooms of the package, read from its sources: which modules there are and who imports whom.

A room is a folder, or a file that stands for itself. `ARROWS` says what each room may import; a test
compares it with what is written, and `draw_rooms.py` draws what is written.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ["frontends", "kernel", "protocol", "runner"]
#: All modules of the package, by their path in it.
SOURCES = {
    str(path.relative_to(ROOT)): path
    for path in sorted(
        [*ROOT.glob("*.py"), *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]
    )
}
#: What each room may import, besides itself and what is `SHARED`. A file can be a room of its own.
#: docs/architecture.md says what the rooms are.
ARROWS = {
    "runner.host": "engine execution introspection integrations api attribution output",
    # A notebook file is read the same way whoever asks; its readers import nothing but `protocol`.
    "runner.embedding": "engine execution dataflow api analysis attribution output frontends.notebook_files",
    "runner.engine": "execution dataflow analysis api output",
    "runner.execution": "places integrations api dataflow analysis attribution output",
    "runner.places": "",
    "runner.places.dask": "runner.places worker runner.api",
    "runner.places.worker": "runner.places runner.execution runner.introspection runner.integrations "
    "runner.api runner.analysis runner.attribution runner.output",
    "runner.integrations": "api attribution output",
    "runner.api": "attribution output",
    "runner.dataflow": "analysis",
    "runner.introspection": "analysis",
    "runner.attribution": "output",
    "runner.ipython": "introspection integrations execution api attribution output analysis",
    "runner.analysis": "",
    "runner.output": "",
    "frontends.cli": (
        "frontends.notebook_files frontends.jupyter protocol.client runner.dataflow runner.ipython kernel"
    ),
    "frontends.notebook_files": "",
    "frontends.jupyter": "kernel",
    "kernel": "",
    "protocol.client": "",
    "protocol": "",
}
#: The kernel and the runner know nothing of the client, so `protocol` alone is what all may import.
SHARED = {"protocol", "version"}
#: Faces hand on the names of other rooms, lazily; `__main__` starts a process.
FACES = {"__init__.py", "__main__.py", "protocol/__init__.py", "protocol/blocking.py", "runner/__main__.py"}


def imports(path: Path) -> Iterator[tuple[str, ast.Import | ast.ImportFrom]]:
    """Return the absolute name of everything that a source imports, and the statement that does it."""
    package = ["cellwire", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", node


def imported_modules(path: Path) -> set[str]:
    """Return the modules of the package, as paths in it, that `path` imports: also inside functions."""
    found: set[str] = set()
    for name, _ in imports(path):
        # A name of a module, a module of a package, or a name that a package hands on.
        while name.startswith("cellwire."):
            stem = name.removeprefix("cellwire.").replace(".", "/")
            module = next((file for file in (f"{stem}.py", f"{stem}/__init__.py") if file in SOURCES), None)
            if module is not None:
                found.add(module)
                break
            name = name.rpartition(".")[0]
    return found


def dotted(file: str) -> str:
    """Return the dotted name of a module of the package, without the package."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def room(file: str) -> str:
    """Return the room of a module of the package: the longest name in `ARROWS` that begins its own."""
    module = dotted(file)
    named = [name for name in ARROWS if f"{module}.".startswith(f"{name}.")]
    return max(named, key=len, default=module.split(".")[0])


def crossings() -> Iterator[tuple[str, str]]:
    """Return each import of a file by a file of another room, faces left aside."""
    for name, path in SOURCES.items():
        if name not in FACES:
            yield from ((name, module) for module in imported_modules(path) if room(module) != room(name))


def lines() -> Counter[str]:
    """Return how many lines each room has."""
    counted: Counter[str] = Counter()
    for name, path in SOURCES.items():
        counted[room(name)] += len(path.read_text().splitlines())
    return counted
