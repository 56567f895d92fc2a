"""Interrupts while a debugger has stopped a cell.

At the prompt of `pdb` or of IPython's debugger the first interrupt of a cell that Jupyter runs ends the
debugger, and the cell goes on, as in other Jupyter kernels; each further one strikes the cell, which may ask
again and again. In other frontends the first one strikes the cell too. At a breakpoint of debugpy, which asks
no user, an interrupt strikes the cell as soon as it goes on.
"""

import os
import sys
import threading
import weakref
from functools import wraps
from typing import Any

from ..attribution.after_import import after_import
from ..attribution.context import Execution, current_execution
from ..execution.interrupts import Interrupts

_INTERRUPT = "_cellwire_interrupt"
#: How debugpy has it that a thread is not to stop.
_RUNS = 1


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
        after_import("pydevd", self._patch_debugpy)

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

    def _patch_debugpy(self, module: Any) -> None:
        wait, interrupts = module.PyDB.do_wait_suspend, self._interrupts
        interrupts.debugger = os.path.dirname(module.__file__) + os.sep

        @wraps(wait)
        def do_wait_suspend(*args: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return wait(*args, **options)
            before, interrupts.held = interrupts.held, sys._getframe()
            try:
                result = wait(*args, **options)
            finally:
                interrupts.held = before
            interrupts.let_go()
            return result

        module.PyDB.do_wait_suspend = do_wait_suspend
        before_striking = interrupts.before_striking

        def strike(*args: Any) -> None:
            _end_step()
            before_striking(*args)

        interrupts.before_striking = strike

    def _leaves(self) -> bool:
        """Whether the interrupt is for the debugger; it is over then."""
        execution = current_execution.get()
        if execution is None or "jupyter" not in execution.about or execution in self._left:
            return False
        self._left.add(execution)
        self._interrupts.take_back()
        return True


def _end_step() -> None:
    """Let debugpy forget a step of the main thread, whose end would stop what runs next."""
    step: Any = getattr(threading.main_thread(), "additional_info", None)
    if step is not None:
        step.pydev_step_cmd = step.pydev_original_step_cmd = -1
        step.pydev_step_stop = None
        step.pydev_state = _RUNS
        step.update_stepping_info()


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
