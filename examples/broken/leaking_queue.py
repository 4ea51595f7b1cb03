"""Broken: a queue without a limit, whose producer is quicker than its consumer, until the memory is full.

    python -m yibu --inspect examples/broken/leaking_queue.py
    python -m yibu ps PID

The command says that the queue grows, and which tasks use it. The cure: `asyncio.Queue(1000)`, whose producer
waits.
"""

import asyncio


async def measure(queue: asyncio.Queue[int]) -> None:
    while True:
        await asyncio.sleep(0.001)
        for number in range(10):
            queue.put_nowait(number)


async def store(queue: asyncio.Queue[int]) -> None:
    while True:
        await queue.get()
        await asyncio.sleep(0.01)  # the database


async def main() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    await asyncio.gather(
        asyncio.create_task(measure(queue), name="measure"), asyncio.create_task(store(queue), name="store")
    )


asyncio.run(main())
