"""How handles, timers, futures, tasks and loops show themselves in every state."""

import asyncio
import functools


def callback(*args):
    """Something to call."""


class Thing:
    def method(self):
        """Something else to call."""

    def __repr__(self):
        return "<thing>"


async def work(future=None):
    if future is not None:
        await future
    return "worked"


async def main():
    loop = asyncio.get_running_loop()
    thing = Thing()
    for target in (callback, thing.method, functools.partial(callback, 1, key=2), print, "".join, Thing):
        handle = loop.call_soon(target, 5)
        print(handle)
        handle.cancel()
        print(handle)
    timer = loop.call_at(12345.5, callback, "argument")
    print(timer)
    timer.cancel()
    print(timer)

    future = loop.create_future()
    print(future)
    for number in range(4):
        future.add_done_callback(callback)
        print(number, future)
    future.set_result({"a": [1, 2, {"b": future}]})
    print(future)
    failed = loop.create_future()
    failed.set_exception(ValueError("a long text " * 20))
    print(failed)
    failed.exception()
    cancelled = loop.create_future()
    cancelled.cancel("why")
    print(cancelled)

    gate = loop.create_future()
    task = asyncio.create_task(work(gate), name="the task")
    print(task)
    await asyncio.sleep(0)
    print(task)
    print(gate)
    waiter = asyncio.create_task(work(task), name="the waiter")
    await asyncio.sleep(0)
    print(waiter)
    print(task)
    gate.set_result(1)
    await waiter
    print(task, waiter, sep="\n")
    doomed = asyncio.create_task(work(loop.create_future()), name="doomed")
    await asyncio.sleep(0)
    doomed.cancel()
    print(doomed)
    await asyncio.wait([doomed])
    print(doomed)
    gathered = asyncio.gather(work(), loop.create_task(work()))
    print(gathered)
    await gathered
    print(gathered)
    print(loop)
    print(asyncio.Lock(), asyncio.Event(), asyncio.Queue(3), asyncio.Semaphore(2), sep="\n")
    loop.set_debug(True)
    print(loop.call_soon(callback, "shown in debug mode"))
    print(asyncio.create_task(work(), name="debug"))
    print(loop.create_future())


asyncio.run(main())
