"""Where a cell is to run, as the metadata say that notebook files and Jupyter's requests give it."""

from typing import Any, cast


def place_of(metadata: dict[str, Any]) -> str:
    """Return the variable that a cell runs on, as its metadata say; empty for the kernel itself.

    That is `on`, as a script writes it, `cellwire.on`, or a tag `on:variable`.
    """
    own, tags = metadata.get("cellwire"), metadata.get("tags")
    places = [metadata.get("on"), cast("dict[str, Any]", own).get("on") if isinstance(own, dict) else None]
    for tag in cast("list[Any]", tags) if isinstance(tags, list) else []:
        if isinstance(tag, str) and tag.startswith("on:"):
            places.append(tag.removeprefix("on:").strip())
    return next((place for place in places if isinstance(place, str) and place), "")
