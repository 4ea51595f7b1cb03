"""Files: what the kernel has in its page cache, many files at once, a long stream, lines.

On yibu the library is `yibu.files`; on other loops, and in the column `yibu*`, it is aiofiles. The rows with
"threads" use no library, only the loop's default executor.
"""

import importlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark

PAGE = 4096
#: What a stream is read by.
PIECE = 64 * 1024
#: How many bytes one operation of the stream's row is: so the default count makes 1 GiB.
MEBIBYTE = 1024 * 1024
FILES = 100
LINE = "2026-01-31T12:00:00 a line of a log, with some words in it\n"


def library(asyncio: Namespace) -> Any:
    """The module of files that belongs to what is measured."""
    return importlib.import_module("yibu.files" if asyncio.__name__ == "yibu" else "aiofiles")


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """A folder that is on a disk, which a folder for temporary files need not be."""
    with tempfile.TemporaryDirectory(prefix=".files-", dir=Path.cwd()) as path:
        yield Path(path)


@benchmark("4 KiB cached read", count=2_000)
async def cached_read(asyncio: Namespace, count: int) -> None:
    """The same page again and again: seek and read."""
    async with folder() as path:
        (path / "page").write_bytes(bytes(PAGE))
        async with library(asyncio).open(path / "page", "rb") as file:
            for _ in range(count):
                await file.seek(0)
                await file.read(PAGE)


@benchmark("4 KiB cached read, threads", count=2_000)
async def cached_read_by_threads(asyncio: Namespace, count: int) -> None:
    """The same by `os.pread` in the default executor."""
    loop = asyncio.get_running_loop()
    async with folder() as path:
        (path / "page").write_bytes(bytes(PAGE))
        descriptor = os.open(path / "page", os.O_RDONLY)
        try:
            for _ in range(count):
                await loop.run_in_executor(None, os.pread, descriptor, PAGE, 0)
        finally:
            os.close(descriptor)


@benchmark("100 files at once", count=5_000)
async def files_at_once(asyncio: Namespace, count: int) -> None:
    """Open, read whole and close small files, a hundred at a time."""
    files = library(asyncio)

    async def read(path: Path) -> None:
        async with files.open(path, "rb") as file:
            await file.read()

    async with folder() as path:
        paths = [path / str(number) for number in range(FILES)]
        for each in paths:
            each.write_bytes(bytes(PAGE))
        for _ in range(max(1, count // FILES)):
            await asyncio.gather(*(read(each) for each in paths))


@benchmark("100 files at once, threads", count=5_000)
async def files_at_once_by_threads(asyncio: Namespace, count: int) -> None:
    """The same by `Path.read_bytes` in the default executor."""
    loop = asyncio.get_running_loop()
    async with folder() as path:
        paths = [path / str(number) for number in range(FILES)]
        for each in paths:
            each.write_bytes(bytes(PAGE))
        for _ in range(max(1, count // FILES)):
            await asyncio.gather(*(loop.run_in_executor(None, each.read_bytes) for each in paths))


@benchmark("1 GiB stream, a MiB", count=1_024)
async def stream(asyncio: Namespace, count: int) -> None:
    """Read a large file that has no blocks on the disk from its beginning to its end, 64 KiB at a time."""
    async with folder() as path:
        (path / "large").touch()
        os.truncate(path / "large", count * MEBIBYTE)
        async with library(asyncio).open(path / "large", "rb") as file:
            while await file.read(PIECE):
                pass


@benchmark("1 GiB stream, a MiB, threads", count=1_024)
async def stream_by_threads(asyncio: Namespace, count: int) -> None:
    """The same by `read` of an ordinary file in the default executor."""
    loop = asyncio.get_running_loop()
    async with folder() as path:
        (path / "large").touch()
        os.truncate(path / "large", count * MEBIBYTE)
        with open(path / "large", "rb") as file:
            while await loop.run_in_executor(None, file.read, PIECE):
                pass


@benchmark("lines", count=10_000)
async def lines(asyncio: Namespace, count: int) -> None:
    """Iterate over a text file."""
    async with folder() as path:
        (path / "log").write_text(LINE * count)
        async with library(asyncio).open(path / "log") as file:
            async for _ in file:
                pass


@benchmark("100 B buffered write", count=5_000)
async def small_writes(asyncio: Namespace, count: int) -> None:
    """Write small pieces to a file with a buffer."""
    async with folder() as path:
        async with library(asyncio).open(path / "log", "wb") as file:
            for _ in range(count):
                await file.write(bytes(100))
