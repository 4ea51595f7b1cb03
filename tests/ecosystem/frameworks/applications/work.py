"""What the service of every framework does for a request."""

import asyncio
import os
import uuid
from pathlib import Path

#: A folder in which a request for 0 leaves a file while it waits for the file `release`.
WAITING = "WAITING_FOLDER"


async def work(number):
    """Wait for tasks, a queue and a thread; return the loop's module and twice the number."""
    if number == 0 and WAITING in os.environ:
        await wait_for_release(Path(os.environ[WAITING]))
    queue = asyncio.Queue()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(queue.put(1))
        halves = [await queue.get() for _ in range(number)]
    other = await asyncio.to_thread(lambda: number)
    await asyncio.sleep(0.001)
    return {"loop": type(asyncio.get_running_loop()).__module__, "twice": sum(halves) + other}


async def wait_for_release(folder):
    """Keep the request in flight until the test lets it go on."""
    mark = folder / f"waiting-{uuid.uuid4()}"
    mark.touch()
    try:
        async with asyncio.timeout(30):
            while not (folder / "release").exists():
                await asyncio.sleep(0.01)
    finally:
        mark.unlink()
