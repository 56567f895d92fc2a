"""Listening before ZeroMQ is imported.

A client connects 10 to 20 ms after it has started the kernel. If nobody listens then, its ZeroMQ tries again
after 100 to 200 ms, for each channel by itself (`ZMQ_RECONNECT_IVL`, plus a random part). The operating
system can listen long before ZeroMQ does, which takes the descriptors over (`ZMQ_USE_FD`) and finds the
connections waiting.
"""

import _socket

#: How many connections may wait, as in ZeroMQ.
_BACKLOG = 100
_CHANNELS = ("shell", "iopub", "control", "stdin", "hb")


def listen_early(path: str) -> dict[int, int]:
    """Listen at the tcp addresses in the connection file at `path`; return the descriptors by port.

    Only the layout that jupyter_client gives the file is understood here, since whatever reads JSON takes
    longer than all of this. What cannot be read or bound is left to those who do it later, and say what is
    wrong.
    """
    listening: dict[int, int] = {}
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        ip = _value(text, "ip").strip('"')
        if _value(text, "transport") == '"tcp"' and ip.replace(".", "").isdecimal():
            for channel in _CHANNELS:
                port = int(_value(text, f"{channel}_port"))
                listening[port] = _listen(ip, port)
    except (OSError, ValueError, OverflowError):
        pass
    return listening


def _value(text: str, name: str) -> str:
    """Return what a line gives for `name`, as it is written; empty if no line does."""
    return text.partition(f'"{name}":')[2].partition("\n")[0].strip(" ,")


def _listen(ip: str, port: int) -> int:
    listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        # As ZeroMQ does: what is left of the connections of a kernel that has ended takes no port.
        listening.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        listening.bind((ip, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except (OSError, OverflowError):
        listening.close()
        raise
    return listening.detach()
