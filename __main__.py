"""`python -m cellwire`: the command `cellwire`, for an interpreter whose scripts are not on the path."""

import sys

from .frontends.cli.main import main

sys.exit(main())
