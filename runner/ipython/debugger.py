"""An interrupt at the prompt of IPython's debugger ends the cell, as at the prompt of `pdb`.

By itself the debugger would prompt again, or end its session and let the cell go on.
"""

from functools import wraps
from typing import Any

from ..attribution.after_import import after_import

_INTERRUPT = "_cellwire_interrupt"


def install_ipython_debugger() -> None:
    """Let an interrupt pass through IPython's debugger; called once, before user code."""
    after_import("IPython.core.debugger", _patch)


def _patch(module: Any) -> None:
    def ask(self: Any) -> None:
        try:
            self.cmdloop()
        except KeyboardInterrupt as error:
            setattr(self, _INTERRUPT, error)
            raise

    interaction = module.Pdb.interaction

    @wraps(interaction)
    def interact(self: Any, *args: Any, **options: Any) -> Any:
        result = interaction(self, *args, **options)
        error: KeyboardInterrupt | None = self.__dict__.pop(_INTERRUPT, None)
        if error is not None:
            raise error
        return result

    module.Pdb._cmdloop = module.InterruptiblePdb._cmdloop = ask
    module.Pdb.interaction = interact
