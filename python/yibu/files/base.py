"""What all classes of files share: the methods of the interface of aiofiles, on an ordinary file object.

A method is a coroutine function where the method of the ordinary file may wait for a disk or a device. It
runs in a worker of the loop's default executor, or at once where a class knows that nothing waits
(`reading.py`, `writing.py`). Errors are those of the ordinary file. Called by `opening.py`, `tempfile.py` and
`standard.py`; calls `operations.py` and the file.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from functools import partial, wraps
from types import TracebackType
from typing import Any, AnyStr, Generic, ParamSpec, TypeVar

from yibu.files.operations import Operations
from yibu.files.reading import Reading
from yibu.files.writing import Writing

_P = ParamSpec("_P")
_T = TypeVar("_T")
_F = TypeVar("_F", bound="AsyncBase[Any]")


def wrap(
    func: Callable[_P, _T],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Make a coroutine function that has a worker call `func`. It takes `loop` and `executor` besides."""

    @wraps(func)
    async def run(
        *args: Any, loop: AbstractEventLoop | None = None, executor: Executor | None = None, **kwargs: Any
    ) -> _T:
        call = partial(func, *args, **kwargs) if kwargs else func
        rest = () if kwargs else args
        return await (loop or get_running_loop()).run_in_executor(executor, call, *rest)

    return run  # type: ignore[return-value]  # a ParamSpec takes no keywords besides its own


