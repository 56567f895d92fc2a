"""Requests of Jupyter clients to a real kernel, and what comes of them."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from support.jupyter import Jupyter, attach, idle
from support.waiting import wait_until


def test_an_execution_is_published_in_its_order(kernel: Jupyter) -> None:
    ran = kernel.run("print('a')\n1 + 1")
    assert [message["msg_type"] for message in ran.messages] == [
        "status",
        "execute_input",
        "stream",
        "execute_result",
        "status",
    ]
    assert ran.reply["status"] == "ok"
    [result] = ran.of("execute_result")
    assert result["data"] == {"text/plain": "2"}
    assert result["execution_count"] == ran.reply["execution_count"]


def test_the_count_grows_for_what_history_has(kernel: Jupyter) -> None:
    count = kernel.run("0").reply["execution_count"]
    assert kernel.run("0", store_history=False).reply["execution_count"] == count
    assert kernel.run("0", silent=True).reply["execution_count"] == count
    assert kernel.run("   ").reply["execution_count"] == count
    assert kernel.run("0").reply["execution_count"] == count + 1


def test_a_silent_run_publishes_its_text_alone(kernel: Jupyter) -> None:
    ran = kernel.run("print('loud')\n5", silent=True)
    assert ran.kinds == ["stream"]
    assert not ran.of("execute_input")


def test_an_error_names_the_number_of_its_cell(kernel: Jupyter) -> None:
    ran = kernel.run("def f():\n    1 / 0\nf()", cell="4f0b7a2e-1")
    assert ran.reply["ename"] == "ZeroDivisionError"
    [error] = ran.of("error")
    assert error["traceback"] == ran.reply["traceback"]
    text = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error["traceback"]))
    assert f"Cell In[{ran.reply['execution_count']}], line 2" in text
    assert "4f0b7a2e-1" not in str(error)


def test_a_missing_name_is_explained_with_the_numbers_of_cells(kernel: Jupyter) -> None:
    kernel.run("lost_one = 1", cell="definer")
    kernel.run("lost_one + 1", cell="reader")
    count = kernel.run("found = 1", cell="definer").reply["execution_count"]
    [error] = kernel.run("lost_one + 1", cell="reader").of("error")
    assert error["evalue"] == f"name 'lost_one' is not defined: cell [{count}] no longer defines it"
    assert error["traceback"][-1].endswith(f"cell [{count}] no longer defines it")


def test_a_request_for_a_cell_that_just_follows_shows_its_own_run_alone(kernel: Jupyter) -> None:
    source = "import time\ntime.sleep(0.2)\nprint('paced', pace)"
    kernel.run("pace = 1", cell="pace")
    kernel.run(source, cell="paced")
    kernel.run("pace = 2", cell="pace")
    assert kernel.run(source, cell="paced").text() == "paced 2\n"


def test_pages_and_next_inputs_are_payloads_of_the_reply(kernel: Jupyter) -> None:
    [page] = kernel.run("len?").reply["payload"]
    assert (page["source"], page["start"]) == ("page", 0)
    assert "Return the number of items" in page["data"]["text/plain"]
    ran = kernel.run("for i in range(3): get_ipython().set_next_input(f'next {i}')")
    assert ran.reply["payload"] == [{"source": "set_next_input", "text": "next 2", "replace": False}]
    assert ran.kinds == []


def test_magics_and_commands_run(kernel: Jupyter) -> None:
    assert kernel.run("%time 6 * 7").result == "42"
    assert kernel.run("!echo said").text() == "said\n"
    kernel.run("7 * 6")
    assert kernel.run("_ + 1").result == "43"
    reply = kernel.ask("complete_request", {"code": "%timei", "cursor_pos": 6})
    assert ["%timei"[: reply["cursor_start"]] + match for match in reply["matches"]] == ["%timeit"]


def test_a_magic_that_is_used_wrongly_says_so_in_one_line(kernel: Jupyter) -> None:
    ran = kernel.run("%no_such_magic")
    assert (ran.reply["status"], ran.kinds) == ("error", ["stream"])
    assert ran.text("stderr") == "UsageError: Line magic function `%no_such_magic` not found.\n"


def test_libraries_take_it_for_a_kernel_of_jupyter(kernel: Jupyter) -> None:
    ran = kernel.run("from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass")
    [shown] = ran.of("display_data")
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    # It is where plotly looks.
    assert kernel.run("type(get_ipython())").result == "ipykernel.zmqshell.ZMQInteractiveShell"
    ran = kernel.run("from ipykernel.zmqshell import ZMQInteractiveShell as Z; isinstance(get_ipython(), Z)")
    assert ran.result == "True"


def test_a_syntax_error_is_published_as_any_other(kernel: Jupyter) -> None:
    for cell in (None, "syntax"):
        ran = kernel.run("x = = 1", cell=cell)
        assert ran.kinds == ["error"]
        assert ran.reply["ename"] == "SyntaxError"


def test_an_error_aborts_what_waits(kernel: Jupyter) -> None:
    first = kernel.execute("1 / 0")
    others = [kernel.execute("print('no')") for _ in range(3)]
    assert kernel.ran(first).reply["status"] == "error"
    for other in others:
        ran = kernel.ran(other)
        assert ran.reply["status"] == "aborted"
        assert ran.kinds == []
    assert kernel.run("1").reply["status"] == "ok"


def test_an_error_that_need_not_stop_aborts_nothing(kernel: Jupyter) -> None:
    first = kernel.execute("1 / 0", stop_on_error=False)
    second = kernel.execute("'yes'")
    assert kernel.ran(first).reply["status"] == "error"
    assert kernel.ran(second).result == "'yes'"


def test_expressions_are_evaluated_after_the_code(kernel: Jupyter) -> None:
    expressions = {"a": "x + 1", "none": "None", "bad": "1 / 0", "statement": "y = 1"}
    results = kernel.run("x = 1", user_expressions=expressions).reply["user_expressions"]
    assert results["a"]["data"] == {"text/plain": "2"}
    assert results["none"]["data"] == {"text/plain": "None"}
    assert results["bad"]["ename"] == "ZeroDivisionError"
    assert results["statement"]["ename"] == "SyntaxError"
    assert kernel.run("", user_expressions={"a": "x"}).reply["user_expressions"]["a"]["status"] == "ok"


def test_print_and_display_come_in_order(kernel: Jupyter) -> None:
    kernel.run("from IPython.display import display")
    ran = kernel.run("for i in range(3):\n    print(f'text {i}')\n    display(i)")
    assert ran.shown == ["text 0\n", "0", "text 1\n", "1", "text 2\n", "2"]


def test_a_display_id_reaches_a_cell_that_ran_before(kernel: Jupyter) -> None:
    shown = kernel.run("from IPython.display import display\ndisplay('old', display_id='x');", cell="shows")
    [display] = shown.of("display_data")
    assert display["transient"] == {"display_id": "x"}
    updated = kernel.run("from IPython.display import update_display\nupdate_display('new', display_id='x')")
    [update] = updated.of("update_display_data")
    assert update["transient"] == {"display_id": "x"}
    assert update["data"] == {"text/plain": "'new'"}
    assert kernel.run("update_display(1, display_id='never')").kinds == []


def test_clearing_may_wait_for_what_follows(kernel: Jupyter) -> None:
    kernel.run("from IPython.display import clear_output, display")
    ran = kernel.run("print('old')\ndisplay('old')\nclear_output(wait=True)\nprint('new')")
    assert ran.of("clear_output") == [{"wait": True}]
    assert ran.shown == ["old\n", "'old'", "new\n"]
    assert kernel.run("clear_output()").of("clear_output") == [{"wait": False}]


def test_what_is_left_is_shown_again_when_an_item_is_removed(kernel: Jupyter) -> None:
    ran = kernel.run(
        "import cellwire as cw\nprint('text')\nhandle = cw.output.append('gone')\ncw.output.append('kept')\n"
        "handle.remove();"
    )
    kinds = [message["msg_type"] for message in ran.messages]
    cleared = kinds.index("clear_output")
    assert ran.messages[cleared]["content"] == {"wait": True}
    assert ran.messages[cleared + 1]["content"] == {"name": "stdout", "text": "text\n"}
    assert ran.shown[-2:] == ["text\n", "'kept'"]


def test_text_stays_when_the_items_alone_are_cleared(kernel: Jupyter) -> None:
    ran = kernel.run(
        "import cellwire as cw\nprint('text')\ncw.output.append(1)\ncw.output.clear()\nprint('more')"
    )
    assert "".join(ran.shown) == "text\n1text\nmore\n"


def test_a_thread_writes_under_its_own_request(kernel: Jupyter) -> None:
    first = kernel.run(
        "import threading\nproceed = threading.Event()\n"
        "def late():\n    proceed.wait()\n    print('from the thread')\n"
        "threading.Thread(target=late).start()"
    )
    second = kernel.run("proceed.set()")
    [*_, late] = kernel.until(first.id, lambda message: message["msg_type"] == "stream")
    assert late["content"]["text"] == "from the thread\n"
    assert second.kinds == []


def test_an_anonymous_run_makes_nothing_stale(kernel: Jupyter) -> None:
    kernel.run("base = 1", cell="base")
    kernel.run("print('dependent', base)", cell="dependent")
    kernel.run("base = 2")
    assert kernel.run("print('once')", cell="other").shown == ["once\n"]
    assert kernel.run("base").result == "2"


def test_stale_ancestors_run_first_and_are_drawn_in_their_place(kernel: Jupyter) -> None:
    above = kernel.run("above = 1", cell="above")
    below = kernel.run("below = above + 1\nprint('below', below)", cell="below")
    last = kernel.run("print('last', below)", cell="last")
    assert last.shown == ["last 2\n"]
    kernel.run("above = 10", cell="above")
    ran = kernel.run("print('last', below)", cell="last")
    assert ran.shown == ["last 11\n"]
    redrawn = kernel.until(below.id, idle)
    kinds = [message["msg_type"] for message in redrawn]
    assert kinds == ["status", "clear_output", "stream", "status"]
    assert redrawn[2]["content"]["text"] == "below 11\n"
    assert above.kinds == []


def test_a_cell_that_was_cut_and_pasted_loses_nothing(kernel: Jupyter) -> None:
    kernel.run("cut = 1", cell="cut")
    assert kernel.run("cut + 1", cell="reader", deleted=["cut"]).result == "2"
    kernel.run("cut = 5", cell="cut")
    assert kernel.run("cut + 1", cell="reader").result == "6"


def test_completions_have_types(kernel: Jupyter) -> None:
    kernel.run("import collections\ndef fun_one(): pass\nfun_two = 2")
    reply = kernel.ask("complete_request", {"code": "1 + fun_", "cursor_pos": 8})
    assert sorted(reply["matches"]) == ["fun_one", "fun_two"]
    assert (reply["cursor_start"], reply["cursor_end"]) == (4, 8)
    kinds = {i["text"]: i["type"] for i in reply["metadata"]["_jupyter_types_experimental"]}
    assert kinds["fun_one"] == "function"
    assert kernel.ask("complete_request", {"code": "no_such_name_", "cursor_pos": 3})["matches"] == []


def test_inspection_has_the_source_in_detail(kernel: Jupyter) -> None:
    kernel.run("def documented():\n    'What it does.'\n    return 17")
    content = {"code": "documented", "cursor_pos": 4, "detail_level": 0}
    reply = kernel.ask("inspect_request", content)
    assert reply["found"]
    assert "What it does." in reply["data"]["text/plain"]
    assert "return 17" not in reply["data"]["text/plain"]
    detailed = kernel.ask("inspect_request", {**content, "detail_level": 1})
    assert "return 17" in detailed["data"]["text/plain"]
    assert not kernel.ask("inspect_request", {"code": "absent_name", "cursor_pos": 3})["found"]


def test_inspection_has_the_labels_of_ipython_where_it_is_not_loaded(kernel: Jupyter) -> None:
    kernel.run("labelled = 5\ndef called(first, second=2):\n    'Calls.'\n    return first")
    content = {"code": "labelled", "cursor_pos": 3, "detail_level": 0}
    text = kernel.ask("inspect_request", content)["data"]["text/plain"]
    assert text.startswith("Type:        int\nString form: 5\nDocstring:\nint([x]) -> integer\n")
    content["code"] = "called"
    text = kernel.ask("inspect_request", content)["data"]["text/plain"]
    assert text == "Signature: called(first, second=2)\nDocstring: Calls.\nType:      function"
    text = kernel.ask("inspect_request", {**content, "detail_level": 1})["data"]["text/plain"]
    assert "Source:\ndef called(first, second=2):\n    'Calls.'\n    return first\n" in text


def test_code_finds_the_messages_that_it_runs_for(kernel: Jupyter) -> None:
    asked = kernel.send("control", "kernel_info_request")
    kernel.reply(asked, "control")
    ran = kernel.run(
        "kernel = get_ipython().kernel\n"
        "print(*[kernel.get_parent(name)['header']['msg_id'] for name in ('shell', 'control')])\n"
        "print(kernel._parent_ident['shell'] == kernel._parent_ident['control'])"
    )
    assert ran.text() == f"{ran.id} {asked}\nTrue\n"


def test_the_runner_answers_while_a_cell_runs(kernel: Jupyter) -> None:
    running = kernel.execute("print('in', flush=True)\nwhile True: pass")
    kernel.until(running, lambda message: message["msg_type"] == "stream")
    assert kernel.ask("complete_request", {"code": "impor", "cursor_pos": 5})["matches"][0] == "import"
    assert kernel.ask("interrupt_request", channel="control") == {"status": "ok"}
    ran = kernel.ran(running)
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert ran.kinds == ["error"]


def test_the_traceback_of_an_interrupted_cell_has_frames_of_user_code_alone(kernel: Jupyter) -> None:
    running = kernel.execute("def f():\n    print('in', flush=True)\n    while True: pass\n\nf()")
    kernel.until(running, lambda message: message["msg_type"] == "stream")
    kernel.ask("interrupt_request", channel="control")
    [error] = kernel.ran(running).of("error")
    text = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error["traceback"]))
    assert re.findall(r"^(?:Cell|File) [^[]*", text, re.MULTILINE) == ["Cell In", "Cell In"]


def test_other_requests_leave_the_kernel_busy_while_a_cell_runs(kernel: Jupyter) -> None:
    running = kernel.execute("input('go? ')")
    kernel.input_request()
    info = kernel.send("control", "kernel_info_request")
    kernel.reply(info, "control")
    kernel.until(info, idle)
    # Once when it began, and once after the other request.
    for _ in range(2):
        [*_, last] = kernel.until(running, lambda m: m["content"].get("execution_state") == "busy")
    assert last["content"] == {"execution_state": "busy"}
    kernel.client.input("")
    assert kernel.ran(running).reply["status"] == "ok"


def test_kernel_info_is_answered_with_the_GIL_held_and_a_stuck_runner_is_replaced(kernel: Jupyter) -> None:
    running = kernel.execute("print('in', flush=True)\nsum(range(10**13))", cell="stuck")
    kernel.until(running, lambda message: message["msg_type"] == "stream")
    for channel in ("control", "shell"):
        assert kernel.ask("kernel_info_request", channel=channel)["implementation"] == "cellwire"

    def unresponsive() -> bool:
        kernel.ask("interrupt_request", channel="control")
        return any("Interrupt again" in str(message["content"]) for message in kernel.news())

    wait_until(unresponsive)
    kernel.ask("interrupt_request", channel="control")
    assert "replaced" in kernel.ran(running).reply["evalue"]
    assert kernel.run("1 + 1").result == "2"


def test_input_asks_the_client_of_the_request(kernel: Jupyter) -> None:
    running = kernel.execute("from getpass import getpass\nprint(input('name? '), getpass('secret? '))")
    assert kernel.input_request() == {"prompt": "name? ", "password": False}
    kernel.client.input("Ada")
    assert kernel.input_request() == {"prompt": "secret? ", "password": True}
    kernel.client.input("1815")
    assert kernel.ran(running).text() == "Ada 1815\n"


def test_input_fails_where_the_client_does_not_answer(kernel: Jupyter) -> None:
    ran = kernel.run("input('name? ')", allow_stdin=False)
    assert ran.reply["status"] == "error"
    assert "input" in ran.reply["evalue"]
    assert kernel.run("x = 1").reply["status"] == "ok"


def test_the_end_of_the_clients_input_is_an_end_of_file(kernel: Jupyter) -> None:
    running = kernel.execute("input()")
    kernel.input_request()
    kernel.client.input("\x04")
    assert kernel.ran(running).reply["ename"] == "EOFError"


def test_an_interrupt_ends_the_wait_for_input(kernel: Jupyter) -> None:
    running = kernel.execute("input()")
    kernel.input_request()
    kernel.ask("interrupt_request", channel="control")
    reply = kernel.ran(running).reply
    assert reply["ename"] == "KeyboardInterrupt"
    assert "File " not in "".join(reply["traceback"])
    # An answer that comes too late is for nothing else.
    kernel.client.input("late")
    assert kernel.run("1").result == "1"


def test_an_unknown_comm_is_closed_once_and_there_are_none(kernel: Jupyter) -> None:
    opened = kernel.send("shell", "comm_open", {"comm_id": "c1", "target_name": "jupyter.widget", "data": {}})
    underway = kernel.send("shell", "comm_msg", {"comm_id": "c1", "data": {}})
    for id in (opened, underway):
        assert [message["msg_type"] for message in kernel.until(id, idle)] == ["status", "status"]
    closed = [m["content"]["comm_id"] for m in kernel.news() if m["msg_type"] == "comm_close"]
    assert closed == ["c1"]
    assert kernel.ask("comm_info_request") == {"status": "ok", "comms": {}}


def test_a_comm_carries_data_and_buffers_both_ways(kernel: Jupyter) -> None:
    ran = kernel.run(
        "from comm import create_comm, get_comm_manager\n"
        "def opened(comm, message):\n"
        "    @comm.on_msg\n"
        "    def _(message):\n"
        "        print('got', message['content']['data'], message['header']['msg_type'])\n"
        "        comm.send({'twice': message['content']['data']['n'] * 2}, buffers=message['buffers'])\n"
        "get_comm_manager().register_target('doubling', opened)",
        cell="target",
    )
    opens = kernel.send("shell", "comm_open", {"comm_id": "c2", "target_name": "doubling", "data": {}})
    kernel.until(opens, idle)
    assert kernel.ask("comm_info_request", {"target_name": "doubling"})["comms"] == {
        "c2": {"target_name": "doubling"}
    }
    message = kernel.client.session.msg("comm_msg", {"comm_id": "c2", "data": {"n": 21}})
    kernel.client.session.send(kernel.client.shell_channel.socket, message, buffers=[b"bytes"])
    # Idle comes when user code has dealt with it.
    sent = kernel.until(message["header"]["msg_id"], idle)
    [answer] = [message for message in sent if message["msg_type"] == "comm_msg"]
    assert answer["content"] == {"comm_id": "c2", "data": {"twice": 42}}
    assert [bytes(buffer) for buffer in answer["buffers"]] == [b"bytes"]
    assert answer["metadata"] == {}
    texts = [m for m in kernel.published if m["msg_type"] == "stream"]
    assert {message["parent_header"]["msg_id"] for message in texts} == {ran.id}
    assert "".join(message["content"]["text"] for message in texts) == "got {'n': 21} comm_msg\n"
    kernel.until(kernel.send("shell", "comm_close", {"comm_id": "c2", "data": {}}), idle)
    assert kernel.ask("comm_info_request")["comms"] == {}


def test_a_widget_opens_a_comm_under_its_cell_and_follows_its_view(kernel: Jupyter) -> None:
    ran = kernel.run("import ipywidgets\nslider = ipywidgets.IntSlider(3)\nslider", cell="slider")
    opened = ran.of("comm_open")
    assert {content["target_name"] for content in opened} == {"jupyter.widget"}
    [result] = ran.of("execute_result", "display_data")
    model = result["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert model in {content["comm_id"] for content in opened}
    update = {"method": "update", "state": {"value": 17}, "buffer_paths": []}
    moved = kernel.send("shell", "comm_msg", {"comm_id": model, "data": update})
    # The page waits for its own move to come back before it takes those of others.
    echoes = [message for message in kernel.until(moved, idle) if message["msg_type"] == "comm_msg"]
    assert [echo["content"]["data"]["method"] for echo in echoes] == ["echo_update"]
    assert kernel.run("slider.value").result == "17"


def test_what_a_handler_prints_for_a_page_that_was_loaded_again_is_under_its_message(kernel: Jupyter) -> None:
    source = (
        "import ipywidgets\n"
        "watched, out = ipywidgets.IntSlider(3), ipywidgets.Output()\n"
        "def seen(change):\n"
        "    print('seen', change.new)\n"
        "    with out: print('inside')\n"
        "watched.observe(seen, 'value')\n"
        "watched"
    )
    ran = kernel.run(source, cell="watched")
    [result] = ran.of("execute_result", "display_data")
    model = result["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    again = attach(kernel.manager)
    try:
        for page in (again, kernel):
            value = {again: 8, kernel: 9}[page]
            update = {"method": "update", "state": {"value": value}, "buffer_paths": []}
            moved = page.send("shell", "comm_msg", {"comm_id": model, "data": update})
            under = moved if page is again else ran.id
            sent = page.until(under, lambda message: message["msg_type"] == "stream")
            assert sent[-1]["content"]["text"] == f"seen {value}\n"
            then = page.until(moved, idle)
            states = [m["content"]["data"].get("state") for m in then if m["msg_type"] == "comm_msg"]
            # The view of `out` listens to the message that it is told.
            assert ({"msg_id": moved} in states) is (page is again)
    finally:
        again.client.stop_channels()


def test_history_remembers_inputs_and_values(kernel: Jupyter) -> None:
    kernel.run("'remembered'")
    content = {"hist_access_type": "tail", "n": 1, "output": True, "raw": True}
    [[_, _, [source, output]]] = kernel.ask("history_request", content)["history"]
    assert (source, output) == ("'remembered'", "'remembered'")


def test_connect_names_the_ports(kernel: Jupyter) -> None:
    reply = kernel.ask("connect_request")
    assert reply["shell_port"] == kernel.manager.shell_port


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("no_such_request", {}),
        ("complete_request", {"code": 5, "cursor_pos": "x"}),
        ("inspect_request", {}),
        ("history_request", {"hist_access_type": 5, "n": "x"}),
        ("is_complete_request", {}),
        ("comm_info_request", {"target_name": 4}),
        ("debug_request", {}),
    ],
)
def test_a_request_that_makes_no_sense_is_answered(
    kernel: Jupyter, kind: str, content: dict[str, Any]
) -> None:
    assert kernel.ask(kind, content)
    assert kernel.run("1").result == "1"


def test_a_second_client_sees_the_first_ones_output_and_asks_on_its_own(kernel: Jupyter) -> None:
    second = attach(kernel.manager)
    ran = kernel.run("'seen by both'")
    seen = second.until(ran.id, lambda message: message["msg_type"] == "execute_result")
    assert seen[-1]["content"]["data"]["text/plain"] == "'seen by both'"
    running = second.execute("input('second? ')")
    assert second.input_request()["prompt"] == "second? "
    second.client.input("x")
    assert second.ran(running).result == "'x'"
    second.client.stop_channels()


def test_a_wrong_signature_and_a_replay_are_dropped(kernel: Jupyter) -> None:
    import zmq

    session = kernel.client.session
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(kernel.manager._make_url("shell"))
    try:
        code = "hits = globals().get('hits', 0) + 1"
        request = session.serialize(session.msg("execute_request", {"code": code}))
        forged = [*request[:1], b"0" * 64, *request[2:]]
        for frames in (forged, request, request):
            socket.send_multipart(frames)
        assert socket.poll(10_000)
        socket.recv_multipart()
        assert kernel.run("hits").result == "1"
    finally:
        socket.close()
        context.term()


def test_a_frontend_of_cellwire_attaches_beside_jupyter(kernel: Jupyter) -> None:
    from cellwire.protocol.blocking import connect

    banner = kernel.ask("kernel_info_request")["banner"]
    file = Path(banner.split("cellwire attach ")[1].strip())
    ran = kernel.run("shared = 41", cell="shared")
    with connect(file) as other:
        assert other.notebook.cells["shared"].source == "shared = 41"
        other.run({"native": "print(shared + 1)"})
        assert other.notebook.cells["native"].console.text() == "42\n"
    assert ran.reply["status"] == "ok"


def test_ten_thousand_lines_come_in_few_messages_and_none_is_lost(kernel: Jupyter) -> None:
    begun = time.monotonic()
    ran = kernel.run("for i in range(10_000):\n    print(i)")
    assert ran.text().split() == [str(i) for i in range(10_000)]
    assert len(ran.of("stream")) < 1000 * max(1, time.monotonic() - begun)


def test_two_thousand_displays_are_all_shown(kernel: Jupyter) -> None:
    ran = kernel.run("from IPython.display import display\nfor i in range(2000): display(i)")
    assert ran.shown == [str(i) for i in range(2000)]
