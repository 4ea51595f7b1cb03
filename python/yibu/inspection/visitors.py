"""`Visitors`: connections to the socket that have not asked yet.

One that is silent keeps no other from an answer. A program without a free descriptor is one that people want
to look into, so descriptors are kept for whoever comes then. Made by `server.py`.
"""

import contextlib
import errno
import select
import socket
import time
from collections.abc import Iterator
from typing import Any, Self

from yibu.inspection.own_socket import OwnSocket

_PATIENCE = 5.0
"""Seconds for a request to come."""

_MOST = 32
"""So many are kept; of more the oldest one leaves."""

_SPARES = 3
"""One for a connection, and those that an answer opens for a while: the first one imports modules."""

_PAUSE = 0.1
"""Seconds until a connection is looked for again that could not be accepted."""


class Visitors:
    """What a thread waits for with `poll`, until the end of the `with` block."""

    def __init__(self, listening: socket.socket, poll: select.poll) -> None:
        self._listening = listening
        self._poll = poll
        self._waiting: dict[int, tuple[OwnSocket, float]] = {}
        self._spares: list[OwnSocket] = []
        self._keep_spares()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def admit(self) -> None:
        """Accept a connection."""
        try:
            connection, _address = self._listening.accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                return  # who came is gone
            self._drop_spares()
            try:
                connection, _address = self._listening.accept()
            except OSError:  # the program was faster
                time.sleep(_PAUSE)
                return
        if len(self._waiting) >= _MOST:
            self._leave(next(iter(self._waiting)))
        self._waiting[connection.fileno()] = OwnSocket(connection), time.monotonic()
        self._poll.register(connection, select.POLLIN)

    def who_ask(self, ready: set[int]) -> Iterator[socket.socket]:
        """The connections that have sent something, each until the next one is taken; those that were silent
        for too long leave."""
        for number, (connection, since) in list(self._waiting.items()):
            if number in ready and connection.is_open:
                self._poll.unregister(number)
                yield connection.socket
                self._leave(number)
            elif number in ready or time.monotonic() - since > _PATIENCE:
                self._leave(number)

    def _leave(self, number: int) -> None:
        connection, _since = self._waiting.pop(number)
        with contextlib.suppress(KeyError):
            self._poll.unregister(number)
        connection.close()
        self._keep_spares()

    def _keep_spares(self) -> None:
        self._spares = [spare for spare in self._spares if spare.is_open]
        with contextlib.suppress(OSError):
            while len(self._spares) < _SPARES:
                self._spares.append(OwnSocket(socket.socket(socket.AF_UNIX)))

    def _drop_spares(self) -> None:
        while self._spares:
            self._spares.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: Any) -> None:
        for number in list(self._waiting):
            self._leave(number)
        self._drop_spares()
