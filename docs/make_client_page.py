"""Writes the reference part of docs/client.md from the signatures and docstrings of the code.

    python docs/make_client_page.py

Everything below the line `MARK` is replaced; the introduction above it is written by hand.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from cellwire import protocol
from cellwire.frontends import notebook_files
from cellwire.protocol import blocking, errors, events, messages, notebook
from cellwire.protocol.limits import Limits

PAGE = Path(__file__).with_name("client.md")
MARK = "<!-- The rest is written by docs/make_client_page.py -->\n"
WIDTH = 110
DATA = [
    *(notebook.Notebook, notebook.CellState, notebook.Item, notebook.Console, notebook.ConsoleChunk),
    *(notebook.CellError, notebook.RunState, notebook.PendingInput, notebook.RunnerState),
    *(messages.Cell, messages.RunQueued, messages.Completions, messages.Completion, messages.Inspection),
    *(messages.Variable, messages.KernelStatistics, messages.SessionStatistics, Limits),
    *(protocol.Connection, protocol.Settings),
]


def page(written: str) -> str:
    """Return the page with its reference as the code has it."""
    introduction, mark, _ = written.partition(MARK)
    assert mark, f"{PAGE} has no line {MARK!r}"
    return introduction + MARK + "\n" + "\n".join(reference())


def reference() -> Iterator[str]:
    yield "## Reference\n"
    yield "### Starting and attaching\n"
    for function in (protocol.start_kernel, protocol.attach):
        yield from entry(function, "kernel = await ", result="")
    for function in (protocol.launch_kernel, protocol.connect):
        yield f"```text\nasync with {function.__name__}(...) as kernel\n```"
        yield textwrap.fill(f"{first_sentence(function)} The parameters are the same.", WIDTH) + "\n"
    yield from entry(protocol.read_connection_file)
    yield "### `KernelClient`\n"
    yield from paragraphs(protocol.KernelClient)
    for name, member in public(protocol.KernelClient):
        if isinstance(member, property):
            yield from block(f"kernel.{name}: {returned(member.fget)}", member)
    for name, member in public(protocol.KernelClient):
        if not isinstance(member, property):
            waits = "await " if inspect.iscoroutinefunction(member) else ""
            yield from entry(member, f"{waits}kernel.", name=name)
    yield "### `EventStream`\n"
    yield from paragraphs(protocol.EventStream)
    yield from block("async for event in events:", protocol.EventStream.__anext__)
    for name in ("receive", "statistics", "close"):
        member = getattr(protocol.EventStream, name)
        waits = "await " if inspect.iscoroutinefunction(member) else ""
        yield from entry(member, f"{waits}events.", name=name)
    yield "### `cellwire.protocol.blocking`\n"
    yield from paragraphs(blocking)
    yield from entry(blocking.KernelClient.events, "for event in kernel.", ":")
    yield from entry(blocking.KernelClient.close, "kernel.")
    yield "### Notebook files\n"
    yield "`cellwire.frontends.notebook_files`\n"
    for name in notebook_files.__all__:
        member = getattr(notebook_files, name)
        yield from listed([member]) if isinstance(member, type) else entry(member)
    yield "### Events\n"
    yield f"`cellwire.protocol.events`: {first_sentence(events)}\n"
    yield from listed(get_origin(member) or member for member in get_args(events.Event))
    yield "### Data\n"
    yield "Classes of `cellwire.protocol.notebook`, `messages`, `limits` and `connection`.\n"
    yield from listed(DATA)
    yield "### Errors\n"
    found = [error for _, error in inspect.getmembers(errors, inspect.isclass)]
    yield from listed(sorted(found, key=lambda error: (len(error.__mro__), error.__name__)))


def public(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield the public members of a class and its bases in the order of the source."""
    for one in reversed(owner.__mro__[:-1]):
        yield from ((name, member) for name, member in vars(one).items() if not name.startswith("_"))


def entry(
    function: Callable[..., Any], before: str = "", after: str = "", name: str = "", result: str | None = None
) -> Iterator[str]:
    """Yield the signature and the docstring of a function."""
    node = definition(function)
    parameters = [one for one in listed_parameters(node.args) if one != "self"]
    result = (after or f" -> {returned(function)}") if result is None else result
    line = f"{before}{name or function.__name__}({', '.join(parameters)}){result}"
    if len(line) > WIDTH:
        rows = "".join(f"    {one},\n" for one in parameters)
        line = f"{before}{name or function.__name__}(\n{rows}){result}"
    yield from block(line, function)


def definition(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef:
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return node


def listed_parameters(arguments: ast.arguments) -> Iterator[str]:
    padding = [None] * (len(arguments.args) - len(arguments.defaults))
    for argument, default in zip(arguments.args, [*padding, *arguments.defaults], strict=True):
        yield parameter(argument, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield parameter(argument, default)


def parameter(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + ("" if default is None else f" = {ast.unparse(default)}")


def returned(function: Any) -> str:
    annotation = definition(function).returns
    assert annotation is not None
    return ast.unparse(annotation)


def block(line: str, documented: Any) -> Iterator[str]:
    yield f"```text\n{line}\n```"
    yield from paragraphs(documented)


def paragraphs(documented: Any) -> Iterator[str]:
    for paragraph in (inspect.getdoc(documented) or "").split("\n\n"):
        yield textwrap.fill(" ".join(paragraph.split()), WIDTH) + "\n"


def listed(kinds: Iterable[type]) -> Iterator[str]:
    """Yield one line for each class, with its fields."""
    for kind in kinds:
        fields = getattr(kind, "__struct_fields__", ())
        shown = f"{kind.__name__}({', '.join(fields)})" if fields else kind.__name__
        yield textwrap.fill(f"* `{shown}`: {first_sentence(kind)}", WIDTH, subsequent_indent="  ")
    yield ""


def first_sentence(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    sys.stdout.write(f"{PAGE} is written\n")
