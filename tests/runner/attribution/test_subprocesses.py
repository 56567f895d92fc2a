"""The cell that a child process writes to, and the order of its text."""

from collections.abc import Callable
from typing import Any

import pytest

Console = Callable[[str], Any]


def test_a_childs_text_stands_where_it_was_started_and_waited_for(console: Console) -> None:
    written = console("""
        import subprocess
        with cell("a"):
            print("a")
            subprocess.run(["echo", "b"])
            print("c")
            subprocess.run("echo d; echo oops >&2", shell=True)
            print("e", file=sys.stderr)
            print("f")
    """)
    assert written.out("a") == "a\nb\nc\nd\nf\n"
    assert written.err("a") == "oops\ne\n"


def test_a_child_keeps_writing_to_its_cell_while_another_one_runs(console: Console) -> None:
    written = console("""
        import subprocess
        with cell("a"):
            child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        with cell("b"):
            print("b")
            child.communicate(b"late\\n")
            os.write(1, b"raw\\n")
    """)
    assert written.out("a") == "late\n"
    assert written.out("b") == "b\nraw\n"


def test_streams_given_to_a_child_explicitly_are_left_alone(console: Console) -> None:
    written = console("""
        import subprocess, tempfile
        with cell("a"), tempfile.TemporaryFile() as file:
            assert subprocess.check_output(["echo", "piped"]) == b"piped\\n"
            subprocess.run(["echo", "filed"], stdout=file)
            file.seek(0)
            assert file.read() == b"filed\\n"
            subprocess.run(["echo", "gone"], -1, None, None, subprocess.DEVNULL)
            merged = subprocess.run("echo 1; echo 2 >&2", shell=True, stdout=-1, stderr=subprocess.STDOUT)
            assert merged.stdout == b"1\\n2\\n"
            print("fine")
    """)
    assert (written.status, written.out("a"), written.err("a")) == (0, "fine\n", "")


def test_the_consoles_own_streams_given_to_a_child_are_the_same_as_none(console: Console) -> None:
    written = console("""
        import subprocess
        with cell("a"):
            subprocess.run(["echo", "1"], stdout=sys.stdout)
            subprocess.run(["echo", "2"], stdout=sys.stderr)
            subprocess.run(["echo", "3"], stdout=1)
            subprocess.run(["echo", "4"], -1, None, None, None)
            subprocess.run("echo 5 >&2", shell=True, stderr=subprocess.STDOUT)
    """)
    assert written.out("a") == "1\n3\n4\n5\n"
    assert written.err("a") == "2\n"


def test_a_command_that_does_not_exist_raises_and_leaves_nothing_open(console: Console) -> None:
    written = console("""
        import subprocess
        before = len(os.listdir("/proc/self/fd"))
        with cell("a"):
            try:
                subprocess.run(["/no/such/command"])
            except FileNotFoundError:
                print("as always")
        assert len(os.listdir("/proc/self/fd")) == before
    """)
    assert (written.status, written.out("a")) == (0, "as always\n")


def test_asyncio_processes_belong_to_the_task_that_started_them(console: Console) -> None:
    written = console("""
        import asyncio
        async def work(name):
            with cell(name):
                print("before")
                child = await asyncio.create_subprocess_exec("echo", name)
                await child.wait()
                print("after")
        async def main():
            await asyncio.gather(work("a"), work("b"))
        asyncio.run(main())
    """)
    assert written.out("a") == "before\na\nafter\n"
    assert written.out("b") == "before\nb\nafter\n"


def test_threads_of_two_cells_start_processes_at_the_same_time(console: Console) -> None:
    written = console("""
        import subprocess, threading
        def work(name):
            for index in range(5):
                subprocess.run(["echo", name, str(index)])
        threads = []
        for name in "ab":
            with cell(name):
                threads.append(threading.Thread(target=work, args=(name,)))
                threads[-1].start()
        for thread in threads:
            thread.join()
    """)
    for name in "ab":
        assert written.out(name) == "".join(f"{name} {index}\n" for index in range(5))


def test_a_forked_child_writes_in_every_way_to_the_cell_that_forked(console: Console) -> None:
    written = console("""
        import subprocess
        with cell("a") as a:
            print("1")
            if os.fork() == 0:
                print("2")
                os.write(1, b"3\\n")
                subprocess.run(["echo", "4"])
                print("oops", file=sys.stderr)
                a.outputs.append({"text/plain": "an item"})
                os._exit(0)
            os.wait()
            print("5")
    """)
    assert written.out("a") == "1\n2\n3\n4\nan item\n5\n"
    assert written.err("a") == "oops\n"
    assert written.items == []


def test_a_forked_child_ends_where_its_cell_ends(console: Console) -> None:
    written = console("""
        import sys
        def run(body):
            with cell("a") as a:
                try:
                    body()
                except BaseException as error:
                    a.error = error
                exit_forked(a)
        def fail():
            if os.fork() == 0:
                raise ValueError("in the child")
            print("failed:", os.waitstatus_to_exitcode(os.wait()[1]))
        def leave():
            if os.fork() == 0:
                sys.exit(7)
            print("left:", os.waitstatus_to_exitcode(os.wait()[1]))
        def fall_through():
            pid = os.fork()
            print("child" if pid == 0 else f"parent: {os.wait()[1]}")
        for body in (fail, leave, fall_through):
            run(body)
    """)
    assert written.out("a") == "failed: 1\nleft: 7\nchild\nparent: 0\n"
    assert written.err("a").endswith("ValueError: in the child\n")


