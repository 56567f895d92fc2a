"""One run of a cell in a worker process."""

import codecs
from collections.abc import Callable
from typing import Any

from ....protocol.events import ConsoleCleared, ConsoleWritten
from ....protocol.notebook import Stream
from ...attribution.context import Execution
from ...output.output_list import OutputList
from ..place import StateSet


class HostedExecution(Execution):
    """A run that reports its text, items and state updates to the notebook."""

    __slots__ = ("_decoders", "_pickle", "report")

    def __init__(
        self,
        cell: str,
        run: int,
        outputs: OutputList,
        where: str,
        report: Callable[[Any], object],
        pickle: Callable[[Any], bytes],
    ) -> None:
        super().__init__(cell, run, outputs)
        self.where = where
        #: Takes reports from any thread.
        self.report = report
        self._pickle = pickle
        self._decoders: dict[Stream, codecs.IncrementalDecoder] = {}

    def write(self, stream: Stream, data: bytes) -> None:
        """Report text; one thread at a time calls this for each stream."""
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        if not self.retired and (text := decoder.decode(data)):
            self.report(ConsoleWritten(self.cell, self.run, stream, text))

    def clear_console(self) -> None:
        """Report that both streams are empty."""
        if not self.retired:
            self.report(ConsoleCleared(self.cell, self.run, "stdout"))
            self.report(ConsoleCleared(self.cell, self.run, "stderr"))

    def set_state(self, state: str, update: object) -> None:
        """Report that the cell sets a state to a value, or by a function of the old value."""
        if not self.retired:
            self.report(StateSet(self.cell, self.run, state, self._pickle(update)))
