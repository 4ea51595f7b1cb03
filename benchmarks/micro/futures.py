"""Futures: creation, results, callbacks, hand-over to a waiting task."""

from benchmarks.contenders import Namespace
from benchmarks.micro.callbacks import nothing
from benchmarks.micro.catalogue import benchmark


@benchmark("done future + await", count=30_000)
async def done_future(asyncio: Namespace, count: int) -> None:
    """A future that has its result already."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        future = loop.create_future()
        future.set_result(None)
        await future


@benchmark("call_soon(set_result) + await", count=10_000)
async def set_by_callback(asyncio: Namespace, count: int) -> None:
    """A future that a callback completes while the task waits."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


@benchmark("set by another task + await", count=10_000)
async def set_by_task(asyncio: Namespace, count: int) -> None:
    """Two tasks that wake each other in turn."""
    loop = asyncio.get_running_loop()
    ping, pong = loop.create_future(), loop.create_future()

    async def answers() -> None:
        nonlocal ping
        for _ in range(count):
            await ping
            ping = loop.create_future()
            pong.set_result(None)

    other = asyncio.create_task(answers())
    for _ in range(count):
        ping.set_result(None)
        await pong
        pong = loop.create_future()
    await other


@benchmark("add_done_callback + set_result", count=10_000)
async def done_callback(asyncio: Namespace, count: int) -> None:
    """A future with one callback."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        future = loop.create_future()
        future.add_done_callback(nothing)
        future.set_result(None)
    await asyncio.sleep(0)


@benchmark("future with 10 callbacks, per callback", count=20_000)
async def many_callbacks(asyncio: Namespace, count: int) -> None:
    """A future with many callbacks."""
    loop = asyncio.get_running_loop()
    for _ in range(count // 10):
        future = loop.create_future()
        for _ in range(10):
            future.add_done_callback(nothing)
        future.set_result(None)
    await asyncio.sleep(0)


@benchmark("set_exception + exception()", count=20_000)
async def exception(asyncio: Namespace, count: int) -> None:
    """A future that fails and is asked why."""
    loop = asyncio.get_running_loop()
    error = ValueError("asked for")
    for _ in range(count):
        future = loop.create_future()
        future.set_exception(error)
        future.exception()
