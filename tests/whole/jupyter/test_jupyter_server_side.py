"""Clients that execute the cells of a page in its server: their requests name no cell."""

from cellwire.protocol.blocking import connect
from support.jupyter import Jupyter, started
from support.page import Page, opened
from support.waiting import PATIENCE, wait_until


def test_input_asks_a_client_that_connects_to_the_channel_after_its_request(kernel: Jupyter) -> None:
    file = kernel.ask("kernel_info_request")["banner"].rpartition(" ")[2]
    client = kernel.manager.blocking_client()
    client.start_channels(stdin=False)
    try:
        client.wait_for_ready(timeout=PATIENCE)
        with connect(file) as native:
            running = client.execute("input('name? ')", allow_stdin=True)
            wait_until(lambda: native.notebook.inputs)
        # The kernel handles what came before this.
        kernel.ask("kernel_info_request")
        assert client.stdin_channel.is_alive()
        asked = client.get_stdin_msg(timeout=PATIENCE)
        assert asked["content"] == {"prompt": "name? ", "password": False}
        assert asked["parent_header"]["msg_id"] == running
        client.input("Ada")
        reply = client.get_shell_msg(timeout=PATIENCE)
        assert (reply["parent_header"]["msg_id"], reply["content"]["status"]) == (running, "ok")
    finally:
        client.stop_channels()


def test_a_display_can_be_updated_many_requests_later(kernel: Jupyter) -> None:
    kernel.run("from IPython.display import display\nhandle = display('old', display_id='shown long ago')")
    for _ in range(64):
        kernel.run("pass")
    [update] = kernel.run("handle.update('new')").of("update_display_data")
    assert update["transient"] == {"display_id": "shown long ago"}
    assert update["data"] == {"text/plain": "'new'"}


def test_a_reloaded_page_is_told_what_it_will_not_see_if_the_server_gives_all_pages_one_identity() -> None:
    with started() as jupyter, opened(jupyter) as page:
        page.run_all(a="x = 1", b="x + 1")
        client = jupyter.manager.blocking_client()
        client.session.session = jupyter.client.session.session
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE)
            client.session.session = "the page that was loaded again"
            again = Page(Jupyter(jupyter.manager, client), page.native)
            assert again.run("a", "x = 2") == ["a"]
            wait_until(lambda: again.shows("a"))
            assert again.shows("a")[0].startswith("↻ 1 cell that depends on this ran before")
        finally:
            client.stop_channels()
