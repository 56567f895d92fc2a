"""The same notebook in cellwire and in ipykernel, and how what they show differs."""

import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import nbformat
from cellwire.protocol import launch_kernel
from cellwire.protocol.events import InputRequested
from cellwire.protocol.mime_types import ERROR_MIME, PAYLOAD_MIME
from nbclient import NotebookClient

_UNIT = "(?:ns|[µμu]s|ms|milliseconds|s|min|h)"
_LONG_TIME = rf"[\d.,]+ ?(?:e[-+]\d+ )?{_UNIT}\b(?: ± [\d.]+ ?\w+)?|\bin \d+\.\d+ seconds"
_CLOCK = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?|\d\d:\d\d:\d\d(?:\.\d+)?"
_FILE = r"<cell [^>]*>|/tmp/ipykernel_\d+/\d+\.py|<ipython-input-[^>]*>|Cell In\[\d+\]"
_UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
#: What may differ from run to run: the word for the cause, the pattern, and what stands for it.
_VARYING = [
    (cause, re.compile(pattern), instead)
    for cause, pattern, instead in (
        ("control", r"\x1b\[[0-9;?]*[a-zA-Z]", ""),
        ("control", r"\r\n", "\n"),
        ("control", r"\\r\\n", r"\\n"),
        ("address", r"0x[0-9a-fA-F]+|(?<=\bid=)\d+", "ADDRESS"),
        ("file name", _FILE, "CELL"),
        ("time", _LONG_TIME, "TIME"),
        ("time", _CLOCK, "TIME"),
        ("time", r"The slowest run took .*\n|of \d+ runs, [\d,]+ loops? each", ""),
        ("identifier", _UUID, "ID"),
        ("identifier", r"(?<=T_)[0-9a-f]{5}", "ID"),
        ("process", r"\b(?:pid|PID)\W*\d+", "PROCESS"),
        ("folder", r"/tmp/[\w./-]*", "FOLDER"),
    )
]


#: A first cell, which makes both draw the same numbers.
_SEED = """import random
random.seed(0)
try:
    import numpy
    numpy.random.seed(0)
except ImportError:
    pass
"""


class Ran(NamedTuple):
    """How a cell ended, and what it shows: kind and content of each output."""

    status: str
    outputs: list[tuple[str, Any]]
    error: str = ""


def run_in_cellwire(sources: list[str], folder: Path, seconds: float = 60) -> list[Ran]:
    """Run cells as `cellwire run` runs those of an `.ipynb` file."""
    cells = {"seed": _SEED, **{f"c{index}": source for index, source in enumerate(sources)}}

    async def run() -> list[Ran]:
        async with launch_kernel(
            cwd=folder, env=_environment(), redefine="allow", dialect="ipython"
        ) as kernel:
            events = kernel.events()

            async def refuse_input() -> None:
                async for event in events:
                    if isinstance(event, InputRequested):
                        await kernel.provide_input(event.id, None)

            with anyio.move_on_after(seconds) as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(refuse_input)
                    await kernel.run(cells)
                    tasks.cancel_scope.cancel()
            if scope.cancelled_caught:
                await kernel.interrupt()
                await kernel.wait_idle()
            return [_ran(kernel.notebook.cells[id]) for id in cells][1:]

    return anyio.run(run)


def _environment() -> dict[str, str]:
    """Return what both run in: one order of sets, this Python's programs, no package from a network."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": programs, "PYTHONHASHSEED": "0", "PIP_NO_INDEX": "1"}


def _ran(cell: Any) -> Ran:
    outputs: list[tuple[str, Any]] = []
    for part in cell.in_order():
        if hasattr(part, "stream"):
            _add_text(outputs, part.stream, part.text)
        elif PAYLOAD_MIME in part.data:
            continue
        elif ERROR_MIME in part.data:
            outputs.append(("error", part.data[ERROR_MIME]["kind"]))
        else:
            kind = "result" if part.metadata.get("cellwire", {}).get("result") else "display"
            outputs.append((kind, dict(part.data)))
    error = cell.error
    failed = any(kind == "error" for kind, _ in outputs)
    return Ran("error" if failed else cell.status, outputs, f"{error.kind}: {error.message}" if error else "")


def run_in_ipykernel(sources: list[str], folder: Path, seconds: float = 60) -> list[Ran]:
    """Run cells as `jupyter execute` runs them, on past errors."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (_SEED, *sources)]
    )
    client = NotebookClient(
        notebook,
        timeout=int(seconds),
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
        kernel_name="python3",
        store_widget_state=False,
    )
    try:
        client.execute(env=_environment())
    except Exception as error:
        sys.stderr.write(f"ipykernel: {type(error).__name__}: {str(error)[:200]}\n")
    found: list[Ran] = []
    for cell in notebook.cells[1:]:
        outputs: list[tuple[str, Any]] = []
        error = ""
        for output in cell.outputs:
            if output.output_type == "stream":
                _add_text(outputs, output.name, output.text)
            elif output.output_type == "error":
                outputs.append(("error", output.ename))
                error = f"{output.ename}: {output.evalue}"
            else:
                kind = "result" if output.output_type == "execute_result" else "display"
                outputs.append((kind, {mime: _content(mime, value) for mime, value in output.data.items()}))
        if cell.execution_count is None:
            found.append(Ran("not run", []))
            continue
        usage = any(kind == "stderr" and text.startswith("UsageError") for kind, text in outputs)
        found.append(Ran("error" if error or usage else "ok", outputs, error))
    return found


