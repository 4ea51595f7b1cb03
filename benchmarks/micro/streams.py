"""`StreamReader` without a socket: what parsing and waking cost."""

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark

LINE = b"x" * 31 + b"\n"
SEPARATOR = b"\r\n\r\n"
MESSAGE = b"x" * 28 + SEPARATOR
LINES_A_CHUNK = 500


@benchmark("readline, buffered", count=10_000)
async def readline(asyncio: Namespace, count: int) -> None:
    """Lines that have arrived already."""
    reader = asyncio.StreamReader()
    for _ in range(count // LINES_A_CHUNK):
        reader.feed_data(LINE * LINES_A_CHUNK)
        for _ in range(LINES_A_CHUNK):
            await reader.readline()


@benchmark("readuntil, buffered", count=10_000)
async def readuntil(asyncio: Namespace, count: int) -> None:
    """Messages with a separator of their own that have arrived already."""
    reader = asyncio.StreamReader()
    for _ in range(count // LINES_A_CHUNK):
        reader.feed_data(MESSAGE * LINES_A_CHUNK)
        for _ in range(LINES_A_CHUNK):
            await reader.readuntil(SEPARATOR)


@benchmark("readexactly(32), buffered", count=10_000)
async def readexactly(asyncio: Namespace, count: int) -> None:
    """Records that have arrived already."""
    reader = asyncio.StreamReader()
    for _ in range(count // LINES_A_CHUNK):
        reader.feed_data(LINE * LINES_A_CHUNK)
        for _ in range(LINES_A_CHUNK):
            await reader.readexactly(len(LINE))


@benchmark("feed_data + read, waiting", count=10_000)
async def feed_and_read(asyncio: Namespace, count: int) -> None:
    """A task that waits for every chunk."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    for _ in range(count):
        loop.call_soon(reader.feed_data, LINE)
        await reader.read(1024)
