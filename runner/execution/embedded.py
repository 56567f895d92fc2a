"""What an engine needs to know if its notebook is embedded in a cell of another one."""

from collections.abc import Callable
from typing import Final, NamedTuple

from ..api.state import StateChange
from ..attribution.context import Embedding


class Embedded(NamedTuple):
    """How an embedded notebook differs from others; the defaults are for one that is not embedded."""

    #: Where it is shown.
    embedding: Embedding | None = None
    #: Called with each update of its states, for the notebook around it to follow; None if there is none.
    forward: Callable[[StateChange], object] | None = None


NOT_EMBEDDED: Final = Embedded()
