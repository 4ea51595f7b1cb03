"""`open` and `wrap`: from an ordinary file to one whose methods are awaited.

Called by programs; calls the builtin `open` in a worker, and makes the classes of `text.py` and `binary.py`.
"""

from __future__ import annotations

import io
import os
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Literal, overload

from yibu import _yibu
from yibu.files.base import AsyncBase, OpeningContext
from yibu.files.binary import AsyncBufferedIOBase, AsyncBufferedReader, AsyncFileIO
from yibu.files.reading import reading_of
from yibu.files.text import AsyncTextIOWrapper
from yibu.files.writing import writing_of

if TYPE_CHECKING:
    from _typeshed import (
        FileDescriptorOrPath,
        OpenBinaryMode,
        OpenBinaryModeReading,
        OpenBinaryModeUpdating,
        OpenBinaryModeWriting,
        OpenTextMode,
    )

    _Opener = Callable[[str, int], int] | None

_open = open

#: The classes for what `open` returns. To ask the abstract classes of `io` takes as long as a system call.
CLASSES: dict[type, type[AsyncBase[Any]]] = {
    io.TextIOWrapper: AsyncTextIOWrapper,
    io.BufferedReader: AsyncBufferedReader,
    io.BufferedRandom: AsyncBufferedReader,
    io.BufferedWriter: AsyncBufferedIOBase,
    io.FileIO: AsyncFileIO,
}

#: Modes in which to open a regular file changes nothing.
READING = ("r", "rb", "rt", "br", "tr")


class NotCachedError(Exception):
    """Opening a file may wait for a disk."""


class Opening:
    """A call of a function that opens a file, made by a worker."""

    __slots__ = ("_arguments", "_file", "_finish", "_unwanted", "func")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        finish: Callable[[Any, dict[str, Any]], Any],
    ) -> None:
        self.func = function
        self._arguments = arguments
        self._finish = finish
        self._file: Any = None
        self._unwanted = False

    def __call__(self) -> Any:
        self._file = self.func(**self._arguments)
        if self._unwanted:
            self._file.close()
        return self._finish(self._file, self._arguments)

    def cancel(self) -> None:
        """The await was cancelled: the file is closed as soon as it is open."""
        self._unwanted = True
        if self._file is not None:
            self._file.close()


async def open_in_worker(
    function: Callable[..., Any],
    arguments: dict[str, Any],
    finish: Callable[[Any, dict[str, Any]], Any],
    loop: AbstractEventLoop | None,
    executor: Executor | None,
) -> Any:
    """Have a worker call a function that opens a file, and `finish` with the file and the arguments.

    If the await is cancelled, the file does not stay open.
    """
    opening = Opening(function, arguments, finish)
    try:
        return await (loop or get_running_loop()).run_in_executor(executor, opening)
    except BaseException:
        opening.cancel()
        raise


@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenTextMode = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> OpeningContext[AsyncTextIOWrapper]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryMode,
    buffering: Literal[0],
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> OpeningContext[AsyncFileIO]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryModeReading | OpenBinaryModeUpdating,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> OpeningContext[AsyncBufferedReader]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryModeWriting,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> OpeningContext[AsyncBufferedIOBase]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> OpeningContext[AsyncBase[Any]]: ...
def open(
    file: FileDescriptorOrPath,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> OpeningContext[Any]:
    """Open a file as the builtin function does. Await the result, or use it with `async with`."""
    arguments = {
        "file": file,
        "mode": mode,
        "buffering": buffering,
        "encoding": encoding,
        "errors": errors,
        "newline": newline,
        "closefd": closefd,
        "opener": opener,
    }
    return OpeningContext(_opened(arguments, loop, executor))


async def _opened(
    arguments: dict[str, Any], loop: AbstractEventLoop | None, executor: Executor | None
) -> AsyncBase[Any]:
    if loop is None:
        get_running_loop()  # an error without one, also where none is needed
    file: AsyncBase[Any] | None = _open_now(arguments)
    if file is None:
        file = await open_in_worker(_open, arguments, _known, loop, executor)
    file._operations.bind(loop, executor)
    return file


def _known(ordinary: Any, arguments: dict[str, Any], regular: bool | None = None) -> AsyncBase[Any]:
    """Find out what can be done with a file that was just opened without waiting."""
    file = class_for(ordinary)(ordinary)
    file._reading = reading_of(ordinary, arguments["newline"], regular)
    file._writing = writing_of(ordinary, arguments["buffering"], arguments["newline"])
    return file


def _open_now(arguments: dict[str, Any]) -> AsyncBase[Any] | None:
    """Open a regular file for reading if that waits for nothing."""
    plain = arguments["mode"] in READING and arguments["opener"] is None and arguments["buffering"] != 1
    if not plain or type(arguments["file"]) is int:
        return None
    try:
        return _known(_open(**{**arguments, "opener": _open_cached}), arguments, regular=True)
    except NotCachedError:
        return None


def _open_cached(path: str | bytes, _flags: int) -> int:
    descriptor = _yibu._open_cached(os.fsencode(path))
    if descriptor is None:
        raise NotCachedError
    return descriptor


@overload
def wrap(
    file: io.TextIOBase, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncTextIOWrapper: ...
@overload
def wrap(
    file: io.BufferedReader | io.BufferedRandom,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AsyncBufferedReader: ...
@overload
def wrap(
    file: io.FileIO, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncFileIO: ...
@overload
def wrap(
    file: io.BufferedIOBase,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AsyncBufferedIOBase: ...
def wrap(
    file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncBase[Any]:
    """Give an ordinary file methods that are awaited."""
    return class_for(file)(file, loop, executor)


def class_for(file: Any) -> type[AsyncBase[Any]]:
    """Which class belongs to an ordinary file; TypeError for what is none."""
    if known := CLASSES.get(type(file)):
        return known
    if isinstance(file, io.TextIOBase):
        return AsyncTextIOWrapper
    if isinstance(file, io.BufferedReader | io.BufferedRandom):
        return AsyncBufferedReader
    if isinstance(file, io.BufferedIOBase):
        return AsyncBufferedIOBase
    if isinstance(file, io.FileIO):
        return AsyncFileIO
    raise TypeError(f"Unsupported io type: {file}.")
