"""TaskGroup: who is cancelled, in what order, and what exception group comes out."""

import asyncio
import sys

log = []


async def work(name, turns, error=None):
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
        if error:
            raise error
        return name
    except asyncio.CancelledError:
        log.append(f"{name} cancelled")
        raise
    finally:
        log.append(f"{name} ends")


async def attempt(label, body):
    try:
        print(label, await body())
    except BaseExceptionGroup as group:
        print(label, repr(group))
    except BaseException as error:
        print(label, "raised", repr(error))
    # Before 3.13 asyncio forgets to take its own cancellation back.
    left = asyncio.current_task().cancelling() if sys.version_info >= (3, 13) else "?"
    print("  cancelling", left, log)
    log.clear()


async def all_well():
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(name, turns)) for name, turns in (("a", 2), ("b", 1))]
    return [task.result() for task in tasks]


async def one_fails():
    async with asyncio.TaskGroup() as group:
        group.create_task(work("a", 5))
        group.create_task(work("b", 1, ValueError("b")))
        group.create_task(work("c", 1, KeyError("c")))
        group.create_task(work("d", 9))


async def body_fails():
    async with asyncio.TaskGroup() as group:
        group.create_task(work("a", 5))
        await asyncio.sleep(0)
        raise OSError("body")


async def nested():
    async with asyncio.TaskGroup() as outer:
        outer.create_task(work("outer", 9))
        async with asyncio.TaskGroup() as inner:
            inner.create_task(work("inner", 1, ValueError("inner")))
            inner.create_task(work("sibling", 9))


async def cancelled_from_outside():
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(work("a", 9))
            group.create_task(work("b", 9))

    task = asyncio.create_task(body())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel("outside")
    await task


async def late_task():
    async with asyncio.TaskGroup() as group:
        group.create_task(work("a", 1, ValueError("a")))
        try:
            await asyncio.sleep(1000)
        finally:
            coroutine = work("late", 1)
            try:
                group.create_task(coroutine)
            except RuntimeError as error:
                log.append(str(error).split(" <")[0])
                coroutine.close()


async def main():
    for body in (all_well, one_fails, body_fails, nested, cancelled_from_outside, late_task):
        await attempt(body.__name__, body)


asyncio.run(main())
