"""The runner process: `python -P -m cellwire.runner LINK_FD TRACE_FD`, started by the kernel only."""

import sys

from .host import serve

if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
