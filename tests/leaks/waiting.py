"""Paths through tasks, groups and primitives: waits that are given up, fail, or are never made.

`programs` has the paths that most programs take.
"""

import asyncio
import concurrent.futures
import contextlib
import sys

from tests.leaks.programs import cancelled, failing, path


async def steps(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def given_up(coroutine, turns):
    """Cancel a coroutine after some turns."""
    task = asyncio.ensure_future(coroutine)
    await steps(turns)
    task.cancel()
    await asyncio.wait([task])


@path
async def groups_given_up(place):
    async def group():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(9))
            tasks.create_task(asyncio.sleep(9))

    for turns in range(4):
        await given_up(group(), turns)


@path
async def groups_that_fail(place):
    async def group(fails_itself):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(9))
            tasks.create_task(failing())
            if fails_itself:
                raise KeyError

    for fails_itself in (False, True):
        with contextlib.suppress(BaseExceptionGroup):
            await group(fails_itself)


@path
async def waits_given_up(place):
    future = asyncio.get_running_loop().create_future()
    for wait in (
        asyncio.wait([future], timeout=0),
        asyncio.wait_for(asyncio.shield(future), 0.0001),
        asyncio.wait([future, asyncio.ensure_future(asyncio.sleep(0))], return_when=asyncio.FIRST_COMPLETED),
    ):
        with contextlib.suppress(TimeoutError):
            await wait
    await given_up(asyncio.wait([future]), 1)
    await given_up(asyncio.wait_for(asyncio.shield(future), 9), 1)
    await given_up(steps(9), 3)
    gathering = asyncio.gather(asyncio.shield(future), asyncio.shield(future))
    await asyncio.sleep(0)
    gathering.cancel()
    await asyncio.wait([gathering])


@path
async def completions_given_up(place):
    futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
    for number, step in enumerate(asyncio.as_completed(futures, timeout=9)):
        futures[number].set_result(number)
        if number < 2:
            await step
        else:
            step.close()
    with contextlib.suppress(TimeoutError):
        for step in asyncio.as_completed([asyncio.get_running_loop().create_future()], timeout=0):
            await step
    next(asyncio.as_completed([asyncio.get_running_loop().create_future()])).close()


@path
async def futures_with_callbacks(place):
    loop = asyncio.get_running_loop()
    for end in (
        lambda future: future.set_result(1),
        lambda future: future.cancel("why"),
        lambda future: future.set_exception(ValueError()),
    ):
        future = loop.create_future()
        future.add_done_callback(str)
        future.add_done_callback(repr)
        future.remove_done_callback(str)
        end(future)
        await asyncio.wait([future])
        future.cancelled() or future.exception()


@path
async def futures_of_threads(place):
    loop = asyncio.get_running_loop()
    source = concurrent.futures.Future()
    future = asyncio.wrap_future(source)
    source.set_result(1)
    await future
    asyncio.wrap_future(concurrent.futures.Future()).cancel()
    await loop.run_in_executor(None, lambda: asyncio.run_coroutine_threadsafe(steps(2), loop).result())
    with contextlib.suppress(ValueError):
        await loop.run_in_executor(None, lambda: asyncio.run_coroutine_threadsafe(failing(), loop).result())
    with contextlib.suppress(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 / 0)
    await given_up(asyncio.to_thread(int), 1)


@path
async def primitives_given_up(place):
    condition, barrier, semaphore = asyncio.Condition(), asyncio.Barrier(2), asyncio.Semaphore(0)

    async def wait():
        async with condition:
            await condition.wait_for(lambda: False)

    for turns in range(3):
        await given_up(wait(), turns)
        await given_up(barrier.wait(), turns)
        await given_up(semaphore.acquire(), turns)
    waiting = asyncio.ensure_future(barrier.wait())
    await asyncio.sleep(0)
    await barrier.abort()
    await asyncio.wait([waiting])
    waiting.exception()


@path
async def queues_that_end(place):
    queue = asyncio.LifoQueue()
    queue.put_nowait(1)
    joining = asyncio.ensure_future(queue.join())
    await asyncio.sleep(0)
    await queue.get()
    queue.task_done()
    await joining
    if hasattr(queue, "shutdown"):
        waiting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.shutdown()
        await asyncio.wait([waiting])
        waiting.exception()


@path
async def eager_tasks(place):
    if sys.version_info < (3, 12):
        return
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        await asyncio.gather(steps(0), steps(2))
        await asyncio.gather(failing(), return_exceptions=True)
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(steps(0))
                tasks.create_task(failing())
        await given_up(steps(5), 1)
    finally:
        loop.set_task_factory(None)


@path
async def coroutines_that_never_run(place):
    lock, queue = asyncio.Lock(), asyncio.Queue()
    for coroutine in (asyncio.sleep(1), lock.acquire(), queue.get(), asyncio.wait_for(asyncio.Event(), 1)):
        coroutine.close()
    waiting = queue.get()
    waiting.send(None)
    with contextlib.suppress(KeyError):
        waiting.throw(KeyError())
    waiting = asyncio.sleep(0)
    waiting.send(None)
    waiting.close()


@path
async def generators_given_up(place):
    async def numbers():
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)

    async def use():
        async for _ in numbers():
            await asyncio.sleep(0)

    for turns in range(4):
        await given_up(use(), turns)
    await steps(3)


@path
async def loops(place):
    def use():
        loop = asyncio.new_event_loop()
        loop.call_soon(int)
        loop.call_later(9, int)
        loop.run_until_complete(steps(2))
        loop.run_until_complete(loop.run_in_executor(None, int))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        with asyncio.Runner() as runner:
            runner.run(steps(1))
        asyncio.run(steps(1), debug=True)

    await asyncio.to_thread(use)


@path
async def reports(place):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    future.set_exception(ValueError())
    del future
    task = asyncio.ensure_future(failing())
    await steps(3)
    del task
    loop.call_soon(lambda: 1 / 0)
    await steps(2)
    await cancelled(asyncio.sleep(9))
