"""A document as Markdown: texts as they are, code in fences, outputs below it.

An output is written in the form that Markdown shows best. Figures are links to files, or are contained in
the text if it must stand alone.
"""

import base64
import mimetypes
import re
from typing import Any, NamedTuple

from .executed import Document
from .ipynb import joined
from .terminal_line import as_shown

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")
_IMAGES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp")


class Made(NamedTuple):
    """A text, and the files that it links to, by their names in the text."""

    text: str
    files: dict[str, bytes]


def markdown(document: Document, folder: str = "") -> Made:
    """Return the document as Markdown, with figures in files of `folder` if one is given."""
    files: dict[str, bytes] = {}
    parts: list[str] = []
    for cell in document["cells"]:
        source = joined(cell["source"]).strip("\n")
        match cell["cell_type"]:
            case "code":
                if source:
                    parts.append(_fence(source, "python"))
                for number, output in enumerate(cell["outputs"], 1):
                    parts.append(_output(output, f"{cell['id']}-{number}", folder, files))
            case "markdown":
                parts.append(_with_attachments(source, cell, folder, files))
            case _:
                parts.append(_fence(source))
    return Made("\n\n".join(part for part in parts if part) + "\n", files)


def shown_text(text: str | list[str]) -> str:
    """Return console text as a terminal shows it in the end: of overwritten lines only the last state."""
    return "\n".join(as_shown(line) for line in joined(text).split("\n"))


def image_of(data: dict[str, Any]) -> tuple[str, bytes] | None:
    """Return the type and the bytes of the image in a mime bundle; None if there is none."""
    for mime in _IMAGES:
        value = data.get(mime)
        if value is not None:
            text = joined(value)
            try:
                return mime, text.encode() if mime == "image/svg+xml" else base64.b64decode(text)
            except ValueError:
                continue
    return None


def data_uri(mime: str, content: bytes) -> str:
    """Return an address that contains the data itself."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def without_escapes(text: str) -> str:
    """Return the text without escape sequences."""
    return _ESCAPES.sub("", text)


def _output(output: Document, name: str, folder: str, files: dict[str, bytes]) -> str:
    match output["output_type"]:
        case "stream":
            return _fence(without_escapes(shown_text(output["text"])).strip("\n"), "text")
        case "error":
            return _fence(without_escapes("\n".join(output["traceback"])), "text")
        case _:
            pass
    data: dict[str, Any] = output["data"]
    if "text/markdown" in data:
        return joined(data["text/markdown"]).strip("\n")
    if image := image_of(data):
        return f"![{name}]({_address(name, *image, folder, files)})"
    if "text/html" in data:
        # In Markdown a blank line would end the block of HTML.
        return re.sub(r"\n\s*\n", "\n", joined(data["text/html"]).strip("\n"))
    if "text/latex" in data:
        return joined(data["text/latex"]).strip("\n")
    return _fence(without_escapes(joined(data.get("text/plain", ""))), "text")


def _address(name: str, mime: str, content: bytes, folder: str, files: dict[str, bytes]) -> str:
    """Return the address of the image: a file, which is added to `files`, or the image itself."""
    if not folder:
        return data_uri(mime, content)
    path = f"{folder}/{name}{mimetypes.guess_extension(mime) or ''}"
    files[path] = content
    return path


def _with_attachments(source: str, cell: Document, folder: str, files: dict[str, bytes]) -> str:
    """Return the text with the addresses of its attachments."""
    attachments: dict[str, Any] = cell.get("attachments") or {}

    def address(match: re.Match[str]) -> str:
        image = image_of(attachments.get(match["name"], {}))
        if image is None:
            return match[0]
        name = re.sub(r"[^\w-]+", "-", match["name"].rpartition(".")[0])
        return _address(f"{cell['id']}-{name}", *image, folder, files)

    return re.sub(r"attachment:(?P<name>[^\s)\"']+)", address, source)


def _fence(text: str, language: str = "") -> str:
    """Return the text in a fence that is longer than any in it."""
    if not text:
        return ""
    longest = max((len(run) for run in re.findall(r"^`{3,}", text, re.M)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
