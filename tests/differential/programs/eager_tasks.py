"""Eager tasks: what runs inside create_task and what later (3.12 and after; nothing before)."""

import asyncio
import sys

log = []


async def quick(name):
    log.append(f"{name} runs in {asyncio.current_task().get_coro().__name__}")
    return name


async def slow(name):
    log.append(f"{name} starts")
    await asyncio.sleep(0)
    log.append(f"{name} resumes")
    return await asyncio.create_task(quick(name + "'"))


async def fail():
    raise ValueError("eager")


async def main():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    for coroutine in (quick("a"), slow("b"), fail()):
        task = asyncio.create_task(coroutine)
        log.append(f"created, done: {task.done()}")
        log.append(repr(task.exception() if task.done() else await task))
    log.append(await asyncio.gather(slow("c"), quick("d"), slow("e")))
    async with asyncio.TaskGroup() as group:
        group.create_task(slow("f"))
        group.create_task(quick("g"))


if sys.version_info >= (3, 12):
    asyncio.run(main())
log.append("end")
print(*log, sep="\n")
