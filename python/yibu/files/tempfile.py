"""Temporary files and folders: the functions of `tempfile`, opened and closed by a worker.

Called by programs; calls `tempfile`, and the classes of `text.py` and `binary.py` for what that opens.
"""

from __future__ import annotations

import sys
import tempfile
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Iterable
from concurrent.futures import Executor
from functools import partial
from types import TracebackType
from typing import Any

from yibu.files.base import AsyncBase, OpeningContext
from yibu.files.opening import class_for, open_in_worker
from yibu.files.operations import Operations

__all__ = ["NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory", "TemporaryFile"]

if sys.version_info >= (3, 12):

    def NamedTemporaryFile(
        mode: str = "w+b",
        buffering: int = -1,
        encoding: str | None = None,
        newline: str | None = None,
        suffix: str | None = None,
        prefix: str | None = None,
        dir: Any = None,
        delete: bool = True,
        delete_on_close: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> OpeningContext[Any]:
        """Open a temporary file that has a name."""
        arguments = _arguments(mode, buffering, encoding, newline, suffix, prefix, dir)
        arguments.update(delete=delete, delete_on_close=delete_on_close)
        return TemporaryFileContext(_opened(tempfile.NamedTemporaryFile, arguments, loop, executor))

else:

    def NamedTemporaryFile(
        mode: str = "w+b",
        buffering: int = -1,
        encoding: str | None = None,
        newline: str | None = None,
        suffix: str | None = None,
        prefix: str | None = None,
        dir: Any = None,
        delete: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> OpeningContext[Any]:
        """Open a temporary file that has a name."""
        arguments = _arguments(mode, buffering, encoding, newline, suffix, prefix, dir)
        arguments.update(delete=delete)
        return TemporaryFileContext(_opened(tempfile.NamedTemporaryFile, arguments, loop, executor))


def TemporaryFile(
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | None = None,
    prefix: str | None = None,
    dir: Any = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> OpeningContext[Any]:
    """Open a temporary file that has no name."""
    arguments = _arguments(mode, buffering, encoding, newline, suffix, prefix, dir)
    return TemporaryFileContext(_opened(tempfile.TemporaryFile, arguments, loop, executor))


def SpooledTemporaryFile(
    max_size: int = 0,
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | None = None,
    prefix: str | None = None,
    dir: Any = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> OpeningContext[AsyncSpooledTemporaryFile]:
    """Open a temporary file that is in memory until it is large."""
    arguments = _arguments(mode, buffering, encoding, newline, suffix, prefix, dir)
    arguments.update(max_size=max_size)
    return OpeningContext(_opened_spooled(arguments, loop, executor))


def TemporaryDirectory(
    suffix: str | None = None,
    prefix: str | None = None,
    dir: Any = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> TemporaryDirectoryContext:
    """Make a temporary folder; as a context manager it gives the path."""
    return TemporaryDirectoryContext(_made_directory((suffix, prefix, dir), loop, executor))


def _arguments(
    mode: str,
    buffering: int,
    encoding: str | None,
    newline: str | None,
    suffix: str | None,
    prefix: str | None,
    folder: Any,
) -> dict[str, Any]:
    return {
        "mode": mode,
        "buffering": buffering,
        "encoding": encoding,
        "newline": newline,
        "suffix": suffix,
        "prefix": prefix,
        "dir": folder,
    }


def _as_it_is(file: Any, _arguments: dict[str, Any]) -> Any:
    return file


async def _opened(
    function: Any, arguments: dict[str, Any], loop: AbstractEventLoop | None, executor: Executor | None
) -> AsyncBase[Any]:
    file = await open_in_worker(function, arguments, _as_it_is, loop, executor)
    # A file with a name is wrapped by an object that deletes it.
    wrapped = class_for(getattr(file, "file", file))(file, loop, executor)
    if hasattr(file, "delete"):
        wrapped.delete = file.delete  # type: ignore[attr-defined]  # what aiofiles gives
    return wrapped


async def _opened_spooled(
    arguments: dict[str, Any], loop: AbstractEventLoop | None, executor: Executor | None
) -> AsyncSpooledTemporaryFile:
    file = await open_in_worker(tempfile.SpooledTemporaryFile, arguments, _as_it_is, loop, executor)
    return AsyncSpooledTemporaryFile(file, loop, executor)


async def _made_directory(
    arguments: tuple[Any, ...], loop: AbstractEventLoop | None, executor: Executor | None
) -> AsyncTemporaryDirectory:
    make = partial(tempfile.TemporaryDirectory, *arguments)
    folder: Any = await (loop or get_running_loop()).run_in_executor(executor, make)
    return AsyncTemporaryDirectory(folder, loop, executor)


class AsyncSpooledTemporaryFile(AsyncBase[Any]):
    """A temporary file that is in memory until it is large. While it is in memory nothing waits."""

    async def _run(self, function: Any, *args: Any) -> Any:
        if self._operations.running is None and not self._file._rolled:
            return function(*args)
        return await self._operations.run(function, *args)

    async def close(self) -> None:
        """Close the file."""
        if self._operations.running is None and not self._file._rolled:
            self._file.close()
        else:
            await super().close()

    async def write(self, data: Any, /) -> int:
        """Write; the file goes to the disk when it has become too large."""
        if self._operations.running is None and self._stays_in_memory(len(data)):
            return self._file.write(data)  # type: ignore[no-any-return]
        return await self._operations.run(self._file.write, data)

    async def writelines(self, lines: Iterable[Any], /) -> None:
        """Write several pieces; the file goes to the disk when it has become too large."""
        await self._operations.run(self._file.writelines, lines)

    def _stays_in_memory(self, more: int) -> bool:
        largest = self._file._max_size
        return not self._file._rolled and (not largest or self._file.tell() + more <= largest)

    async def rollover(self) -> None:
        """Put the file on the disk now."""
        await self._operations.run(self._file.rollover)

    async def fileno(self) -> int:  # type: ignore[override]  # a descriptor needs a disk, so it is awaited
        """Put the file on the disk, and return its descriptor."""
        return await self._operations.run(self._file.fileno)

    @property
    def encoding(self) -> str | None:
        """The encoding."""
        return self._file.encoding  # type: ignore[no-any-return]

    @property
    def newlines(self) -> Any:
        """The ends of lines that were read so far."""
        return self._file.newlines


class AsyncTemporaryDirectory:
    """A temporary folder."""

    def __init__(
        self, folder: Any, loop: AbstractEventLoop | None = None, executor: Executor | None = None
    ) -> None:
        self._file = folder
        self._operations = Operations(loop, executor)

    @property
    def name(self) -> Any:
        """The path."""
        return self._file.name

    async def cleanup(self) -> None:
        """Delete the folder with all that is in it, even if the await is cancelled."""
        await self._operations.run_to_the_end(self._file.cleanup)

    async def close(self) -> None:
        """Do the same."""
        await self.cleanup()


class TemporaryFileContext(OpeningContext[Any]):
    """What opens a temporary file. A file with `delete_on_close=False` is deleted at its end."""

    __slots__ = ()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        file, self._object = self._object, None
        if file is not None:
            await file._operations.run_to_the_end(file._file.__exit__, exc_type, exc_val, exc_tb)


class TemporaryDirectoryContext(OpeningContext[Any]):
    """What `TemporaryDirectory` returns: awaited it gives the object, as a context manager the path."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        return (await self).name
