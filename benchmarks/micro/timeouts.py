"""Time limits and shields."""

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark
from benchmarks.micro.tasks import nothing


@benchmark("timeout() without waiting", count=10_000)
async def timeout_idle(asyncio: Namespace, count: int) -> None:
    """Entering and leaving a time limit."""
    for _ in range(count):
        async with asyncio.timeout(60):
            pass


@benchmark("wait_for(coroutine)", count=10_000)
async def wait_for_coroutine(asyncio: Namespace, count: int) -> None:
    """A coroutine that finishes at once."""
    for _ in range(count):
        await asyncio.wait_for(nothing(), 60)


@benchmark("wait_for(future)", count=5_000)
async def wait_for_future(asyncio: Namespace, count: int) -> None:
    """A future that a callback completes."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await asyncio.wait_for(future, 60)


@benchmark("shield(coroutine)", count=5_000)
async def shield(asyncio: Namespace, count: int) -> None:
    """Protection from cancellation."""
    for _ in range(count):
        await asyncio.shield(nothing())
