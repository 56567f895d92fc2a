"""Files with parameters: a mapping of names to values, in YAML, JSON or TOML."""

import json
import os
import tomllib
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from ...protocol.errors import NotebookFileError


def read_parameters(path: str) -> dict[str, object]:
    """Return the values in the file at `path`, by name.

    Raises: NotebookFileError if the file cannot be read or does not hold such a mapping.
    """
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
        values = _parsed(path, text)
    except OSError as error:
        raise NotebookFileError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise NotebookFileError(f"{path}: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise NotebookFileError(f"{path}: must hold names and their values, not a {type(values).__name__}")
    named = cast("dict[object, object]", values)
    for name in named:
        if not (isinstance(name, str) and name.isidentifier()):
            raise NotebookFileError(f"{path}: {name!r} is not a name")
    return cast("dict[str, object]", named)


def _parsed(path: str, text: str) -> Any:
    match os.path.splitext(path)[1].lower():
        case ".json":
            return _read_as("JSON", json.loads, text)
        case ".toml":
            return _read_as("TOML", tomllib.loads, text)
        case ".yaml" | ".yml":
            try:
                yaml = import_module("yaml")
            except ImportError as error:
                raise ValueError("PyYAML is needed to read it: pip install 'cellwire[cli]'") from error
            return _read_as("YAML", yaml.safe_load, text, yaml.YAMLError)
        case _:
            raise ValueError("the name must end with .yaml, .json or .toml")


def _read_as(
    language: str, read: Callable[[str], Any], text: str, wrong: type[Exception] = ValueError
) -> Any:
    try:
        return read(text)
    except wrong as error:
        raise ValueError(f"not {language}: {error}") from error
