"""The runner process: `python -P -m cellwire.runner LINK CONTROL SHARED`, three inherited descriptors."""

import sys

from .host import serve

if __name__ == "__main__":
    serve(*map(int, sys.argv[1:4]))
