"""What goes over the socket: a request and an answer, each a length and that much JSON. Both ends are bounded
in size and in time. Called by `server.py` and `client.py`.
"""

import json
import socket
import struct
import time
from typing import Any

LARGEST_REQUEST = 64 * 1024
LARGEST_ANSWER = 512 * 1024 * 1024

_LENGTH = struct.Struct("!I")


class BadMessage(Exception):
    """What came is not a message, is too large, or did not come in time."""


def send(connection: socket.socket, message: dict[str, Any], deadline: float) -> None:
    """Send a message until `time.monotonic()` shows the deadline."""
    send_encoded(connection, json.dumps(message).encode(), deadline)


def send_encoded(connection: socket.socket, content: bytes | bytearray, deadline: float) -> None:
    """Send what is a message in JSON."""
    _send_all(connection, _LENGTH.pack(len(content)), deadline)
    _send_all(connection, content, deadline)


def _send_all(connection: socket.socket, content: bytes | bytearray, deadline: float) -> None:
    data = memoryview(content)
    while data:
        _limit(connection, deadline)
        try:
            data = data[connection.send(data[: 1 << 18]) :]
        except TimeoutError as error:
            raise BadMessage("the other side takes too long to receive") from error


def receive(connection: socket.socket, largest: int, deadline: float) -> dict[str, Any]:
    """Receive a message likewise."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, deadline))
    if length > largest:
        raise BadMessage(f"a message of {length} bytes is too large")
    try:
        message = json.loads(_exactly(connection, length, deadline))
    except ValueError as error:
        raise BadMessage("a message that is not JSON") from error
    if not isinstance(message, dict):
        raise BadMessage("a message that is not an object")
    return message


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        _limit(connection, deadline)
        try:
            part = connection.recv(min(size - len(parts), 1 << 18))
        except TimeoutError as error:
            raise BadMessage("no complete message came in time") from error
        if not part:
            raise BadMessage("the connection was closed")
        parts += part
    return bytes(parts)


def _limit(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise BadMessage("no complete message came in time")
    connection.settimeout(left)
