"""`Server`: the thread that answers `python -m yibu ps`, on a Unix socket for this user and root.

It answers while the loop is blocked or busy, because it needs the interpreter only, and lets go of that all
the time. A fork stops the thread; the child has a socket of its own afterwards, and leaves its parent's
alone. A program that closes all descriptors, as daemons do, closes the thread's, too: it opens the socket
again. Made by `inspecting.py`.
"""

import contextlib
import dataclasses
import json
import logging
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from yibu.inspection import messages, sockets
from yibu.inspection.breath import Breath, uncollected, yielding
from yibu.inspection.kept import Kept
from yibu.inspection.own_socket import OwnSocket
from yibu.inspection.rows import BATCH
from yibu.inspection.visitors import Visitors
from yibu.inspection.wording import reason_of

if TYPE_CHECKING:
    from yibu.inspection.blockages import Onlookers

_PATIENCE = 5.0
"""Seconds for a request to come."""

_WAITING = 64
"""So many connections may wait until they are accepted."""

_ANSWER_PATIENCE = 60.0
"""Seconds for an answer to be taken."""


_LOOKS = 10.0
"""Seconds after which the thread looks whether its descriptors are still its own. The kernel tells of one
that is closed, and not of one whose number is another file's at once."""

_SHORT = 1.0
"""For so many seconds a program does without the garbage collector."""

_PAUSE = 0.1
"""Seconds for a program to close the rest of its descriptors, when it has closed those of the thread."""

_log = logging.getLogger("yibu")

_onlookers: "list[Onlookers]" = []
"""One, or none: those who look at the page."""


class Server:
    """The socket of this process, and the thread that serves it."""

    def __init__(self) -> None:
        self.path = ""
        self._uid = -1
        self._socket: OwnSocket | None = None
        self._end: OwnSocket | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.open()

    def open(self) -> None:
        """Bind the socket of this process, and serve it."""
        self._bind()
        self.start()

    def _bind(self) -> None:
        path = sockets.path_of(os.getpid(), sockets.folder())
        if not sockets.remove_stale(path, _PATIENCE):
            raise OSError(f"{path} is served by another process")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(listening.fileno(), 0o600)  # what the path has from its beginning
            listening.bind(path)
            os.chmod(path, 0o600)
            listening.listen(_WAITING)
        except BaseException:
            listening.close()
            raise
        self.path, self._socket, self._uid = path, OwnSocket(listening), os.geteuid()

    def start(self) -> None:
        """Serve the socket, in a thread that does not keep the process alive."""
        if self._socket is None:
            return
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._over, self._make_end()), name="yibu-inspect", daemon=True
        )
        self._thread.start()

    def _make_end(self) -> OwnSocket:
        """The thread's side of a connection whose other side is closed to end it."""
        ours, theirs = socket.socketpair()
        self._end = OwnSocket(ours)
        return OwnSocket(theirs)

    def _run(self, over: threading.Event, end: OwnSocket) -> None:
        """Serve until the server is told to end, also when the program closes the descriptors meanwhile."""
        is_told = False
        while self._socket is not None:
            _serve(self._socket, end)
            end.close()
            if over.is_set() or over.wait(_PAUSE):
                return
            with self._lock:
                if over.is_set():
                    return
                try:
                    end = self._open_again()
                except OSError as error:
                    _log.warning(
                        "process %d cannot be inspected any more: the program has closed the descriptor of "
                        "its socket, and it cannot be opened again: %s",
                        os.getpid(),
                        error,
                    )
                    return
            if not is_told:
                _log.warning(
                    "the program has closed the descriptor of %s: the socket was opened again", self.path
                )
                is_told = True

    def _open_again(self) -> OwnSocket:
        """Open what the program has closed."""
        for own in (self._socket, self._end):
            if own is not None:
                own.close()
        self._socket = self._end = None
        self._bind()
        return self._make_end()

    def pause(self) -> None:
        """End the thread; connections wait until another one serves."""
        if self._thread is None:
            return
        self._over.set()
        with self._lock:
            if self._end is not None:
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

    def follow_user(self) -> None:
        """Move to the folder of another user when the process has become that user."""
        if self._uid != os.geteuid():
            self.close()
            self.open()

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


def _serve(listening: OwnSocket, end: OwnSocket) -> None:
    """Answer one request after the other, until the other side of `end` is closed, by whomever."""
    poll = select.poll()
    if not listening.is_open or not end.is_open:
        return
    poll.register(listening.socket, select.POLLIN)
    poll.register(end.socket, select.POLLIN)
    with Visitors(listening.socket, poll) as visitors:
        while True:
            often = _onlookers or visitors
            ready = {descriptor for descriptor, _events in poll.poll(1000 * (_PATIENCE if often else _LOOKS))}
            if not listening.is_open or not end.is_open or end.socket.fileno() in ready:
                return
            check_onlookers()
            for connection in visitors.who_ask(ready):
                # Who asked may be gone, slow, or no client of ours.
                with contextlib.suppress(messages.BadMessage, OSError):
                    _handle(connection)
            if listening.socket.fileno() in ready:
                visitors.admit()


class _Free:
    """Since when the thread has no question to answer."""

    since = 0.0


_free = _Free()


def _handle(connection: socket.socket) -> None:
    """Answer one request, of this user or of root."""
    _pid, uid = sockets.peer_of(connection)
    if uid not in (0, os.geteuid()):
        return
    request = messages.receive(connection, messages.LARGEST_REQUEST, time.monotonic() + _PATIENCE)
    kept = Kept(request.get("asked"), _free.since)
    try:
        answer = answer_to(request, kept)
    except Exception as error:
        answer = _refusal(reason_of(error))
    messages.send_encoded(connection, answer, time.monotonic() + _ANSWER_PATIENCE)
    _free.since = time.monotonic()


def _refusal(reason: str) -> bytes:
    return json.dumps({"error": reason}).encode()


def answer_to(request: dict[str, Any], kept: Kept | None = None) -> bytes | bytearray:
    """What the process says to `{"ask": "tasks", "sample": SECONDS}`, or to `{"ask": "nothing"}`.

    With `"live": true`, which the page says, the loops are watched for as long as it goes on asking, and are
    asked how late they are.
    """
    if request.get("ask") == "nothing":
        return b"{}"
    if request.get("ask") != "tasks":
        return _refusal(f"unknown request {request.get('ask')!r}")
    answer = tree_for(request, kept)
    answer[:0] = b'{"tree": '
    answer += b"}"
    return answer


def tree_for(request: dict[str, Any], kept: Kept | None = None) -> bytearray:
    """The tree of this process as JSON, as a client has asked for it."""
    from yibu.inspection import blockages, observed
    from yibu.inspection.encoding import encode

    seconds = min(max(float(request.get("sample", 0)), 0.0), 10.0)
    live = request.get("live") is True
    if live:
        if not _onlookers:
            _onlookers.append(blockages.Onlookers())
        _onlookers[0].look()
    breath = Breath()
    # A collection while the threads are sampled would walk through the descriptions of all tasks.
    with uncollected() if seconds <= _SHORT else contextlib.nullcontext():
        tree = observed.take(seconds, breath, probing=live)
        if kept is not None:
            tree = dataclasses.replace(tree, problems=(*kept.problems(), *tree.problems))
        with yielding():
            answer = encode(tree, breath)
            # What ten thousand tasks have left is freed in pieces, too.
            tasks = list(tree.tasks)
            del tree
            while tasks:
                del tasks[-BATCH:]
                breath()
    return answer
