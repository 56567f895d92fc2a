"""The numbers of cells, and what IPython remembers of them: `In`, `Out`, `_`, `_i` and the like.

A frontend that numbers the cells itself submits the number as `count` under `jupyter` in `Cell.about`, with
`store`, which says whether the run is remembered at all. Otherwise each run gets the next number.
"""

from typing import Any

from ..attribution.context import NO_VALUE, Execution

#: How many values are kept, the newest ones.
_MOST = 1000


class History:
    """Inputs and outputs by number. Once there is a shell, these are the shell's own objects."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self.count = 0
        self.inputs: list[str] = [""]
        self.raw: list[str] = [""]
        self.outputs: dict[int, Any] = {}
        # The shell's own, once there is one.
        self._manager: Any = None
        # What this bound to names that a cell may bind too.
        self._given: dict[str, Any] = {}
        self._sources: dict[Execution, tuple[str, str]] = {}

    def install(self) -> None:
        """Bind the names that cells have from the start."""
        self._names.update(_ih=self.inputs, In=self.inputs, _oh=self.outputs, Out=self.outputs)
        for name in ("_", "__", "___", "_i", "_ii", "_iii"):
            self._give(name, "")

    def join(self, manager: Any) -> None:
        """Make this the history of a new shell."""
        for mine, its in ((self.inputs, manager.input_hist_parsed), (self.raw, manager.input_hist_raw)):
            its[:] = mine
        manager.output_hist.update(self.outputs)
        self._manager = manager
        manager.db_input_cache += [
            (number, *texts) for number, texts in enumerate(zip(self.inputs, self.raw, strict=True)) if number
        ]
        self.inputs, self.raw, self.outputs = (
            manager.input_hist_parsed,
            manager.input_hist_raw,
            manager.output_hist,
        )
        self._names.update(_ih=self.inputs, In=self.inputs, _oh=self.outputs, Out=self.outputs)

    def begin(self, execution: Execution, source: str, raw: str) -> None:
        """Note the input of a cell that begins."""
        about: dict[str, Any] = execution.about.get("jupyter", {})
        self._sources[execution] = (source, raw)
        if not about.get("store", True):
            return
        self.count = about.get("count", self.count + 1)
        for inputs, text in ((self.inputs, source), (self.raw, raw)):
            inputs += [""] * (self.count + 1 - len(inputs))
            inputs[self.count] = text.rstrip("\n")
        if self._manager is not None:
            # The shell writes its database from these; `%history` reads it.
            self._manager.db_input_cache.append((self.count, source.rstrip("\n"), raw.rstrip("\n")))
        before = self.raw[self.count - 1 : self.count]
        self._give("_iii", self._given["_ii"])
        self._give("_ii", self._given["_i"])
        self._give("_i", before[0] if before else "")
        self._names[f"_i{self.count}"] = self.raw[self.count]

    def end(self, execution: Execution, value: object) -> None:
        """Note the value of a cell that was shown."""
        about: dict[str, Any] = execution.about.get("jupyter", {})
        if not about.get("store", True) or value is self.outputs:
            return
        count = about.get("count", self.count)
        for name, given in (("___", self._given["__"]), ("__", self._given["_"]), ("_", value)):
            self._give(name, given)
        self._names[f"_{count}"] = self.outputs[count] = value
        while len(self.outputs) > _MOST:
            oldest = next(iter(self.outputs))
            del self.outputs[oldest]
            self._names.pop(f"_{oldest}", None)

    def is_silent(self, execution: Execution) -> bool:
        """Return whether the frontend asked for a run that is not remembered."""
        return not execution.about.get("jupyter", {}).get("store", True)

    def info(self, execution: Execution) -> Any:
        """Return what IPython passes to listeners when a cell begins."""
        from IPython.core.interactiveshell import ExecutionInfo

        source, raw = self._sources.get(execution, ("", ""))
        info: Any = ExecutionInfo(raw, not self.is_silent(execution), False, True, execution.cell)
        info.transformed_cell = source
        return info

    def result(self, execution: Execution) -> Any:
        """Return what IPython passes to listeners when a cell has ended, and forget its source."""
        from IPython.core.interactiveshell import ExecutionResult

        result: Any = ExecutionResult(self.info(execution))
        self._sources.pop(execution, None)
        result.execution_count = self.count
        result.error_in_exec = execution.error
        result.result = None if execution.value is NO_VALUE else execution.value
        return result

    def forget(self, execution: Execution) -> None:
        """Forget the source of a cell that has ended."""
        self._sources.pop(execution, None)

    def _give(self, name: str, value: Any) -> None:
        """Bind one of IPython's names, unless a cell has bound it to something of its own."""
        if name not in self._given or self._names.get(name, value) is self._given[name]:
            self._names[name] = value
        self._given[name] = value
