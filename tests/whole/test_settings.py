"""What a kernel is started with, beside what other tests start it with."""

import pytest
from cellwire.protocol.blocking import launch_kernel
from support.book import Book


def test_a_kernel_may_be_lazy_from_the_start():
    with launch_kernel(mode="lazy") as client:
        book = Book(client)
        assert client.notebook.mode == "lazy"
        book.run(a="x = 1", b="x")
        book.run(a="x = 2")
        assert (book["b"].stale, book.shows("b")) == (True, "1")
        client.restart_runner()
        assert client.notebook.mode == "lazy"


def test_extensions_are_called_with_the_host_by_each_runner(tmp_path):
    (tmp_path / "extending.py").write_text(
        "def install(host):\n    host.engine.globals['added'] = 'by an extension'\n"
    )
    with launch_kernel(cwd=tmp_path, extensions=["extending:install"]) as client:
        book = Book(client)
        for _ in range(2):
            book.run(a="added")
            assert book.shows("a") == "'by an extension'"
            client.restart_runner()


@pytest.mark.parametrize("extension", ["missing_for_a_test:install", "json:missing", "json:loads"])
def test_an_extension_that_fails_is_reported_and_keeps_nothing_from_running(extension):
    with launch_kernel(extensions=[extension]) as client:
        book = Book(client)
        book.run(a="1 + 1")
        assert book.shows("a") == "2"
        text = client.notebook.console.text("stderr")
        assert f"cellwire: the extension {extension} could not be loaded" in text


def test_a_kernel_for_python_loads_nothing_of_the_room_for_ipython():
    with launch_kernel() as client:
        book = Book(client)
        book.run(a="import sys; [name for name in sys.modules if 'ipython' in name.lower()]")
        book.run(b="%time x")
        assert book.shows("a") == "['cellwire.runner.integrations.ipython_display']"
        assert book.error("b").hint.endswith('with dialect="ipython"')
