"""Files with parameters: a mapping of names to values, in YAML, JSON or TOML."""

import json
import os
import tomllib
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
            return json.loads(text)
        case ".toml":
            return tomllib.loads(text)
        case ".yaml" | ".yml":
            try:
                yaml = import_module("yaml")
            except ImportError as error:
                raise ValueError("PyYAML is needed to read it: pip install 'cellwire[cli]'") from error
            try:
                return yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ValueError(f"not YAML: {error}") from error
        case _:
            raise ValueError("the name must end with .yaml, .json or .toml")