def _add_text(outputs: list[tuple[str, Any]], stream: str, text: str) -> None:
    """Join text to what the same stream has written just before."""
    if outputs and outputs[-1][0] == stream:
        outputs[-1] = (stream, outputs[-1][1] + text)
    else:
        outputs.append((stream, text))


def _content(mime: str, value: Any) -> Any:
    if mime in ("image/png", "image/jpeg") and isinstance(value, str):
        import base64

        return base64.b64decode(value)
    return value


def compare(here: Ran, there: Ran) -> tuple[str, str]:
    """Return how two runs of a cell compare, in a word, and for people how they differ.

    `same`, or `fails only here`, `fails only there`, or what all the differences are about: `address`, `time`
    and the like, or `values` where that is not known.
    """
    if there.status == "not run":
        return "not run there", ""
    if here.status == "ok" and there.status != "ok":
        return "fails only there", there.error
    if here.status != "ok" and there.status == "ok":
        return ("cancelled" if here.status == "cancelled" else "fails only here"), here.error
    if here.status != "ok":
        # Texts of errors are cellwire's own; what was shown before is not compared either.
        return "same", ""
    one, other = _flat(here), _flat(there)
    if one == other:
        return "same", ""
    causes: list[str] = []
    for cause, pattern, instead in _VARYING:
        before = one, other
        one = [(kind, _replaced(pattern, instead, content)) for kind, content in one]
        other = [(kind, _replaced(pattern, instead, content)) for kind, content in other]
        if before != (one, other) and cause not in causes:
            causes.append(cause)
        if one == other:
            return causes[-1], ""
    if sorted(map(repr, one)) == sorted(map(repr, other)):
        return "order of outputs", f"{one}\n{other}"[:400]
    if _by_stream(one) == _by_stream(other):
        return "order of streams", ""
    if _words(one) == _words(other):
        return "white space", ""
    return "values", _first_difference(one, other)


def _by_stream(flat: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the text of each stream as a whole, whatever the other one has written in between."""
    text = {stream: "".join(part for kind, part in flat if kind == stream) for stream in ("stdout", "stderr")}
    return [*text.items(), *((kind, content) for kind, content in flat if kind not in text)]


def _words(flat: list[tuple[str, Any]]) -> list[str]:
    """Return all words, whichever piece of a stream they are in."""
    return sorted(word for kind, content in flat for word in f"{kind} {content}".split())


def _flat(ran: Ran) -> list[tuple[str, Any]]:
    """Return each mime type of each output by itself, and no text that is empty."""
    flat: list[tuple[str, Any]] = []
    for kind, content in ran.outputs:
        if isinstance(content, dict):
            flat += [(f"{kind} {mime}", content[mime]) for mime in sorted(content) if content[mime] != ""]
        elif content:
            flat.append((kind, content))
    return flat


def _replaced(pattern: re.Pattern[str], instead: str, content: Any) -> Any:
    if isinstance(content, str):
        return pattern.sub(instead, content)
    if isinstance(content, dict):
        return {key: _replaced(pattern, instead, value) for key, value in content.items()}
    if isinstance(content, list):
        return [_replaced(pattern, instead, value) for value in content]
    return content


def _first_difference(one: list[tuple[str, Any]], other: list[tuple[str, Any]]) -> str:
    for mine, its in zip(one, other, strict=False):
        if mine != its:
            return f"here  {str(mine)[:600]}\n  there {str(its)[:600]}"
    longer = "here" if len(one) > len(other) else "there"
    more = (one if len(one) > len(other) else other)[min(len(one), len(other)) :]
    return f"only {longer}: {str(more)[:600]}"
