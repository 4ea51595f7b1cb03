"""Queues, alone and between tasks."""

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark


@benchmark("put_nowait + get_nowait", count=30_000)
async def nowait(asyncio: Namespace, count: int) -> None:
    """Nobody waits."""
    queue = asyncio.Queue()
    for number in range(count):
        queue.put_nowait(number)
        queue.get_nowait()


@benchmark("put + get, never waiting", count=20_000)
async def ready(asyncio: Namespace, count: int) -> None:
    """The coroutine methods when they need not wait."""
    queue = asyncio.Queue()
    for number in range(count):
        await queue.put(number)
        await queue.get()


@benchmark("ping-pong of 2 tasks", count=5_000)
async def ping_pong(asyncio: Namespace, count: int) -> None:
    """One item there and one back."""
    there, back = asyncio.Queue(), asyncio.Queue()

    async def answers() -> None:
        for _ in range(count):
            back.put_nowait(await there.get())

    other = asyncio.create_task(answers())
    for number in range(count):
        there.put_nowait(number)
        await back.get()
    await other


@benchmark("Queue(1), producer and consumer", count=5_000)
async def bounded(asyncio: Namespace, count: int) -> None:
    """Each waits for the other all the time."""
    queue = asyncio.Queue(1)

    async def produces() -> None:
        for number in range(count):
            await queue.put(number)

    other = asyncio.create_task(produces())
    for _ in range(count):
        await queue.get()
    await other
