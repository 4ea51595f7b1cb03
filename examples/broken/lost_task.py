"""Broken: a task is started and forgotten, so nobody sees what becomes of it.

    python -m yibu --inspect examples/broken/lost_task.py
    python -m yibu ps PID

The command names the task: nothing refers to it and nobody waits for it. If it fails nobody is told in time,
and the garbage collector may destroy it before it ends. The cure: a TaskGroup, or a set that holds the task.
"""

import asyncio


async def write_audit_log(number: int) -> None:
    await asyncio.sleep(3600)  # the server of the log does not answer
    print("written", number)


async def handle(number: int) -> None:
    asyncio.create_task(write_audit_log(number), name=f"audit {number}")


async def main() -> None:
    await handle(1)
    while True:
        await asyncio.sleep(1)


asyncio.run(main())
