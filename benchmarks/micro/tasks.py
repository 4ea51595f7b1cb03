"""Tasks: steps, creation, cancellation."""

from contextlib import suppress

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark


async def nothing() -> None:
    """The coroutine of every benchmark that counts only the task's own work."""


@benchmark("sleep(0), 1 task", count=20_000)
async def sleep_alone(asyncio: Namespace, count: int) -> None:
    """One task that yields again and again."""
    sleep = asyncio.sleep
    for _ in range(count):
        await sleep(0)


@benchmark("sleep(0), 100 tasks", count=30_000)
async def sleep_in_company(asyncio: Namespace, count: int) -> None:
    """A hundred tasks that yield in turn."""
    sleep = asyncio.sleep

    async def yields() -> None:
        for _ in range(count // 100):
            await sleep(0)

    tasks = [asyncio.create_task(yields()) for _ in range(100)]
    for task in tasks:
        await task


@benchmark("create_task + await", count=10_000)
async def create_and_await(asyncio: Namespace, count: int) -> None:
    """One task at a time."""
    for _ in range(count):
        await asyncio.create_task(nothing())


@benchmark("create_task, batch", count=10_000)
async def create_batch(asyncio: Namespace, count: int) -> None:
    """All tasks are created before the first of them runs."""
    tasks = [asyncio.create_task(nothing()) for _ in range(count)]
    for task in tasks:
        await task


@benchmark("tasks awaiting tasks, ten deep", count=10_000)
async def ten_deep(asyncio: Namespace, count: int) -> None:
    """Each task makes the next and awaits it; counted per task."""

    async def level(depth: int) -> None:
        if depth:
            await asyncio.create_task(level(depth - 1))

    for _ in range(max(count // 10, 1)):
        await asyncio.create_task(level(9))


@benchmark("100,000 sleeping tasks", count=100_000)
async def sleeping(asyncio: Namespace, count: int) -> None:
    """All sleep before the first of them wakes; counted per task."""
    tasks = [asyncio.create_task(asyncio.sleep(1)) for _ in range(count)]
    for task in tasks:
        await task


@benchmark("loop.create_task + await", count=10_000)
async def loop_create_and_await(asyncio: Namespace, count: int) -> None:
    """The same by the loop's method, as a program without any of yibu's names calls it."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.create_task(nothing())


@benchmark("eager task + await", count=10_000, python=(3, 12))
async def eager_task(asyncio: Namespace, count: int) -> None:
    """Tasks that finish in their eager first step."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await asyncio.Task(nothing(), loop=loop, eager_start=True)


@benchmark("cancel before the first step", count=10_000)
async def cancel_unstarted(asyncio: Namespace, count: int) -> None:
    """A task that is cancelled before it has run."""
    for _ in range(count):
        task = asyncio.create_task(nothing())
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@benchmark("cancel while waiting", count=5_000)
async def cancel_waiting(asyncio: Namespace, count: int) -> None:
    """A task that is cancelled while it waits for a future."""
    loop = asyncio.get_running_loop()

    async def waits() -> None:
        await loop.create_future()

    for _ in range(count):
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@benchmark("cancel storm, 10,000 tasks", count=10_000)
async def cancel_storm(asyncio: Namespace, count: int) -> None:
    """All wait, all are cancelled before the first of them knows, and somebody gathers them."""
    loop = asyncio.get_running_loop()

    async def waits() -> None:
        await loop.create_future()

    tasks = [asyncio.create_task(waits()) for _ in range(count)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@benchmark("current_task()", count=50_000)
async def current_task(asyncio: Namespace, count: int) -> None:
    """Asking who runs, as time-outs and locks do."""
    current = asyncio.current_task
    for _ in range(count):
        current()
