"""What the kernel's processes leave out when they start.

msgspec takes three names from typing_extensions if that is installed. From Python 3.11 on they are those of
`typing`, and the import costs 1 MB and more time than the rest of msgspec.
"""

import sys


def import_msgspec() -> None:
    """Import msgspec without typing_extensions, which whoever needs it imports later on."""
    if "typing_extensions" in sys.modules:
        return
    # What an import takes for "there is no such module".
    sys.modules["typing_extensions"] = None  # pyright: ignore[reportArgumentType]
    try:
        import msgspec as msgspec
    finally:
        del sys.modules["typing_extensions"]
