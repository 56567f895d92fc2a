"""A signal handler raises 10,000 exceptions, each at any point, while four threads emit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Console = Callable[[str], Any]

STORM = """
    import itertools, json, random, signal, sys, threading
    raised = armed = 0
    def handler(number, frame):
        global raised, armed
        if armed:
            armed -= 1
            raised += 1
            raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, handler)
    over = threading.Event()
    returned = {"items": [], "lines": []}
    def emit(name):
        # Every recorded call has returned; a call that returned may be missing in the record.
        for index in itertools.count():
            outputs.append({"text/plain": f"{name} {index}"})
            returned["items"].append(f"{name} {index}")
            print(f"{name} {index}")
            returned["lines"].append(f"{name} {index}")
            yield
    def emit_on(emissions, level):
        # As many layers of protection as there may be exceptions before the next arming.
        global armed
        try:
            if level:
                emit_on(emissions, level - 1)
            else:
                armed = random.choice((1, 1, 2, 3))
                for _ in range(1000):
                    next(emissions)
        except KeyboardInterrupt:
            pass
    def work(name):
        emissions = emit(name)
        while not over.is_set():
            next(emissions)
            over.wait(0.0002)
    with cell("a") as a:
        outputs = a.outputs
        threads = [threading.Thread(target=work, args=(f"thread{n}",)) for n in range(3)]
        for thread in threads:
            thread.start()
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        for number in itertools.count():
            if raised >= 10_000:
                break
            emit_on(emit(f"main{number}"), 4)
            armed = 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        over.set()
        for thread in threads:
            thread.join()
        assert not outputs.emitter._lock._is_owned()
        emitters = (outputs.emitter, *_console._emitters.values())
        assert not any(emitter._deferred or emitter._batch for emitter in emitters)
        with open(PATH, "w") as file:
            json.dump({"raised": raised, "ids": list(outputs._order), **returned}, file)
"""


def test_a_storm_of_exceptions_loses_tears_and_repeats_nothing(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "returned.json"
    written = console(STORM.replace("PATH", repr(str(path))))
    assert written.status == 0, written.err("a")
    returned = json.loads(path.read_text())
    assert returned["raised"] >= 10_000
    # The list gives the items' ids, so its final order must be the order of arrival.
    assert written.ids == returned["ids"]
    assert written.err("a") == ""
    lines = written.out("a").splitlines()
    for received, expected in ((written.texts, returned["items"]), (lines, returned["lines"])):
        assert len(set(received)) == len(received)
        assert set(expected) <= set(received)
        latest: dict[str, int] = {}
        for text in received:
            name, index = text.split()
            assert int(index) > latest.get(name, -1)
            latest[name] = int(index)
