"""`Server`: the thread that answers `python -m yibu ps`, on a Unix socket for this user and root.

It answers while the loop is blocked or busy, because it needs the interpreter only, and lets go of that all
the time. A fork stops the thread; the child has a socket of its own afterwards, and leaves its parent's
alone. Made by `inspecting.py`.
"""

import contextlib
import json
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from yibu.inspection import messages, sockets
from yibu.inspection.breath import Breath, yielding
from yibu.inspection.rows import BATCH

if TYPE_CHECKING:
    from yibu.inspection.blockages import Onlookers

_PATIENCE = 5.0
"""Seconds for a request to come."""

_ANSWER_PATIENCE = 60.0
"""Seconds for an answer to be taken."""


_onlookers: "list[Onlookers]" = []
"""One, or none: those who look at the page."""


class Server:
    """The socket of this process, and the thread that serves it."""

    def __init__(self) -> None:
        self.path = ""
        self._socket: socket.socket | None = None
        self._end: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.open()

    def open(self) -> None:
        """Bind the socket of this process, and serve it."""
        path = sockets.path_of(os.getpid(), sockets.folder())
        if not sockets.remove_stale(path, _PATIENCE):
            raise OSError(f"{path} is served by another process")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(listening.fileno(), 0o600)  # what the path has from its beginning
            listening.bind(path)
            os.chmod(path, 0o600)
            listening.listen(8)
        except BaseException:
            listening.close()
            raise
        self.path, self._socket = path, listening
        self.start()

    def start(self) -> None:
        """Serve the socket, in a thread that does not keep the process alive."""
        if self._socket is None:
            return
        self._end, theirs = socket.socketpair()
        self._thread = threading.Thread(
            target=_serve, args=(self._socket, theirs), name="yibu-inspect", daemon=True
        )
        self._thread.start()

    def pause(self) -> None:
        """End the thread; connections wait until another one serves."""
        if self._thread is None or self._end is None:
            return
        self._end.close()
        if self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)
        self._thread = self._end = None

    def close(self) -> None:
        """Remove the socket and end the thread."""
        self.pause()
        self.abandon()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def abandon(self) -> None:
        """Close this process's reference to the socket, which is that of another process."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def check_onlookers() -> None:
    """Watch loops no more for those who have not looked for a while."""
    for onlookers in _onlookers:
        onlookers.leave_if_gone()


def end_onlookers() -> None:
    """Watch loops no more for those who looked."""
    while _onlookers:
        _onlookers.pop().leave()


def _serve(listening: socket.socket, end: socket.socket) -> None:
    """Answer one connection after the other, until the other side of `end` is closed."""
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    poll.register(end, select.POLLIN)
    with end:
        while True:
            ready = [
                descriptor for descriptor, _events in poll.poll(1000 * _PATIENCE if _onlookers else None)
            ]
            if end.fileno() in ready:
                return
            check_onlookers()
            if listening.fileno() not in ready:
                continue
            try:
                connection, _address = listening.accept()
            except OSError:  # who asked is gone
                continue
            with connection:
                try:
                    _handle(connection)
                except (messages.BadMessage, OSError):
                    continue  # who asked is gone, slow, or no client of ours


def _handle(connection: socket.socket) -> None:
    """Answer one request, of this user or of root."""
    _pid, uid = sockets.peer_of(connection)
    if uid not in (0, os.geteuid()):
        return
    request = messages.receive(connection, messages.LARGEST_REQUEST, time.monotonic() + _PATIENCE)
    try:
        answer = answer_to(request)
    except Exception as error:
        answer = _refusal(f"{type(error).__name__}: {error}")
    messages.send_encoded(connection, answer, time.monotonic() + _ANSWER_PATIENCE)


def _refusal(reason: str) -> bytes:
    return json.dumps({"error": reason}).encode()


def answer_to(request: dict[str, Any]) -> bytes | bytearray:
    """What the process says to `{"ask": "tasks", "sample": SECONDS}`, or to `{"ask": "nothing"}`.

    With `"live": true`, which the page says, the loops are watched for as long as it goes on asking, and are
    asked how late they are.
    """
    if request.get("ask") == "nothing":
        return b"{}"
    if request.get("ask") != "tasks":
        return _refusal(f"unknown request {request.get('ask')!r}")
    answer = tree_for(request)
    answer[:0] = b'{"tree": '
    answer += b"}"
    return answer


def tree_for(request: dict[str, Any]) -> bytearray:
    """The tree of this process as JSON, as somebody has asked for it."""
    from yibu.inspection import blockages, observed
    from yibu.inspection.encoding import encode

    seconds = min(max(float(request.get("sample", 0)), 0.0), 10.0)
    live = request.get("live") is True
    if live:
        if not _onlookers:
            _onlookers.append(blockages.Onlookers())
        _onlookers[0].look()
    breath = Breath()
    tree = observed.take(seconds, breath, probing=live)
    with yielding():
        answer = encode(tree, breath)
        # What ten thousand tasks have left is freed in pieces, too.
        tasks = list(tree.tasks)
        del tree
        while tasks:
            del tasks[-BATCH:]
            breath()
    return answer
