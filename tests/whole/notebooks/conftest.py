"""Notebooks in real kernels: one kernel for all tests of a file, emptied for each."""

from collections.abc import Iterator

import pytest
from cellwire.protocol.blocking import KernelClient, launch_kernel
from support.book import Book


@pytest.fixture(scope="module")
def _strict_kernel() -> Iterator[KernelClient]:
    with launch_kernel(redefine="error") as client:
        yield client


@pytest.fixture(scope="module")
def _allowing_kernel() -> Iterator[KernelClient]:
    with launch_kernel(redefine="allow") as client:
        yield client


@pytest.fixture
def strict(_strict_kernel: KernelClient) -> Iterator[Book]:
    """An empty notebook in which a name has one definer."""
    book = Book(_strict_kernel)
    yield book
    book.empty()


@pytest.fixture
def allowing(_allowing_kernel: KernelClient) -> Iterator[Book]:
    """An empty notebook in which a name may have several definers."""
    book = Book(_allowing_kernel)
    yield book
    book.empty()
