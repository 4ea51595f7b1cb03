"""`call_soon`: how cheap is one callback."""

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark


def nothing(*_arguments: object) -> None:
    """The callback of every benchmark that counts only the loop's own work."""


@benchmark("call_soon, batch", count=30_000)
async def call_soon_batch(asyncio: Namespace, count: int) -> None:
    """All callbacks are scheduled before the first of them runs."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        loop.call_soon(nothing)
    await asyncio.sleep(0)


@benchmark("call_soon with arguments, batch", count=30_000)
async def call_soon_arguments(asyncio: Namespace, count: int) -> None:
    """The same with two positional arguments."""
    loop = asyncio.get_running_loop()
    for number in range(count):
        loop.call_soon(nothing, number, None)
    await asyncio.sleep(0)


@benchmark("call_soon, chain", count=20_000)
async def call_soon_chain(asyncio: Namespace, count: int) -> None:
    """Every callback schedules the next, so that each takes a turn of the loop."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    remaining = count

    def step() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining:
            loop.call_soon(step)
        else:
            done.set_result(None)

    loop.call_soon(step)
    await done


@benchmark("call_soon + cancel", count=30_000)
async def call_soon_cancel(asyncio: Namespace, count: int) -> None:
    """Callbacks cancelled before they run."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        loop.call_soon(nothing).cancel()
    await asyncio.sleep(0)
