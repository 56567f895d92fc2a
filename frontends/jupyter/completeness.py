"""Whether a source is complete, for consoles that decide what the Enter key does. Does not use IPython."""

import ast
import re
import warnings
from codeop import CommandCompiler

_INDENTATION = "    "
_COMPOUND = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)
#: A line of IPython's: a magic, a command or a `?`, alone or as an assigned value.
_LINE = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?\??\s*)$")
_VALUE = re.compile(r"^(\s*[\w, ]+=\s*)[%!].*$")


def completeness(source: str) -> tuple[str, str]:
    """Return `complete`, `incomplete` or `invalid`, and what the next line should begin with."""
    if source.lstrip().startswith("%%"):
        return ("complete" if source.endswith("\n\n") else "incomplete"), ""
    if source.rstrip(" \t").endswith("\\"):
        return "incomplete", ""
    text = "\n".join(_VALUE.sub(r"\1None", _LINE.sub(r"\1pass", line)) for line in source.split("\n"))
    if not text.strip():
        return "complete", ""
    compiler = CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compiler(text, "<input>", "exec")
            body = ast.parse(text).body if code is not None else []
    except (SyntaxError, OverflowError, ValueError, RecursionError, MemoryError):
        return "invalid", ""
    lines = text.split("\n")
    if code is None:
        return "incomplete", _next_indentation(lines)
    # A block goes on until an empty line ends it.
    if body and isinstance(body[-1], _COMPOUND) and lines[-1].strip() and body[-1].lineno < len(lines):
        return "incomplete", _next_indentation(lines)
    return "complete", ""


def _next_indentation(lines: list[str]) -> str:
    last = next(line for line in reversed(lines) if line.strip())
    code = last.rstrip()
    indentation = code[: len(code) - len(code.lstrip())]
    return indentation + (_INDENTATION if code.endswith(":") else "")
