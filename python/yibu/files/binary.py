"""Files of bytes: the classes of aiofiles, by which programs write their types.

Called by `opening.py`, `tempfile.py` and `standard.py`; calls `base.py`.
"""

from __future__ import annotations

import io
from typing import Any

from yibu.files.base import AsyncBase, Indirect


class AsyncBufferedIOBase(AsyncBase[bytes]):
    """A file with a buffer, opened for writing, or an object with such an interface."""

    async def read1(self, size: int = -1, /) -> bytes:
        """Read what is buffered, or what one system call gives."""
        read1 = self._file.read1
        # One system call reads as much as is buffered at most, if the size is not known.
        if self._is_cached(size if size >= 0 else io.DEFAULT_BUFFER_SIZE):
            return read1(size)  # type: ignore[no-any-return]
        return await self._run(read1, size)

    async def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; return how many bytes were read."""
        readinto = self._file.readinto
        if self._reading is not None and self._is_cached(memoryview(buffer).nbytes):
            return readinto(buffer)  # type: ignore[no-any-return]
        return await self._run(readinto, buffer)

    def readable(self) -> bool:
        """Tell whether the file was opened for reading."""
        return self._file.readable()  # type: ignore[no-any-return]

    def detach(self) -> io.RawIOBase:
        """Separate the buffer from the file below it, and return that."""
        self._seek_to_shown_position()
        return self._file.detach()  # type: ignore[no-any-return]

    @property
    def raw(self) -> io.RawIOBase:
        """The file below the buffer."""
        self._seek_to_shown_position()
        return self._file.raw  # type: ignore[no-any-return]


class AsyncBufferedReader(AsyncBufferedIOBase):
    """A file with a buffer, opened for reading, or for both."""

    async def peek(self, size: int = 0, /) -> bytes:
        """Return what is buffered without moving the position."""
        return await self._run(self._file.peek, size)


class AsyncFileIO(AsyncBase[bytes]):
    """A file without a buffer."""

    async def readall(self) -> bytes:
        """Read up to the end."""
        return await self._run(self._file.readall)

    async def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; return how many bytes were read."""
        return await self._run(self._file.readinto, buffer)

    def readable(self) -> bool:
        """Tell whether the file was opened for reading."""
        return self._file.readable()  # type: ignore[no-any-return]


class AsyncIndirectBufferedIOBase(Indirect, AsyncBufferedIOBase):
    """A binary stream that is looked up for each operation, as `sys.stdout.buffer`."""


class AsyncIndirectBufferedReader(Indirect, AsyncBufferedReader):
    """The same with `peek`."""


class AsyncIndirectFileIO(Indirect, AsyncFileIO):
    """The same without a buffer."""
