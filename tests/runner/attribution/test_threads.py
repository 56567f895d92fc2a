"""The cell that threads and work in pools belong to."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cellwire.runner.attribution.context import Execution, current_execution
from cellwire.runner.attribution.threads import Thread, current_thread, detached

Console = Callable[[str], Any]


def test_every_kind_of_thread_writes_to_the_cell_that_started_it(console: Console) -> None:
    written = console("""
        import _thread, threading
        done = threading.Semaphore(0)
        gate = threading.Event()
        def work(kind):
            gate.wait(10)
            print(kind)
            done.release()
        class Sub(threading.Thread):
            def run(self):
                work("subclass")
        def outer():
            threading.Thread(target=work, args=("nested",)).start()
        with cell("a"):
            threading.Thread(target=work, args=("plain",)).start()
            threading.Thread(target=work, kwargs={"kind": "daemon"}, daemon=True).start()
            Sub().start()
            threading.Timer(0, work, ("timer",)).start()
            Thread(target=work, args=("cw",)).start()
            _thread.start_new_thread(work, ("raw",))
            nested = threading.Thread(target=outer)
            nested.start()
            nested.join()
        with cell("b"):
            gate.set()
            for _ in range(7):
                assert done.acquire(timeout=10)
            print("b")
    """)
    assert sorted(written.out("a").split()) == ["cw", "daemon", "nested", "plain", "raw", "subclass", "timer"]
    assert written.out("b") == "b\n"


def test_a_thread_belongs_to_the_cell_that_starts_it_not_to_the_one_that_makes_it(console: Console) -> None:
    written = console("""
        import threading
        with cell("a"):
            thread = threading.Thread(target=print, args=("hello",))
        with cell("b"):
            thread.start()
            thread.join()
    """)
    assert (written.out("a"), written.out("b")) == ("", "hello\n")


def test_an_exception_in_a_thread_is_shown_in_its_own_cell(console: Console) -> None:
    written = console("""
        import threading
        gate = threading.Event()
        def fail():
            gate.wait(10)
            raise ValueError("in the thread")
        with cell("a"):
            thread = threading.Thread(target=fail, name="T")
            thread.start()
        with cell("b"):
            gate.set()
            thread.join()
    """)
    assert written.err("a").startswith("Exception in thread T:\nTraceback")
    assert written.err("a").endswith("ValueError: in the thread\n")
    assert "cellwire" not in written.err("a")
    assert written.err("b") == ""


def test_a_worker_started_by_another_cell_works_for_the_cell_that_submits(console: Console) -> None:
    written = console("""
        from concurrent.futures import ThreadPoolExecutor
        from multiprocessing.pool import ThreadPool
        with cell("a"):
            executor, pool = ThreadPoolExecutor(1), ThreadPool(1)
            executor.submit(print, "1").result()
            pool.apply(print, ("2",))
        with cell("b") as b:
            executor.submit(print, "executor").result()
            list(executor.map(print, ["executor map"]))
            pool.apply(print, ("apply",))
            pool.map(print, ["map"])
            pool.starmap(print, [("star", "map")])
            list(pool.imap(print, ["imap"]))
            list(pool.imap_unordered(print, ["imap_unordered"]))
            import threading
            called = threading.Event()
            def show(result):
                print("callback", result)
                called.set()
            pool.apply_async(len, ("abc",), callback=show)
            assert called.wait(10)
            future = executor.submit(len, "abcd")
            called.clear()
            future.add_done_callback(lambda future: show(future.result()))
            assert called.wait(10)
        executor.submit(print, "no cell's").result()
        pool.close()
        pool.join()
    """)
    assert written.out("a") == "1\n2\n"
    assert written.out("b").splitlines() == [
        *("executor", "executor map", "apply", "map", "star map", "imap", "imap_unordered"),
        *("callback 3", "callback 4"),
    ]
    assert written.out("", 0) == "no cell's\n"


def test_threads_and_tasks_of_asyncio_keep_the_cell(console: Console) -> None:
    written = console("""
        import asyncio
        async def work(name):
            with cell(name):
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, print, f"{name} executor")
                await asyncio.to_thread(print, f"{name} to_thread")
                await asyncio.create_task(later(name))
        async def later(name):
            await asyncio.sleep(0)
            print(f"{name} task")
        async def main():
            await asyncio.gather(work("a"), work("b"))
        asyncio.run(main())
    """)
    for name in "ab":
        assert written.out(name) == f"{name} executor\n{name} to_thread\n{name} task\n"


def test_anyios_threads_and_task_groups_keep_the_cell(console: Console) -> None:
    written = console("""
        import anyio
        async def work(name):
            with cell(name):
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.to_thread.run_sync, print, name)
        async def main():
            for name in "ab":
                await work(name)
        anyio.run(main)
    """)
    assert (written.out("a"), written.out("b")) == ("a\n", "b\n")


def test_detached_threads_belong_to_no_cell_and_the_block_itself_to_its_cell(console: Console) -> None:
    written = console("""
        import threading
        with cell("a"):
            with detached():
                thread = threading.Thread(target=print, args=("no cell's",))
                thread.start()
                print("mine")
            thread.join()
            again = threading.Thread(target=print, args=("mine again",))
            again.start()
            again.join()
    """)
    assert written.out("a") == "mine\nmine again\n"
    assert written.out("", 0) == "no cell's\n"


def test_a_retired_run_is_silent(console: Console) -> None:
    written = console("""
        import threading
        gate = threading.Event()
        with cell("a") as first:
            def work():
                print("early")
                first.outputs.append({"text/plain": "early"})
                started.set()
                gate.wait(10)
                print("late")
                first.outputs.append({"text/plain": "late"})
            started = threading.Event()
            thread = threading.Thread(target=work)
            thread.start()
            started.wait(10)
        first.retire()
        with cell("a", 2):
            gate.set()
            thread.join()
            print("second")
    """)
    assert (written.out("a", 1), written.out("a", 2)) == ("early\n", "second\n")
    assert written.items == [("a", 1, 0, "early")]


def test_signatures_and_errors_are_pythons_own(console: Console) -> None:
    written = console("""
        import _thread, inspect, threading
        from concurrent.futures import ThreadPoolExecutor
        assert str(inspect.signature(ThreadPoolExecutor.submit)) == "(self, fn, /, *args, **kwargs)"
        for call in (lambda: _thread.start_new_thread(None, ()), lambda: _thread.start_new_thread(print, [])):
            try:
                call()
            except TypeError:
                print("TypeError")
        _thread.start_new_thread(lambda **kwargs: print(kwargs) or done.set(), (), {"x": 1})
        done = threading.Event()
        done.wait(10)
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        try:
            executor.submit(print)
        except RuntimeError as error:
            print(error)
    """)
    assert (
        written.out("", 0) == "TypeError\nTypeError\n{'x': 1}\ncannot schedule new futures after shutdown\n"
    )


def test_a_process_ends_while_daemon_threads_still_print(console: Console) -> None:
    written = console("""
        import threading
        with cell("a"):
            printed = threading.Event()
            def work():
                while True:
                    print("x")
                    printed.set()
            for _ in range(4):
                threading.Thread(target=work, daemon=True).start()
            assert printed.wait(10)
    """)
    assert written.status == 0
    assert written.err("a") == ""


def test_without_a_kernel_a_thread_never_has_to_exit_and_detached_does_nothing() -> None:
    seen: list[bool] = []
    thread = Thread(target=lambda: seen.append(current_thread().should_exit), daemon=True)
    with detached():
        thread.start()
    thread.join(10)
    assert seen == [False]


def test_should_exit_follows_the_run_that_started_the_thread(make_cell: Any) -> None:
    with make_cell("a") as cell:
        started = threading.Event()
        exited = threading.Event()

        def work() -> None:
            started.set()
            while not current_thread().should_exit:
                pass
            exited.set()

        thread = Thread(target=work, daemon=True)
        thread.start()
        assert started.wait(10)
        assert not thread.should_exit
        cell.execution.end()
        assert exited.wait(10)
        thread.join(10)


def test_current_thread_says_what_to_start_instead() -> None:
    with pytest.raises(RuntimeError, match=r"cw\.Thread"):
        current_thread()


def test_an_execution_keeps_no_finished_thread_alive(make_cell: Any) -> None:
    import gc
    import weakref

    with make_cell("a") as cell:
        thread = Thread(target=len, args=("",))
        thread.start()
        thread.join(10)
        gone = weakref.ref(thread)
        del thread
        gc.collect()
        assert gone() is None
        assert isinstance(cell.execution, Execution)


def test_nothing_is_replaced_without_a_kernel() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(current_execution.get).result(10) is None
    assert ThreadPoolExecutor.submit.__module__ == "concurrent.futures.thread"
    assert not hasattr(ThreadPoolExecutor.submit, "__wrapped__")
