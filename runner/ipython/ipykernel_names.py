"""What libraries take for the sign of a Jupyter kernel: the shell's module, `ipykernel.zmqshell`.

tqdm looks whether it is imported, and plotly where the shell's class is from. Without it tqdm would draw its
bar as text, and plotly would put its whole library into the notebook. It is there once a Jupyter client has
executed something, and only the shell is in it; `ipykernel` itself is not touched.
"""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULE = "ipykernel.zmqshell"


class _Shells(ModuleType):
    def __init__(self, make_shell: Callable[[], object]) -> None:
        super().__init__(MODULE)
        self.__spec__ = ModuleSpec(MODULE, None)
        self._make_shell = make_shell

    def __getattr__(self, name: str) -> Any:
        if name != "ZMQInteractiveShell":
            raise AttributeError(f"{self.__name__} of cellwire has no {name!r}")
        return type(self._make_shell())


def give_sign(make_shell: Callable[[], object]) -> None:
    """Put the module there, unless user code has imported it."""
    sys.modules.setdefault(MODULE, _Shells(make_shell))
