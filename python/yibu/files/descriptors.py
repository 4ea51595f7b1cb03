"""Reads and writes of descriptors, and questions about paths, awaited: `os.read`, `os.pread` and their like.

A read that the page cache answers is done at once; everything else is a call of the function of `os` in a
worker of the loop's default executor. Arguments, buffers for example, are kept until the call has returned,
also when the await is cancelled. Called by programs; calls the extension module and `os`.
"""

from __future__ import annotations

import os
from asyncio import get_running_loop
from collections.abc import Iterator
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, AnyStr, Generic, overload

from yibu import _yibu
from yibu.files.operations import Operations

if TYPE_CHECKING:
    from _typeshed import FileDescriptorOrPath, ReadableBuffer, StrOrBytesPath

#: How many entries of a folder a worker reads at once.
ENTRIES = 256


async def read(fd: int, n: int, /) -> bytes:
    """Read from the position of a descriptor: `os.read`."""
    data = _yibu._read_cached(fd, n, -1) if n > 0 else None
    if data is None:
        return await get_running_loop().run_in_executor(None, os.read, fd, n)
    while 0 < len(data) < n:
        # The end of the file, or of what is cached.
        more = _yibu._read_cached(fd, n - len(data), -1)
        if more is None:
            more = await get_running_loop().run_in_executor(None, os.read, fd, n - len(data))
        if not more:
            break
        data += more
    return data


async def pread(fd: int, n: int, offset: int, /) -> bytes:
    """Read from an offset of a file: `os.pread`."""
    data = _yibu._read_cached(fd, n, offset) if n > 0 and offset >= 0 else None
    if data is None:
        return await get_running_loop().run_in_executor(None, os.pread, fd, n, offset)
    while 0 < len(data) < n:
        more = _yibu._read_cached(fd, n - len(data), offset + len(data))
        if more is None:
            more = await get_running_loop().run_in_executor(
                None, os.pread, fd, n - len(data), offset + len(data)
            )
        if not more:
            break
        data += more
    return data


async def write(fd: int, data: ReadableBuffer, /) -> int:
    """Write at the position of a descriptor; return how many bytes were written: `os.write`."""
    return await get_running_loop().run_in_executor(None, os.write, fd, data)


async def pwrite(fd: int, data: ReadableBuffer, offset: int, /) -> int:
    """Write at an offset of a file; return how many bytes were written: `os.pwrite`."""
    return await get_running_loop().run_in_executor(None, os.pwrite, fd, data, offset)


async def fsync(fd: int, /) -> None:
    """Wait until the disk has what was written to a file: `os.fsync`."""
    await get_running_loop().run_in_executor(None, os.fsync, fd)


async def stat(
    path: FileDescriptorOrPath, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> os.stat_result:
    """Ask what a file is: `os.stat`."""
    if dir_fd is None and follow_symlinks:
        return await get_running_loop().run_in_executor(None, os.stat, path)
    return await get_running_loop().run_in_executor(None, _stat, path, dir_fd, follow_symlinks)


def _stat(path: FileDescriptorOrPath, dir_fd: int | None, follow_symlinks: bool) -> os.stat_result:
    return os.stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)


class Entries(Generic[AnyStr]):
    """The entries of a folder, an asynchronous iterator and context manager. Workers read many at a time."""

    def __init__(self, path: Any) -> None:
        self._path = path
        self._entries: Iterator[os.DirEntry[AnyStr]] | None = None
        self._ahead: list[os.DirEntry[AnyStr]] = []
        self._ended = False
        self._operations = Operations(None, None)

    def __aiter__(self) -> Entries[AnyStr]:
        return self

    async def __anext__(self) -> os.DirEntry[AnyStr]:
        if not self._ahead and not self._ended:
            await self._operations.run(self._read)
        if not self._ahead:
            raise StopAsyncIteration
        return self._ahead.pop()

    def _read(self) -> None:
        if self._ahead or self._ended:
            # The await that wanted these was cancelled.
            return
        if self._entries is None:
            self._entries = os.scandir(self._path)
        ahead = list(islice(self._entries, ENTRIES))
        self._ended = len(ahead) < ENTRIES
        self._ahead = ahead[::-1]

    async def aclose(self) -> None:
        """End the iteration before the last entry."""
        await self._operations.run_to_the_end(self._close)

    def _close(self) -> None:
        self._ended = True
        self._ahead = []
        if self._entries is not None:
            self._entries.close()  # type: ignore[attr-defined]  # an iterator of os.scandir has it

    async def __aenter__(self) -> Entries[AnyStr]:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


@overload
def scandir(path: str | os.PathLike[str] | int | None = None) -> Entries[str]: ...
@overload
def scandir(path: bytes | os.PathLike[bytes]) -> Entries[bytes]: ...
def scandir(path: StrOrBytesPath | int | None = None) -> Entries[Any]:
    """Iterate over the entries of a folder: `os.scandir`, for `async for`."""
    return Entries("." if path is None else path)
