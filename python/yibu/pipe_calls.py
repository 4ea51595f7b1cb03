"""What pipe transports call where a program has replaced `os.read` or `os.write`."""

from asyncio import unix_events
from collections.abc import Iterable
from typing import Any

_os: Any = unix_events.__dict__["os"]


class PipeCalls:
    """The calls of asyncio's pipe transports, under the names that sockets have for them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def recv(self, size: int) -> Any:
        """Read what is there, at most `size` bytes."""
        return _os.read(self._fd, size)

    def send(self, data: Any) -> Any:
        """Write what is taken at once."""
        return _os.write(self._fd, data)

    def sendmsg(self, pieces: Iterable[bytes]) -> Any:
        """Write several pieces as one."""
        return _os.write(self._fd, b"".join(pieces))
