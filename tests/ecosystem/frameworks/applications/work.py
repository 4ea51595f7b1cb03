"""What the service of every framework does for a request."""

import asyncio


async def work(number):
    """Wait for tasks, a queue and a thread; return the loop's module and twice the number."""
    queue = asyncio.Queue()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(queue.put(1))
        halves = [await queue.get() for _ in range(number)]
    other = await asyncio.to_thread(lambda: number)
    await asyncio.sleep(0.001)
    return {"loop": type(asyncio.get_running_loop()).__module__, "twice": sum(halves) + other}
