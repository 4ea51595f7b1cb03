"""Several logs merged into one by time, without reading any of them whole.

    python examples/log_merge.py FILE... [--output merged.log]

Shows files that are read line by line and written with `yibu.files`, many open at once, temporary files, and
an output that appears under its name only when it is complete.
"""

import argparse
import heapq
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import yibu as asyncio
import yibu.files as aiofiles

#: A line begins with its time, in a form whose order is that of texts: 2026-01-31T12:00:00.
Line = str


async def merged(paths: Sequence[Path]) -> AsyncIterator[Line]:
    """Give all lines in the order of their times."""
    async with AsyncExitStack() as stack:
        files = [await stack.enter_async_context(aiofiles.open(path)) for path in paths]
        firsts = await asyncio.gather(*(anext(file, "") for file in files))
        heap = [(line, number) for number, line in enumerate(firsts) if line]
        heapq.heapify(heap)
        while heap:
            line, number = heap[0]
            yield line
            if following := await anext(files[number], ""):
                heapq.heapreplace(heap, (following, number))
            else:
                heapq.heappop(heap)


async def merge(paths: Sequence[Path], output: Path) -> int:
    """Write the lines to a new file; return how many there were."""
    count = 0
    # In the same folder, because a file can be renamed within a file system only.
    async with aiofiles.tempfile.NamedTemporaryFile("w", dir=output.parent, delete=False) as target:
        try:
            async for line in merged(paths):
                await target.write(line if line.endswith("\n") else line + "\n")
                count += 1
            await target.flush()
            await aiofiles.fsync(target.fileno())
            await aiofiles.os.replace(target.name, output)
        except BaseException:
            os.unlink(target.name)
            raise
    return count


async def main(paths: Sequence[Path], output: Path) -> None:
    count = await merge(paths, output)
    size = (await aiofiles.stat(output)).st_size
    print(f"{count} lines, {size} bytes in {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Merge logs by time.")
    parser.add_argument("paths", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--output", type=Path, default=Path("merged.log"))
    given = parser.parse_args()
    asyncio.run(main(given.paths, given.output))
