"""An interrupt at the prompt of a debugger, `pdb` or IPython's own.

The first one that a cell of Jupyter gets there ends the debugger, and the cell goes on: other kernels of
Jupyter do the same. Any further one is for the cell, which may ask again and again. So is the first one in
another frontend.
"""

import weakref
from functools import wraps
from typing import Any

from ..attribution.after_import import after_import
from ..attribution.context import Execution, current_execution
from ..execution.interrupts import Interrupts

_INTERRUPT = "_cellwire_interrupt"


class Debuggers:
    """What an interrupt does to debuggers that wait for a command."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        # Cells that have left a debugger by an interrupt.
        self._left: weakref.WeakSet[Execution] = weakref.WeakSet()

    def install(self) -> None:
        """Have interrupts leave debuggers; called once, before user code."""
        after_import("pdb", self._patch)
        after_import("IPython.core.debugger", _let_pass)

    def _patch(self, module: Any) -> None:
        interaction = module.Pdb.interaction

        @wraps(interaction)
        def interact(debugger: Any, *args: Any, **options: Any) -> Any:
            try:
                return interaction(debugger, *args, **options)
            except KeyboardInterrupt as error:
                if not self._leaves():
                    # IPython's debugger would keep it for itself.
                    setattr(debugger, _INTERRUPT, error)
                    raise
            debugger.message("--KeyboardInterrupt--")
            debugger.forget()
            debugger.clear_all_breaks()
            debugger.set_continue()
            return None

        module.Pdb.interaction = interact

    def _leaves(self) -> bool:
        """Whether the interrupt is for the debugger; it is over then."""
        execution = current_execution.get()
        if execution is None or "jupyter" not in execution.about or execution in self._left:
            return False
        self._left.add(execution)
        self._interrupts.take_back()
        return True


def _let_pass(module: Any) -> None:
    interaction = module.Pdb.interaction

    @wraps(interaction)
    def interact(self: Any, *args: Any, **options: Any) -> Any:
        result = interaction(self, *args, **options)
        error: KeyboardInterrupt | None = self.__dict__.pop(_INTERRUPT, None)
        if error is not None:
            raise error
        return result

    module.Pdb.interaction = interact
    # Theirs ask again.
    module.Pdb._cmdloop = module.InterruptiblePdb._cmdloop = module.Pdb.cmdloop
