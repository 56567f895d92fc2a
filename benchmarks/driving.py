"""The harness's side of a measurement: a driver process that is asked for figures.

A driver that takes too long or dies is killed with everything that it has started, and the answer is
the reason; a new one is started for the next question.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

Figures = dict[str, Any]


class Driver:
    """The driver of one peer, started when it is first asked."""

    def __init__(self, python: str, script: Path) -> None:
        self._command = [python, str(script)]
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.TemporaryDirectory(
            prefix="cellwire-benchmark-", ignore_cleanup_errors=True
        )
        self._errors: IO[bytes] | None = None
        #: The distributions that are measured and their versions.
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._directory.cleanup()

    def ask(self, workload: str, parameters: dict[str, Any], limit: float) -> Figures:
        """Return the figures of a workload, or `{"failure": reason}`; `limit` is in seconds."""
        if self._process is None:
            self._start()
            versions = self._answer(60)
            if "failure" in versions:
                return versions
            self.versions = versions
        assert self._process is not None
        assert self._process.stdin is not None
        question = {"workload": workload, "parameters": parameters}
        # A driver that has died meanwhile says so where the answer is due.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        return self._answer(limit)

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=self._directory.name,
            start_new_session=True,
        )

    def _answer(self, limit: float) -> Figures:
        assert self._process is not None
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], limit)[0]:
            line = self._process.stdout.readline()
            if line.endswith(b"\n"):
                return json.loads(line)
            reason = f"the driver ended: {self._last_words()}"
        else:
            reason = f"no answer in {limit:g} s"
        self._end()
        return {"failure": reason}

    def _last_words(self) -> str:
        assert self._errors is not None
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "silently"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if self._errors is not None:
            self._errors.close()
