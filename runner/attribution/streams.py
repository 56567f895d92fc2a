"""Replacements of `sys.stdout` and `sys.stderr` that send each text with the run that wrote it.

They behave like the text files they replace: same attributes, same errors, a `buffer` for bytes. The
differences are few. They cannot be closed: a library that closes the stream it was given must not silence
the cell. Their encoding is UTF-8 whatever `reconfigure` says, as the kernel reads UTF-8; a character
without a UTF-8 form is escaped. They buffer nothing, so `flush` has nothing to do unless the stream is
redirected.
"""

import codecs
import io
from collections.abc import Iterable
from typing import Any

from ...protocol.notebook import Stream
from ..output.emitter import Emitter
from .context import current_execution
from .redirection import redirection, redirections

DESCRIPTORS: dict[Stream, int] = {"stdout": 1, "stderr": 2}


class ConsoleStream(io.TextIOBase):
    """A text stream that writes `(execution, bytes)` to `emitter`."""

    mode = "w"
    #: `print` writes all of its text in one call.
    wants_whole_lines = True
    #: A redirection need not replace this stream, which looks for one at each write.
    follows_redirection = True

    def __init__(self, stream: Stream, emitter: Emitter) -> None:
        self._stream: Stream = stream
        self._emit = emitter.emit
        self._encoding = "utf-8"
        self._errors = "backslashreplace"
        self._line_buffering = True
        self.name = f"<{stream}>"
        self.buffer: ConsoleBuffer = ConsoleBuffer(self.name, self._write_bytes, self.fileno)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} mode='w' encoding={self._encoding!r}>"

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._encoding

    @property
    def errors(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._errors

    @property
    def closed(self) -> bool:
        return False

    @property
    def line_buffering(self) -> bool:
        return self._line_buffering

    @property
    def write_through(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if redirections.get() and (target := redirection(self._stream)) is not None:
            target.write(text)
            return len(text)
        execution = current_execution.get()
        if execution is None or not execution.retired:
            try:
                data = text.encode()
            except UnicodeEncodeError:
                data = text.encode("utf-8", self._errors)
            if data:
                self._emit((execution, data))
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        target = redirection(self._stream)
        if target is not None:
            target.flush()

    def fileno(self) -> int:
        return DESCRIPTORS[self._stream]

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self.flush()

    def detach(self) -> Any:
        return self.buffer

    def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """Change the attributes; of these, only `errors` has an effect."""
        if encoding is not None:
            codecs.lookup(encoding)
            self._encoding = encoding
        if errors is not None:
            codecs.lookup_error(errors)
            self._errors = errors
        if line_buffering is not None:
            self._line_buffering = line_buffering

    def _write_bytes(self, data: bytes) -> None:
        target = redirection(self._stream)
        execution = current_execution.get()
        if target is not None:
            target.write(data.decode("utf-8", "replace"))
        elif data and (execution is None or not execution.retired):
            self._emit((execution, data))


class ConsoleBuffer(io.BufferedIOBase):
    """The `buffer` of a `ConsoleStream`, for bytes."""

    mode = "wb"

    def __init__(self, name: str, write_bytes: Any, fileno: Any) -> None:
        self.name = name
        self._write_bytes = write_bytes
        self._fileno = fileno
        #: There is no layer below this one.
        self.raw = self

    @property
    def closed(self) -> bool:
        return False

    def write(self, data: Any, /) -> int:
        if isinstance(data, str):
            raise TypeError("a bytes-like object is required, not 'str'")
        content = bytes(memoryview(data).cast("B") if memoryview(data).contiguous else data)
        self._write_bytes(content)
        return len(content)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        return self._fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def detach(self) -> Any:
        return self
