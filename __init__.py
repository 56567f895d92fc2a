"""cellwire: a reactive notebook kernel. `import cellwire as cw` is what a notebook writes.

The names below are loaded when they are first used, so importing the package, or a part such as
`cellwire.protocol`, loads none of the others. All of them work without a kernel too.
"""

from importlib import import_module

# As in typing, whose import would cost more than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .runner.capture import capture_stderr, capture_stdout, redirect_stderr, redirect_stdout
    from .runner.formatting import register_formatter
    from .runner.notebook_api import cell_id, output, running_in_kernel
    from .runner.state import state
    from .runner.status import progress_bar, spinner
    from .runner.stop import stop
    from .runner.threads import Thread, current_thread, detached
    from .runner.values import html, md, mime

__version__ = "0.1.0"

__all__ = [
    "Thread",
    "capture_stderr",
    "capture_stdout",
    "cell_id",
    "current_thread",
    "detached",
    "html",
    "md",
    "mime",
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
    "Thread": "threads",
    "capture_stderr": "capture",
    "capture_stdout": "capture",
    "cell_id": "notebook_api",
    "current_thread": "threads",
    "detached": "threads",
    "html": "values",
    "md": "values",
    "mime": "values",
    "output": "notebook_api",
    "progress_bar": "status",
    "redirect_stderr": "capture",
    "redirect_stdout": "capture",
    "register_formatter": "formatting",
    "running_in_kernel": "notebook_api",
    "spinner": "status",
    "state": "state",
    "stop": "stop",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".runner.{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
