"""Child processes: their start, their end and their pipes. The CPU time is the parent's."""

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark

PIPE = -1
MEGABYTE = bytes(1024 * 1024)


@benchmark("spawn and wait", count=200)
async def spawn(asyncio: Namespace, count: int) -> None:
    """A program that does nothing, without pipes; the next one when it has ended."""
    for _ in range(count):
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()


@benchmark("communicate, three pipes", count=200)
async def three_pipes(asyncio: Namespace, count: int) -> None:
    """The same with pipes in which nothing moves."""
    for _ in range(count):
        process = await asyncio.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        await process.communicate()


@benchmark("communicate, 1 MiB through cat", count=50)
async def through_cat(asyncio: Namespace, count: int) -> None:
    """There and back, through 64 KiB of pipe each."""
    for _ in range(count):
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        output, _ = await process.communicate(MEGABYTE)
        assert len(output) == len(MEGABYTE)


@benchmark("50 children at once", count=200)
async def at_once(asyncio: Namespace, count: int) -> None:
    """As many as a busy supervisor might start."""

    async def child() -> None:
        await (await asyncio.create_subprocess_exec("true")).wait()

    for first in range(0, count, 50):
        await asyncio.gather(*(child() for _ in range(min(50, count - first))))
