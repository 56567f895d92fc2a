"""Which connections over tcp are accepted, and which are refused."""

import resource
import socket as sockets

import msgspec
import pytest
import zmq
from cellwire.kernel.authentication import Allowed, new_key_pair
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.connection import KeyPair
from support.bare_frontend import open_dealer
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

PAIR = new_key_pair()
KEY = z85.decode(PAIR.public)


def zap_request(**changes: bytes) -> list[bytes]:
    fields = {
        "version": b"1.0",
        "number": b"7",
        "domain": b"cellwire",
        "address": b"127.0.0.1",
        "identity": b"",
        "mechanism": b"CURVE",
        "key": KEY,
    }
    return list((fields | changes).values())


def test_a_key_on_the_list_is_allowed_with_its_role():
    assert Allowed({PAIR.public: "watch"}).verdict(zap_request()) == [
        b"1.0",
        b"7",
        b"200",
        b"",
        b"watch",
        b"",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        zap_request(key=z85.decode(new_key_pair().public)),
        zap_request(domain=b""),
        zap_request(domain=b"another"),
        zap_request(mechanism=b"NULL"),
        zap_request(mechanism=b"NULL")[:6],
        zap_request(mechanism=b"PLAIN"),
        zap_request(version=b"2.0"),
        [*zap_request(), b"more"],
        [b"1.0"],
        [],
    ],
)
def test_every_other_connection_is_refused(asked):
    assert Allowed({PAIR.public: "control"}).verdict(asked)[2] == b"400"


@pytest.fixture
def kernel(launch):
    return launch(transport="tcp")


def test_the_endpoint_is_loopback_and_the_file_has_the_keys(kernel):
    assert kernel.connection.endpoint.startswith("tcp://127.0.0.1:")
    assert kernel.connection.server_key
    assert kernel.connection.client != kernel.connection.watcher


def test_the_clients_key_may_run(kernel, attach):
    frontend = attach(kernel)
    assert frontend.welcome.role == "control"
    assert frontend.finish(frontend.run("1")).status == "ok"


@pytest.mark.parametrize("id", ["short", "of a length that takes a byte of its own", ""])
def test_a_large_request_with_the_watchers_key_is_refused_without_decoding(kernel, attach, id):
    watcher = attach(kernel, kernel.connection.watcher)
    before = watcher.ask(m.Statistics)
    frame = msgspec.msgpack.encode(m.RunCells(id, [m.Cell("a", "#" * 100_000)]))
    # It would not decode either.
    for broken in (frame, frame[:-1]):
        watcher.socket.send(broken)
        assert watcher.reply_to(id).code == "forbidden"
    after = watcher.ask(m.Statistics)
    assert (after.malformed, after.refused) == (before.malformed, before.refused + 2)


def test_the_watchers_key_may_watch_and_nothing_else(kernel, attach):
    watcher = attach(kernel, kernel.connection.watcher)
    assert watcher.welcome.role == "watch"
    for request in (
        (m.RunCells, [m.Cell("a", "1")]),
        (m.RunStale,),
        (m.DeleteCells, []),
        (m.SetMode, "lazy"),
        (m.Interrupt,),
        (m.ProvideInput, "q", "text"),
        (m.Complete, "x", 1),
        (m.Variables,),
        (m.RestartRunner,),
        (m.Shutdown,),
    ):
        assert watcher.ask(*request).code == "forbidden"
    assert isinstance(watcher.ask(m.Ping), m.Pong)
    assert isinstance(watcher.ask(m.Statistics), m.KernelStatistics)
    client = attach(kernel)
    client.finish(client.run("write('hello')"))
    watcher.until(lambda: watcher.of(e.RunFinished))
    assert watcher.notebook.cells["a"].console.text() == "hello"


PING = b"\x82\xa4type\xa4Ping\xa2id\xa1x"
FAILURES = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


def is_refused(kernel, **options) -> bool:
    """Whether the handshake of a connection with these options fails."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    for name, value in options.items():
        setattr(socket, name, value)
    monitor = socket.get_monitor_socket(FAILURES | zmq.EVENT_HANDSHAKE_SUCCEEDED)
    try:
        socket.connect(kernel.connection.endpoint)
        socket.send(PING)
        return bool(recv_monitor_message(monitor)["event"] & FAILURES) and not socket.poll(0)
    finally:
        socket.disable_monitor()
        context.destroy(linger=0)


def test_strangers_are_refused_and_others_keep_working(kernel, attach):
    client = attach(kernel)
    connection, other = kernel.connection, new_key_pair()
    assert is_refused(kernel), "no key"
    assert is_refused(kernel, plain_username=b"control", plain_password=b"secret"), "another mechanism"
    for server_key, public, secret, what in (
        (connection.server_key, other.public, other.secret, "an unknown key"),
        (other.public, connection.client.public, connection.client.secret, "another server's key"),
        (connection.server_key, connection.client.public, other.secret, "a stolen public key"),
    ):
        keys = {"curve_publickey": public.encode(), "curve_secretkey": secret.encode()}
        assert is_refused(kernel, curve_serverkey=server_key.encode(), **keys), what
    assert client.finish(client.run("1")).status == "ok"
    assert client.ask(m.Statistics).malformed == 0


def test_raw_bytes_and_half_open_connections_cost_nothing(kernel, attach):
    client = attach(kernel)
    port = int(kernel.connection.endpoint.rpartition(":")[2])
    half_open = [sockets.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for number in range(300):
        with sockets.create_connection(("127.0.0.1", port)) as junk:
            junk.sendall(bytes([number % 256]) * 100)
    for connection in half_open[:25]:
        connection.sendall(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03")
    assert client.finish(client.run("1")).status == "ok"
    assert isinstance(attach(kernel).ask(m.Ping), m.Pong)
    for connection in half_open:
        connection.close()


def test_a_crowd_of_half_open_connections_does_not_keep_the_runner_from_being_replaced(kernel, attach):
    client = attach(kernel)
    client.finish(client.run("1"))
    port = int(kernel.connection.endpoint.rpartition(":")[2])
    crowd: list[sockets.socket] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        for _ in range(min(3000, hard // 4)):
            connection = sockets.socket()
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
            crowd.append(connection)
        client.ask(m.RestartRunner)
        client.until(lambda: client.notebook.runner.generation == 2)
        assert client.finish(client.run("1")).status == "ok"
        assert isinstance(attach(kernel).ask(m.Ping), m.Pong)
    finally:
        for connection in crowd:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_role_belongs_to_the_connection_and_not_to_the_identity(kernel):
    context = zmq.Context()

    def ask(pair: KeyPair, request: bytes) -> bytes:
        # ZeroMQ ignores a second holder of an identity until it notices that the first one left.
        while True:
            with open_dealer(context, kernel.connection, pair, routing_id=b"me") as socket:
                socket.send(request)
                while socket.poll(200):
                    answer = socket.recv_multipart()[0]
                    if b"Snapshot" not in answer and b"Batch" not in answer:
                        return answer

    hello = b"\x82\xa4type\xa5Hello\xa2id\xa1h"
    try:
        assert b"Welcome" in ask(kernel.connection.client, hello)
        assert b"forbidden" in ask(kernel.connection.watcher, b"\x82\xa4type\xa8Shutdown\xa2id\xa1s")
    finally:
        context.destroy(linger=0)
