"""Kernels whose cells are written for IPython."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cellwire.protocol.blocking import launch_kernel
from support.book import Book


@pytest.fixture
def open_book(tmp_path: Path) -> Iterator[Callable[..., Book]]:
    """Start kernels with the options given, in a folder of the test's own."""
    with ExitStack() as kernels:

        def start(**options) -> Book:
            given = {"cwd": tmp_path, "dialect": "ipython", "redefine": "allow", **options}
            return Book(kernels.enter_context(launch_kernel(**given)))

        yield start


@pytest.fixture
def book(open_book: Callable[..., Book]) -> Book:
    return open_book()
