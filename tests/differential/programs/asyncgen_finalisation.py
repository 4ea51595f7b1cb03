"""When asynchronous generators that nobody finishes are closed."""

import asyncio
import gc

log = []


async def numbers(name):
    try:
        for number in range(5):
            yield number
    except GeneratorExit:
        log.append(f"{name} exits")
        raise
    finally:
        await asyncio.sleep(0)
        log.append(f"{name} closed in a task of its own: {asyncio.current_task() is not main_task}")


async def stubborn():
    try:
        yield 1
    finally:
        raise ValueError("in finally")


async def main():
    global main_task  # noqa: PLW0603
    main_task = asyncio.current_task()
    async for number in numbers("finished"):
        log.append(f"finished {number}")
    async for _ in numbers("broken out of"):
        break
    gc.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    log.append("after break")
    kept = numbers("kept")
    log.append(await anext(kept))
    doubled = [number * 2 async for number in numbers("comprehension") if number % 2]
    log.append(doubled)
    global left, bad
    left, bad = numbers("left"), stubborn()
    log.append(await left.asend(None))
    await anext(bad)
    closed = numbers("closed")
    await anext(closed)
    await closed.aclose()
    try:
        await closed.asend(1)
    except StopAsyncIteration:
        log.append("closed ended")
    thrown = numbers("thrown")
    await anext(thrown)
    try:
        await thrown.athrow(KeyError("into it"))
    except KeyError as error:
        log.append(f"thrown {error}")
    await kept.aclose()


def handler(loop, context):
    log.append((context["message"].split(" <")[0], repr(context["exception"]), context["asyncgen"] is bad))


with asyncio.Runner() as runner:
    runner.get_loop().set_exception_handler(handler)
    runner.run(main())
    log.append("runner closes")
print(*log, sep="\n")
