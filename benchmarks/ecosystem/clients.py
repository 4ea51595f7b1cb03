"""The measured clients. Each is given the address of its far end and yields what does the operations.

Several tasks work at the same time, as in a service that asks another one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Work = Callable[[int], Awaitable[None]]
TASKS = 10


async def _shared(count: int, operation: Callable[[], Awaitable[None]]) -> None:
    """Let some tasks share the operations."""

    async def some() -> None:
        for _ in range(count // TASKS):
            await operation()

    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(some())


@asynccontextmanager
async def aiohttp_client(address: str) -> AsyncIterator[Work]:
    """GET and read JSON on kept connections."""
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def get() -> None:
            async with session.get(address) as answer:
                assert (await answer.json())["number"] == 1

        yield lambda count: _shared(count, get)


@asynccontextmanager
async def httpx_client(address: str) -> AsyncIterator[Work]:
    """GET and read JSON on kept connections."""
    import httpx

    async with httpx.AsyncClient() as client:

        async def get() -> None:
            assert (await client.get(address)).json()["number"] == 1

        yield lambda count: _shared(count, get)


@asynccontextmanager
async def redis_get(address: str) -> AsyncIterator[Work]:
    """GET of a small value."""
    import redis.asyncio as redis

    async with redis.from_url(address) as client:
        await client.set("key", "value")

        async def get() -> None:
            assert await client.get("key") == b"value"

        yield lambda count: _shared(count, get)


@asynccontextmanager
async def redis_pipeline(address: str) -> AsyncIterator[Work]:
    """A hundred GETs in each round trip."""
    import redis.asyncio as redis

    async with redis.from_url(address) as client:
        await client.set("key", "value")

        async def hundred() -> None:
            async with client.pipeline(transaction=False) as pipe:
                for _ in range(100):
                    pipe.get("key")
                assert len(await pipe.execute()) == 100

        yield lambda count: _shared(count // 100, hundred)


@asynccontextmanager
async def asyncpg_select(address: str) -> AsyncIterator[Work]:
    """SELECT 1 with a pool's connections."""
    import asyncpg

    async with asyncpg.create_pool(address, min_size=TASKS, max_size=TASKS) as pool:

        async def select() -> None:
            assert await pool.fetchval("SELECT 1") == 1

        yield lambda count: _shared(count, select)


@asynccontextmanager
async def dask_tasks(_address: str) -> AsyncIterator[Work]:
    """Scheduler, worker and client in one process: small tasks, each with a message to and fro."""
    from distributed import Client, Scheduler, Worker

    async with (
        Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler,
        Worker(scheduler.address, nthreads=1, dashboard=False),
        Client(scheduler.address, asynchronous=True) as client,
    ):
        done = 0

        async def work(count: int) -> None:
            nonlocal done
            futures = client.map(abs, range(done, done + count))
            done += count
            assert len(await client.gather(futures)) == count

        yield work
