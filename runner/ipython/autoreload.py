"""Modules that `%autoreload` is to reload: cells that imported them are stale once their files change.

The magic itself reloads a module when the next cell begins. While nothing runs, the files are looked at about
once a second, as long as autoreload is on.
"""

from typing import Any


class Watch:
    """Looks at the files of modules that cells have imported."""

    def __init__(self, bridge: Any) -> None:
        self._bridge = bridge

    def look(self, shell: Any) -> None:
        """Begin to look, if autoreload is on and nothing looks yet."""
