"""What the operating system, the interpreter and ZeroMQ cost by themselves: the floors.

No kernel is involved. Each partner is a bare process (`python floor_driver.py PARTNER ARGUMENT`) that
does the one thing that is measured, so that a kernel's distance from what is possible is visible.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, cast

import zmq
from memory import resident
from serving import serve

Figures = dict[str, Any]
clock = time.perf_counter
END = b"end"


def partner(name: str, argument: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start this file as the other process."""
    command = [sys.executable, __file__, name, argument]
    return subprocess.Popen[bytes](command, **options)


def interpreter(times: int, statement: str) -> Figures:
    """Start Python, carry out a statement and end."""
    seconds: list[float] = []
    for _ in range(times):
        start = clock()
        subprocess.run([sys.executable, "-P", "-c", statement], check=True)
        seconds.append(clock() - start)
    return {"seconds": seconds}


def zmq_echo(times: int) -> Figures:
    """DEALER to ROUTER and back over ipc."""
    with tempfile.TemporaryDirectory() as directory, zmq.Context() as context:
        endpoint = f"ipc://{directory}/echo"
        with context.socket(zmq.DEALER) as dealer, partner("echo_router", endpoint) as other:
            dealer.connect(endpoint)
            seconds = _trips(lambda: (dealer.send(b"x" * 40), dealer.recv()), times)
            dealer.send(END)
            other.wait()
    return {"seconds": seconds}


def pair_echo(times: int) -> Figures:
    """Over a socket pair and back."""
    ours, theirs = socket.socketpair()
    with ours, partner("echo_pair", str(theirs.fileno()), pass_fds=[theirs.fileno()]) as other:
        theirs.close()
        seconds = _trips(lambda: (ours.send(b"x" * 40), ours.recv(100)), times)
        ours.send(END)
        other.wait()
    return {"seconds": seconds}


def whole_trip(times: int) -> Figures:
    """A request's way to the runner and back: both echoes, added sample by sample."""
    pairs = zip(zmq_echo(times)["seconds"], pair_echo(times)["seconds"], strict=True)
    return {"seconds": [a + b for a, b in pairs]}


def pair_stream(count: int, size: int) -> Figures:
    """Write frames to a socket pair, one system call each, until the reader has them all."""
    ours, theirs = socket.socketpair()
    with ours, partner("read_pair", f"{theirs.fileno()}:{count * size}", pass_fds=[theirs.fileno()]) as other:
        theirs.close()
        ours.recv(1)
        frame = b"x" * size
        start = clock()
        for _ in range(count):
            ours.sendall(frame)
        ours.recv(1)
        seconds = clock() - start
        other.wait()
    return {"seconds": [seconds], "rate": count / seconds}


def zmq_stream(megabytes: float, size: int) -> Figures:
    """Messages over ipc until the receiver has them all."""
    count = int(megabytes * 1e6 / size)
    with tempfile.TemporaryDirectory() as directory, zmq.Context() as context:
        endpoint = f"ipc://{directory}/stream"
        with context.socket(zmq.DEALER) as dealer, partner("count_router", f"{endpoint} {count}") as other:
            dealer.connect(endpoint)
            dealer.send(b"ready?")
            dealer.recv()
            message = os.urandom(size)
            start = clock()
            for _ in range(count):
                dealer.send(message, copy=False)
            dealer.recv()
            seconds = clock() - start
            other.wait()
    return {"seconds": [seconds], "rate": megabytes / seconds}


def child_pipe(megabytes: float) -> Figures:
    """Read what a child process writes to a pipe."""
    command = f"yes 'a line of text as a program in a notebook prints it' | head -c {int(megabytes * 1e6)}"
    start = clock()
    with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        while os.read(child.stdout.fileno(), 65536):
            pass
    seconds = clock() - start
    return {"seconds": [seconds], "rate": megabytes / seconds}


def delayed(cells: int, times: int) -> Figures:
    """Dask by hand on a cluster of two processes: a task that does nothing, then a chain and a fan."""
    import dask.base
    from dask.delayed import delayed as later
    from distributed import Client, LocalCluster

    increment: Any = later(lambda x: x + 1, pure=False)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=cast("Any", None)) as cluster,
        Client(cluster) as client,
    ):
        client.submit(len, "").result()
        seconds: list[float] = []
        for number in range(times):
            start = clock()
            client.submit(lambda x: x + 1, number, pure=False).result()
            seconds.append(clock() - start)
        last = 0
        start = clock()
        for _ in range(cells):
            last = increment(last)
        last.compute()  # pyright: ignore[reportAttributeAccessIssue]
        chain = clock() - start
        start = clock()
        dask.base.compute(*(increment(number) for number in range(cells)))
        fan = clock() - start
        return {"seconds": seconds, "chain": chain, "fan": fan, "memory": resident(os.getpid())}


def _trips(trip: Callable[[], Any], times: int) -> list[float]:
    for _ in range(50):
        trip()
    seconds: list[float] = []
    for _ in range(times):
        start = clock()
        trip()
        seconds.append(clock() - start)
    return seconds


# The partners


def echo_router(endpoint: str) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        while (frames := router.recv_multipart())[-1] != END:
            router.send_multipart(frames)


def count_router(argument: str) -> None:
    endpoint, count = argument.split()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        router.send_multipart(router.recv_multipart())
        for _ in range(int(count)):
            sender, _ = router.recv_multipart()
        router.send_multipart([sender, b"done"])


def echo_pair(descriptor: str) -> None:
    with socket.socket(fileno=int(descriptor)) as end:
        while (data := end.recv(100)) != END:
            end.send(data)


def read_pair(argument: str) -> None:
    descriptor, rest = map(int, argument.split(":"))
    with socket.socket(fileno=descriptor) as end:
        end.send(b"r")
        while rest:
            rest -= len(end.recv(65536))
        end.send(b"d")


async def measure(workload: str, **parameters: Any) -> Figures:
    """Return the figures of the floor of that name."""
    return FLOORS[workload](**parameters)


FLOORS = {
    f.__name__: f
    for f in (child_pipe, delayed, interpreter, pair_echo, pair_stream, whole_trip, zmq_echo, zmq_stream)
}
PARTNERS = {f.__name__: f for f in (count_router, echo_pair, echo_router, read_pair)}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        PARTNERS[sys.argv[1]](sys.argv[2])
    else:
        serve(measure, ["pyzmq"])