class AsyncBase(AsyncIterator[AnyStr], Generic[AnyStr]):
    """A file whose methods are awaited."""

    def __init__(
        self, file: Any, loop: AbstractEventLoop | None = None, executor: Executor | None = None
    ) -> None:
        self._file = file
        self._operations = Operations(loop, executor)
        self._reading: Reading[AnyStr] | None = None
        self._writing: Writing | None = None

    def __repr__(self) -> str:
        return f"{object.__repr__(self)} wrapping {self._file!r}"

    def __aiter__(self) -> AsyncIterator[AnyStr]:
        return self

    async def __anext__(self) -> AnyStr:
        reading = self._reading
        if reading is not None and self._operations.running is None:
            if reading.lines:
                return reading.lines.pop()
            reading.reads_lines = True
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def _run(self, function: Callable[..., _T], *args: Any) -> _T:
        """Have a worker call a function of the file when it is its turn."""
        if self._reading is not None:
            return await self._operations.run(self._at_position, function, *args)
        return await self._operations.run(function, *args)

    def _at_position(self, function: Callable[..., _T], *args: Any) -> _T:
        """In the worker: go to the position that the program sees, and call the function there."""
        if self._reading is not None:
            self._reading.give_back()
        return function(*args)

    def _is_cached(self, size: int | None) -> bool:
        """Whether this thread may read now: the file is not in use, and the data are in the page cache."""
        return (
            self._reading is not None
            and self._operations.running is None
            and not self._file.closed
            and self._reading.is_cached(size)
        )

    def _seek_to_shown_position(self) -> None:
        """Go to the position that the program sees, for what the program does with the parts of the file."""
        if self._reading is not None:
            self._reading.give_back()
            self._reading = None
        self._writing = None

    async def close(self) -> None:
        """Close the file when the operations before are over, even if the await is cancelled."""
        reading = self._reading
        if reading is None:
            await self._operations.run_to_the_end(self._file.close)
        elif self._operations.running is None:
            # Nothing is written when a file is closed that was opened for reading.
            self._close()
        else:
            await self._operations.run_to_the_end(self._close)

    def _close(self) -> None:
        if self._reading is not None:
            self._reading.forget()
        self._file.close()

    async def flush(self) -> None:
        """Hand what is buffered to the kernel."""
        flush = self._file.flush
        await self._run(flush if self._writing is None else self._writing.flush)

    async def isatty(self) -> bool:
        """Tell whether the file is a terminal."""
        return await self._run(self._file.isatty)

    async def read(self, size: int | None = -1, /) -> AnyStr:
        """Read as much as the ordinary file's method does."""
        read: Callable[..., AnyStr] = self._file.read
        if self._is_cached(size):
            return read(size)
        return await self._run(read, size)

    async def readline(self, size: int | None = -1, /) -> AnyStr:
        """Read up to the end of a line."""
        reading = self._reading
        if reading is None or type(size) is not int or size >= 0 or self._file.closed:
            return await self._run(self._file.readline, size)
        if self._operations.running is not None:
            return await self._operations.run(reading.line_in_turn)
        if reading.lines:
            return reading.lines.pop()
        line = reading.line_now()
        return await self._operations.run(reading.line_in_turn) if line is None else line

    async def readlines(self, hint: int | None = -1, /) -> list[AnyStr]:
        """Read the lines up to the end of the file, or until `hint` is passed."""
        return await self._run(self._file.readlines, hint)

    async def seek(self, target: int, whence: int = 0, /) -> int:
        """Move the position; return the new one."""
        reading = self._reading
        if reading is not None and self._operations.running is None and reading.seeks_now(whence):
            position: int = self._file.seek(target, whence)
            reading.forget()
            return position
        return await self._run(self._file.seek, target, whence)

    async def seekable(self) -> bool:
        """Tell whether the file has a position."""
        return await self._run(self._file.seekable)

    async def tell(self) -> int:
        """Return the position."""
        reading = self._reading
        if reading is not None and self._operations.running is None and not reading.is_ahead():
            return self._file.tell()  # type: ignore[no-any-return]
        return await self._run(self._file.tell)

    async def truncate(self, size: int | None = None, /) -> int:
        """Cut the file, or make it longer; return its new size."""
        return await self._run(self._file.truncate, size)

    async def writable(self) -> bool:
        """Tell whether the file was opened for writing."""
        return await self._run(self._file.writable)

    async def write(self, data: Any, /) -> int:
        """Write as much as the ordinary file's method does; return how much that is."""
        writing = self._writing
        if writing is None:
            return await self._run(self._file.write, data)
        size = writing.size(data)
        if self._operations.running is None and writing.fits(size):
            return self._file.write(data)  # type: ignore[no-any-return]
        return await self._operations.run(writing.write, data, size)

    async def writelines(self, lines: Iterable[Any], /) -> None:
        """Write several pieces, one after the other."""
        if self._writing is None:
            await self._run(self._file.writelines, lines)
        else:
            await self._run(self._writing.write_lines, lines)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()  # type: ignore[no-any-return]

    @property
    def closed(self) -> bool:
        """Whether the file was closed."""
        return self._file.closed  # type: ignore[no-any-return]

    @property
    def name(self) -> Any:
        """What was opened: a path, or a descriptor."""
        return self._file.name

    @property
    def mode(self) -> str:
        """The mode."""
        return self._file.mode  # type: ignore[no-any-return]


class Indirect:
    """Mixed into the class of a stream that is looked up at each use, as `sys.stdout`."""

    _reading: Any
    _writing: Any

    def __init__(
        self,
        name: str,
        loop: AbstractEventLoop | None,
        executor: Executor | None,
        indirect: Callable[[], Any],
    ) -> None:
        self._name = name
        self._indirect = indirect
        self._operations = Operations(loop, executor)
        self._reading = None
        self._writing = None

    @property
    def _file(self) -> Any:
        return self._indirect()


class OpeningContext(Awaitable[_F], AbstractAsyncContextManager[_F]):
    """What `open` returns: awaited it gives the file; as a context manager it closes the file at the end."""

    __slots__ = ("_coroutine", "_object")

    def __init__(self, coroutine: Coroutine[Any, Any, _F]) -> None:
        self._coroutine = coroutine
        self._object: _F | None = None

    def __await__(self) -> Generator[Any, Any, _F]:
        if self._object is None:
            self._object = yield from self._coroutine.__await__()
        return self._object

    async def __aenter__(self) -> _F:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        file, self._object = self._object, None
        if file is not None:
            await file.close()
