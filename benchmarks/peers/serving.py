"""The driver's side of a measurement: answer the harness, one JSON line for each it sends.

The harness sends `{"workload": name, "parameters": {...}}`; the answer is the figures, or
`{"failure": reason}`. Answers go out on a private descriptor: what a kernel or a library writes to
standard output is thrown away. Only the standard library is imported, so that this runs in any
peer's environment.
"""

import asyncio
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any


def serve(measure: Callable[..., Coroutine[Any, Any, dict[str, Any]]], distributions: list[str]) -> None:
    """Answer with `await measure(workload, **parameters)` until standard input ends.

    The first answer, unasked, is the versions of `distributions`.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    answers.write(json.dumps({name: version(name) for name in distributions}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        gc.collect()
        try:
            figures = asyncio.run(measure(request["workload"], **request["parameters"]))
        except Exception as error:
            traceback.print_exc()
            figures = {"failure": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(figures) + "\n")