def test_a_forked_child_outlives_the_cell_that_forked_it(console: Console) -> None:
    written = console("""
        reading, writing = os.pipe()
        with cell("a"):
            pid = os.fork()
            if pid == 0:
                os.read(reading, 1)
                print("late")
                os._exit(0)
        with cell("b"):
            print("b")
            os.write(writing, b"x")
            os.waitpid(pid, 0)
            print("b again")
    """)
    assert written.out("a") == "late\n"
    assert written.out("b") == "b\nb again\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_write_to_the_cell_that_started_them(console: Console, method: str) -> None:
    written = console(f"""
        import multiprocessing
        context = multiprocessing.get_context({method!r})
        if {method!r} == "forkserver":
            with cell("first"):
                context.Process(target=len, args=("",)).start()
        with cell("a"):
            a = context.Process(target=print, args=("from a",))
            print("1")
            a.start()
            a.join()
            print("2")
        with cell("b"):
            b = context.Process(target=os.system, args=("echo from b; echo oops >&2",))
            b.start()
        with cell("c"):
            print("c")
            b.join()
    """)
    assert written.out("a") == "1\nfrom a\n2\n"
    assert (written.out("b"), written.err("b")) == ("from b\n", "oops\n")
    assert (written.out("c"), written.err("c")) == ("c\n", "")


def test_process_pools_write_to_the_cell_that_made_them(console: Console) -> None:
    written = console("""
        import multiprocessing
        with cell("a"):
            pool = multiprocessing.get_context("fork").Pool(2)
        with cell("b"):
            pool.map(print, [1, 1, 1, 1])
            pool.close()
            pool.join()
            print("b")
    """)
    assert written.out("a") == "1\n" * 4
    assert written.out("b") == "b\n"


def test_posix_spawn_belongs_to_its_cell_and_the_callers_actions_win(console: Console) -> None:
    written = console("""
        with cell("a") as a:
            pass
        with cell("b"):
            with inside(a):
                pid = os.posix_spawn("/bin/sh", ["sh", "-c", "echo spawned; echo 2 >&2"], os.environ)
                os.waitpid(pid, 0)
                actions = [(os.POSIX_SPAWN_DUP2, 2, 1)]
                os.waitpid(os.posix_spawnp("echo", ["echo", "3"], os.environ, file_actions=actions), 0)
    """)
    assert written.out("a") == "spawned\n"
    assert written.err("a") == "2\n3\n"


def test_os_system_belongs_to_the_context_that_calls_it(console: Console) -> None:
    written = console("""
        with cell("a") as a:
            print("1")
            assert os.system("echo 2; exit 3") == 3 << 8
            print("3")
        with cell("b"):
            with inside(a):
                assert os.system("echo 4; exit 3") == 3 << 8
                assert os.system("kill -9 $$") == 9
            print("b")
    """)
    assert written.out("a") == "1\n2\n3\n4\n"
    assert written.out("b") == "b\n"


def test_detached_processes_belong_to_the_notebook(console: Console) -> None:
    written = console("""
        import subprocess
        with cell("a"):
            with detached():
                subprocess.run(["echo", "no cell's"])
            print("mine")
    """)
    assert written.out("a") == "mine\n"
    assert written.out("", 0) == "no cell's\n"


def test_100_megabytes_of_a_child_arrive(console: Console) -> None:
    written = console("""
        import subprocess
        with cell("a"):
            subprocess.run("head -c 100000000 /dev/zero | tr '\\\\0' 'x'", shell=True)
            print("!")
    """)
    text = written.out("a")
    assert len(text) == 100_000_002
    assert text.count("x") == 100_000_000
    assert text.endswith("x!\n")


def test_a_terminal_of_a_childs_own_is_left_to_it(console: Console) -> None:
    written = console("""
        import pty
        with cell("a"):
            pty.spawn(["echo", "on a terminal"])
    """)
    assert written.out("a") == "on a terminal\r\n"


def test_a_fork_while_another_thread_prints_leaves_no_lock_behind(console: Console) -> None:
    written = console("""
        import threading
        with cell("a") as a:
            stop = threading.Event()
            def chatter():
                while not stop.is_set():
                    print("chatter")
                    a.outputs.append({"text/plain": "chatter"})
            threads = [threading.Thread(target=chatter) for _ in range(3)]
            for thread in threads:
                thread.start()
        with cell("b"):
            for _ in range(100):
                if os.fork() == 0:
                    print("child")
                    os._exit(0)
                os.wait()
        stop.set()
        for thread in threads:
            thread.join()
    """)
    assert written.status == 0
    assert written.out("b") == "child\n" * 100
    assert set(written.out("a").splitlines()) == {"chatter"}


def test_children_beyond_the_room_of_the_kernel_write_to_the_cell_that_runs(console: Console) -> None:
    written = console("""
        import subprocess
        children.closed(-996)
        with cell("a"):
            first, second = [subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(2)]
            late, later = [subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(2)]
        with cell("b"):
            for child in (first, second, late, later):
                child.communicate(b"text\\n")
            children.closed(2)
            subprocess.run(["echo", "room again"])
    """)
    assert written.out("a") == "text\ntext\n"
    assert written.out("b") == "text\ntext\nroom again\n"
    assert written.err("a").count("too many child processes") == len(written.err("a").splitlines()) == 1
