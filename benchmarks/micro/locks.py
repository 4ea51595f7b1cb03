"""Locks, semaphores, events, conditions."""

from collections.abc import Awaitable, Callable

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark

COMPANY = 10


async def _in_company(asyncio: Namespace, work: Callable[[], Awaitable[None]]) -> None:
    """Run the same work in `COMPANY` tasks."""
    tasks = [asyncio.ensure_future(work()) for _ in range(COMPANY)]
    for task in tasks:
        await task


@benchmark("Lock, free", count=30_000)
async def lock_free(asyncio: Namespace, count: int) -> None:
    """Nobody else wants it."""
    lock = asyncio.Lock()
    for _ in range(count):
        async with lock:
            pass


@benchmark("Lock, contended by 10", count=5_000)
async def lock_contended(asyncio: Namespace, count: int) -> None:
    """Every holder yields, so that the others always wait."""
    lock, sleep = asyncio.Lock(), asyncio.sleep

    async def work() -> None:
        for _ in range(count // COMPANY):
            async with lock:
                await sleep(0)

    await _in_company(asyncio, work)


@benchmark("Semaphore, free", count=30_000)
async def semaphore_free(asyncio: Namespace, count: int) -> None:
    """There is always room."""
    semaphore = asyncio.Semaphore(2)
    for _ in range(count):
        async with semaphore:
            pass


@benchmark("Semaphore(2), contended by 10", count=5_000)
async def semaphore_contended(asyncio: Namespace, count: int) -> None:
    """Every holder yields, so that the others always wait."""
    semaphore, sleep = asyncio.Semaphore(2), asyncio.sleep

    async def work() -> None:
        for _ in range(count // COMPANY):
            async with semaphore:
                await sleep(0)

    await _in_company(asyncio, work)


@benchmark("Event, set + wait", count=10_000)
async def event(asyncio: Namespace, count: int) -> None:
    """A callback sets what a task waits for."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    for _ in range(count):
        loop.call_soon(event.set)
        await event.wait()
        event.clear()


@benchmark("Condition, notify + wait", count=5_000)
async def condition(asyncio: Namespace, count: int) -> None:
    """Two tasks that wake each other in turn."""
    condition = asyncio.Condition()
    turn = 0

    async def plays(side: int) -> None:
        nonlocal turn
        for _ in range(count // 2):
            async with condition:
                while turn != side:
                    await condition.wait()
                turn = 1 - side
                condition.notify()

    other = asyncio.create_task(plays(1))
    await plays(0)
    await other
