"""`OwnSocket`: a socket whose number the program may close and give to another file. Made by `server.py` and
`visitors.py`.
"""

import os
import socket


class OwnSocket:
    """A socket that the program may close by its number, which another file may then have."""

    def __init__(self, own: socket.socket) -> None:
        self.socket = own
        self._file = _file_of(own)

    @property
    def is_open(self) -> bool:
        """Whether the number is still that of this socket."""
        return self._file is not None and _file_of(self.socket) == self._file

    def close(self) -> None:
        """Close the socket, and leave any other file of that number alone."""
        if self.is_open:
            self.socket.close()
        elif self.socket.fileno() >= 0:
            self.socket.detach()


def _file_of(own: socket.socket) -> tuple[int, int] | None:
    try:
        found = os.fstat(own.fileno())
    except OSError:
        return None
    return found.st_dev, found.st_ino
