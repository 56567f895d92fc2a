"""cellwire: a reactive notebook kernel. `import cellwire as cw` is what a notebook writes.

The names below are loaded when they are first used, so importing the package, or a part such as
`cellwire.protocol`, loads none of the others. All of them work without a kernel too.
"""

from importlib import import_module

from .version import __version__ as __version__

# As in typing, whose import would cost more than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .runner.api.elsewhere import fetch, on_retire
    from .runner.api.output import cell_id, output, running_in_kernel
    from .runner.api.progress import progress_bar, spinner
    from .runner.api.state import state
    from .runner.api.stop import stop
    from .runner.api.values import html, md, mime
    from .runner.attribution.redirection import (
        capture_stderr,
        capture_stdout,
        redirect_stderr,
        redirect_stdout,
    )
    from .runner.attribution.threads import Thread, current_thread, detached
    from .runner.embedding.embed import embed, embed_async
    from .runner.output.formatting import register_formatter

__all__ = [
    "Thread",
    "capture_stderr",
    "capture_stdout",
    "cell_id",
    "current_thread",
    "detached",
    "embed",
    "embed_async",
    "fetch",
    "html",
    "md",
    "mime",
    "on_retire",
    "output",
    "progress_bar",
    "redirect_stderr",
    "redirect_stdout",
    "register_formatter",
    "running_in_kernel",
    "spinner",
    "state",
    "stop",
]

_HOMES = {
    "Thread": "attribution.threads",
    "capture_stderr": "attribution.redirection",
    "capture_stdout": "attribution.redirection",
    "cell_id": "api.output",
    "current_thread": "attribution.threads",
    "detached": "attribution.threads",
    "embed": "embedding.embed",
    "embed_async": "embedding.embed",
    "fetch": "api.elsewhere",
    "html": "api.values",
    "md": "api.values",
    "mime": "api.values",
    "on_retire": "api.elsewhere",
    "output": "api.output",
    "progress_bar": "api.progress",
    "redirect_stderr": "attribution.redirection",
    "redirect_stdout": "attribution.redirection",
    "register_formatter": "output.formatting",
    "running_in_kernel": "api.output",
    "spinner": "api.progress",
    "state": "api.state",
    "stop": "api.stop",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".runner.{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
