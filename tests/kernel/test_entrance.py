"""Who is let in at the path of the socket, and that no burst takes what was not free for it."""

import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq
from cellwire.kernel import entrance as entrance_module
from cellwire.kernel.entrance import Entrance
from cellwire.kernel.loop import Loop
from cellwire.kernel.made_files import MadeFiles


class Place:
    """An entrance in a directory, with a loop that runs until something is the case."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.files = MadeFiles()
        self.loop = Loop()
        self.entrance = Entrance(self.router, self.files, self.files.open(str(directory)), str(directory))
        self.stack = ExitStack()

    def knock(self) -> socket.socket | None:
        """Connect without waiting; `None` if the queue is full."""
        one = socket.socket(socket.AF_UNIX)
        one.setblocking(False)
        try:
            one.connect(str(self.path / "socket"))
        except BlockingIOError:
            one.close()
            return None
        return self.stack.enter_context(one)

    def run(self, until) -> None:
        """Run the loop until `until()`, for some seconds at most."""
        limit = time.monotonic() + 20

        def turn() -> float:
            if until():
                self.loop.stop()
            assert time.monotonic() < limit
            return 0.01

        self.loop._running = True
        self.loop.run(turn)

    def close(self) -> None:
        self.stack.close()
        self.entrance.close()
        self.router.close(0)
        self.context.term()
        self.files.remove()
        self.loop.close()


@pytest.fixture
def place(tmp_path, monkeypatch) -> Iterator[Place]:
    monkeypatch.setattr(entrance_module, "_FOR_ROOM", 0.01)
    # A socket's path is short.
    monkeypatch.chdir(tmp_path)
    place = Place(Path())
    yield place
    place.close()
    assert not list(tmp_path.iterdir())


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def answered(one: socket.socket) -> bool:
    """Whether libzmq has accepted a connection: then it sends a greeting."""
    try:
        return bool(one.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_without_a_look_a_burst_takes_no_descriptor_and_is_let_in_afterwards(place):
    before = descriptors()
    crowd = [one for one in (place.knock() for _ in range(1000)) if one is not None]
    assert 0 < len(crowd) < 1000
    assert descriptors() == before + len(crowd)
    place.entrance.watch(place.loop, int)
    place.run(lambda: all(map(answered, crowd)))


def test_one_look_lets_in_at_most_the_queue_and_only_if_there_is_room_for_all_of_it(place, monkeypatch):
    asked: list[int] = []
    room = True

    def has_room(pipes: int, number: int) -> bool:
        asked.append(number)
        return room

    monkeypatch.setattr(entrance_module, "room_for_connections", has_room)
    place.entrance.watch(place.loop, int)
    first = [one for one in (place.knock() for _ in range(1000)) if one is not None]
    assert len(first) < place.entrance._backlog + 2
    place.run(lambda: all(map(answered, first)))
    assert asked
    assert min(asked) > place.entrance._backlog + 1
    # 1. There is no room: who knocks waits in the queue of a listener that libzmq does not know.
    room = False
    asked.clear()
    late = place.knock()
    place.run(lambda: len(asked) >= 3)
    assert not answered(late)
    # 2. There is room again.
    room = True
    place.run(lambda: answered(late))


def test_what_a_group_took_is_free_again_when_its_last_connection_has_ended(place):
    place.entrance.watch(place.loop, int)
    before = descriptors()
    for _ in range(3):
        crowd = [place.knock() for _ in range(5)]
        place.run(lambda crowd=crowd: all(map(answered, crowd)))
        for one in crowd:
            one.close()
        place.run(lambda: descriptors() == before)


def test_a_frontend_stays_connected_while_others_of_its_group_leave(place):
    place.entrance.watch(place.loop, int)
    with place.context.socket(zmq.DEALER) as dealer:
        others = [place.knock() for _ in range(3)]
        dealer.connect(f"ipc://{place.path / 'socket'}")
        dealer.send(b"one")
        place.run(lambda: place.router.poll(0))
        identity, _ = place.router.recv_multipart()
        for one in others:
            one.close()
        late = place.knock()
        place.run(lambda: answered(late))
        place.router.send_multipart([identity, b"two"])
        assert dealer.recv() == b"two"


def test_what_somebody_else_put_at_the_path_stays_and_is_reported(place, capfd):
    place.entrance.watch(place.loop, int)
    here = place.path / "socket"
    os.rename(here, "moved")
    here.write_text("not a socket")
    with socket.socket(socket.AF_UNIX) as one:
        one.setblocking(False)
        one.connect("moved")
        said = []

        def reported() -> bool:
            said.append(capfd.readouterr().err)
            return "is not what this kernel made" in "".join(said)

        place.run(reported)
    assert here.read_text() == "not a socket"
    here.unlink()
    os.rename("moved", here)
    place.entrance.close()


def test_the_path_always_leads_to_a_socket(place):
    place.entrance.watch(place.loop, int)
    inodes = set()
    for _ in range(5):
        status = os.lstat(place.path / "socket")
        assert stat.S_ISSOCK(status.st_mode)
        inodes.add(status.st_ino)
        one = place.knock()
        place.run(lambda one=one: answered(one))
    assert len(inodes) > 1
