"""aiofiles: files in the threads of the default executor."""

import asyncio
import os
import sys
from pathlib import Path

import aiofiles
import aiofiles.os
import aiofiles.tempfile


async def main(folder):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    path = Path(folder) / f"lines-{os.getpid()}"
    async with aiofiles.open(path, "w") as file:
        await file.writelines(f"{number}\n" for number in range(1000))
    async with aiofiles.open(path) as file:
        assert [int(line) async for line in file] == list(range(1000))
    async with aiofiles.open(path, "rb") as file:
        await file.seek(-4, os.SEEK_END)
        assert await file.read() == b"999\n"

    async def copy(number):
        async with aiofiles.open(path, "rb") as source, aiofiles.tempfile.TemporaryFile() as target:
            while piece := await source.read(1000):
                await target.write(piece)
            await target.seek(0)
            return len(await target.read()) + number

    size = (await aiofiles.os.stat(path)).st_size
    assert await asyncio.gather(*map(copy, range(30))) == [size + number for number in range(30)]
    await aiofiles.os.remove(path)
    assert not await aiofiles.os.path.exists(path)


asyncio.run(main(sys.argv[1]))
