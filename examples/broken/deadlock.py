"""Broken: two tasks take two locks, each in its own order, and wait for each other for ever.

    python -m yibu --inspect examples/broken/deadlock.py
    python -m yibu ps PID

The command names both tasks, and which of them holds what. The cure: all tasks take the locks in one order.
"""

import asyncio


async def transfer(source: asyncio.Lock, target: asyncio.Lock) -> None:
    async with source:
        await asyncio.sleep(0.1)  # asks the bank
        async with target:
            print("transferred")


async def main() -> None:
    ann, bob = asyncio.Lock(), asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        group.create_task(transfer(ann, bob), name="ann to bob")
        group.create_task(transfer(bob, ann), name="bob to ann")


asyncio.run(main())
