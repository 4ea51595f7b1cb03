"""Many awaitables at once: `gather`, `TaskGroup`, `wait`, `as_completed`. The cost is per child."""

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark
from benchmarks.micro.tasks import nothing


@benchmark("gather 100", count=10_000)
async def gather_hundred(asyncio: Namespace, count: int) -> None:
    """A wide fan-out."""
    for _ in range(count // 100):
        await asyncio.gather(*(nothing() for _ in range(100)))


@benchmark("gather 10", count=10_000)
async def gather_ten(asyncio: Namespace, count: int) -> None:
    """A narrow fan-out."""
    for _ in range(count // 10):
        await asyncio.gather(*(nothing() for _ in range(10)))


@benchmark("TaskGroup of 10", count=10_000)
async def task_group(asyncio: Namespace, count: int) -> None:
    """The structured form."""
    for _ in range(count // 10):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(nothing())


@benchmark("wait for 10", count=10_000)
async def wait(asyncio: Namespace, count: int) -> None:
    """Until all are done."""
    for _ in range(count // 10):
        await asyncio.wait([asyncio.create_task(nothing()) for _ in range(10)])


@benchmark("as_completed of 10", count=10_000)
async def as_completed(asyncio: Namespace, count: int) -> None:
    """One after the other as they finish."""
    for _ in range(count // 10):
        for each in asyncio.as_completed([nothing() for _ in range(10)]):
            await each
