"""The command `cellwire jupyter`: writes what Jupyter needs to start the kernel."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `cellwire jupyter`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    install = commands.add_parser(
        "install", help="write the kernelspecs, so that Jupyter offers the kernel with this Python"
    )
    install.set_defaults(command=_install)
    place = install.add_mutually_exclusive_group()
    place.add_argument("--user", action="store_true", help="for the user, in all environments; the default")
    place.add_argument("--sys-prefix", action="store_true", help="for the environment of this Python")
    place.add_argument("--prefix", metavar="PATH", help="for the environment at PATH")
    install.add_argument("--name", type=_name, default="", help="a name instead of cellwire")
    install.add_argument("--display-name", default="", metavar="TEXT", help="what Jupyter shows")


def _install(options: argparse.Namespace) -> int:
    from ..jupyter.kernelspecs import install, prefix_directory, user_directory

    prefix: str | None = sys.prefix if options.sys_prefix else options.prefix
    directory: Path = user_directory() if prefix is None else prefix_directory(prefix)
    for written in install(directory, options.name, options.display_name):
        sys.stdout.write(f"{written}\n")
    if find_spec("IPython") is None:
        sys.stderr.write(
            f"cellwire: {sys.executable} has no IPython, which magics, `!`, `?` and `display` need: "
            "pip install 'cellwire[jupyter]'\n"
        )
    return 0


def _name(text: str) -> str:
    if set(text.lower()) - set("abcdefghijklmnopqrstuvwxyz0123456789._-"):
        raise argparse.ArgumentTypeError(f"{text!r}: letters of ASCII, digits and . _ - alone")
    return text
