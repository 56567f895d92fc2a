"""The mime types of cellwire's own output items, and what stands under them.

Such an item has `text/plain` too (a progress item also `text/html`), so a frontend that does not know
the type shows that. An error item holds the fields of `notebook.CellError` without those left empty; a
progress item holds the fields of `Progress`, all of them.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

#: The item of an exception that a cell raised; the same error is in `CellFinished`. One that a cell of an
#: embedded notebook raised is only here, and has its `file` and `cell` too; the position is in that file.
ERROR_MIME: Final = "application/vnd.cellwire.error+json"
#: The item of a progress bar or a spinner.
PROGRESS_MIME: Final = "application/vnd.cellwire.progress+json"
#: What a magic leaves for the frontend: a page to show, a text for the next cell, a wish to end the kernel.
#: The item holds the payload of Jupyter's protocol.
PAYLOAD_MIME: Final = "application/vnd.cellwire.payload+json"


class Progress(msgspec.Struct, frozen=True):
    """How far something is."""

    title: str = ""
    subtitle: str = ""
    #: Steps done; None for a spinner.
    current: float | None = None
    #: Steps there are; None if that is not known.
    total: float | None = None
    #: Steps per second; None if it is not known or not to be shown.
    rate: float | None = None
    #: Seconds left; None likewise.
    eta: float | None = None
    #: Seconds since the start.
    elapsed: float = 0.0
    #: Over, or all steps done.
    done: bool = False
    #: Left by an exception.
    failed: bool = False


def progress_of(data: Mapping[str, Any]) -> Progress | None:
    """Return the progress that a mime bundle holds; None if it holds none that can be read."""
    if PROGRESS_MIME not in data:
        return None
    try:
        return msgspec.convert(data[PROGRESS_MIME], Progress)
    except msgspec.ValidationError:
        return None


def progress_details(progress: Progress, *, times: bool = True) -> str:
    """Return in one line what is known besides the title.

    Without `times` the line is the same for each run that gets as far.
    """
    parts: list[str] = []
    if progress.current is not None:
        of = "" if progress.total is None else f"/{progress.total:.15g}"
        parts.append(f"{progress.current:.15g}{of}")
    if times and progress.rate is not None:
        parts.append(f"{progress.rate:.3g}/s" if progress.rate < 1000 else f"{progress.rate:,.0f}/s")
    if times and progress.eta is not None and not progress.done:
        parts.append(f"{progress.eta:.0f} s left")
    if progress.failed:
        parts.append("failed")
    elif progress.done and progress.current is None:
        parts.append("done")
    if progress.subtitle:
        parts.append(progress.subtitle)
    return " · ".join(parts)
