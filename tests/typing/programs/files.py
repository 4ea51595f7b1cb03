"""Files: what `open` gives depends on the mode, as the builtin's result does."""

import os
from typing import assert_type

import yibu.files as aiofiles
from yibu.files.binary import AsyncBufferedIOBase, AsyncBufferedReader, AsyncFileIO
from yibu.files.text import AsyncTextIOWrapper


async def texts(path: str) -> None:
    async with aiofiles.open(path, encoding="utf-8") as file:
        assert_type(file, AsyncTextIOWrapper)
        assert_type(await file.read(), str)
        assert_type(await file.readlines(), list[str])
        assert_type(await file.tell(), int)
        assert_type(file.encoding, str)
        async for line in file:
            assert_type(line, str)


async def binaries(path: os.PathLike[str]) -> None:
    reader = await aiofiles.open(path, "rb")
    assert_type(reader, AsyncBufferedReader)
    assert_type(await reader.peek(), bytes)
    assert_type(await reader.readinto(bytearray(3)), int)
    await reader.close()
    assert_type(await aiofiles.open(path, "wb"), AsyncBufferedIOBase)
    assert_type(await aiofiles.open(path, "rb", buffering=0), AsyncFileIO)


async def others(path: str) -> None:
    assert_type(await aiofiles.os.stat(path), os.stat_result)
    assert_type(await aiofiles.os.path.exists(path), bool)
    assert_type(await aiofiles.pread(0, 10, 0), bytes)
    assert_type(await aiofiles.pwrite(0, memoryview(b"x"), 0), int)
    async with aiofiles.scandir(path) as entries:
        async for entry in entries:
            assert_type(entry, os.DirEntry[str])
