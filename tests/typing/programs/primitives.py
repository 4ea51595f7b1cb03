"""Tasks, futures, handles and what tasks wait with, each named by the type that asyncio's users write."""

import socket
from collections.abc import Callable, Coroutine
from typing import Any, assert_type

import yibu as asyncio


async def answer(text: str) -> int:
    await asyncio.sleep(0)
    return len(text)


async def tasks() -> None:
    task: asyncio.Task[int] = asyncio.create_task(answer("a"), name="a")
    assert_type(await task, int)
    loop = asyncio.get_running_loop()
    other: asyncio.Task[int] = loop.create_task(answer("b"))
    group_result: asyncio.Task[int]
    async with asyncio.TaskGroup() as group:
        group_result = group.create_task(answer("c"))
    current: asyncio.Task[Any] | None = asyncio.current_task()
    everything: set[asyncio.Task[Any]] = asyncio.all_tasks()
    a, b = await asyncio.gather(answer("d"), answer("e"))
    assert_type((a, b), tuple[int, int])
    done, pending = await asyncio.wait([other, group_result], return_when=asyncio.FIRST_COMPLETED)
    assert_type(done, set[asyncio.Task[int]])
    assert_type(await asyncio.wait_for(answer("f"), timeout=1), int)
    assert_type(await asyncio.to_thread(len, "g"), int)
    shielded: asyncio.Future[int] = asyncio.shield(other)
    print(current, everything, pending, shielded, asyncio.isfuture(task))


async def futures() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_soon(future.set_result, "done")
    assert_type(await future, str)
    own: asyncio.Future[bytes] = asyncio.Future()
    own.cancel()
    in_thread: asyncio.Future[int] = loop.run_in_executor(None, len, "x")
    ensured: asyncio.Task[int] = asyncio.ensure_future(answer("y"))
    print(await in_thread, await ensured)


async def handles() -> None:
    loop = asyncio.get_running_loop()
    handle: asyncio.Handle = loop.call_soon(print, "soon")
    timer: asyncio.TimerHandle = loop.call_later(0.1, print, "later")
    pending: list[asyncio.Handle] = [handle, timer]
    for each in pending:
        each.cancel()
    assert_type(timer.when(), float)


async def primitives() -> None:
    lock = asyncio.Lock()
    async with lock, asyncio.Semaphore(2), asyncio.timeout(1) as limit:
        deadline: asyncio.Timeout = limit
    event, barrier = asyncio.Event(), asyncio.Barrier(1)
    queue: asyncio.Queue[int] = asyncio.PriorityQueue(maxsize=1)
    await queue.put(1)
    assert_type(await queue.get(), int)
    condition = asyncio.Condition(lock)
    async with condition:
        condition.notify_all()
    print(event, barrier, deadline)


def run_everything() -> None:
    parts: list[Callable[[], Coroutine[Any, Any, None]]] = [tasks, futures, handles, primitives]
    for part in parts:
        asyncio.run(part())
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert_type(runner.run(answer("z")), int)
        loop: asyncio.AbstractEventLoop = runner.get_loop()
        print(loop)


def loop_by_hand() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    assert_type(loop, asyncio.EventLoop)
    future: asyncio.Future[str] = loop.create_future()
    handle: asyncio.Handle = loop.call_soon_threadsafe(future.set_result, "x")
    task: asyncio.Task[int] = loop.create_task(answer("x"))
    threaded = asyncio.run_coroutine_threadsafe(answer("t"), loop)
    assert_type(threaded.result(1), int)
    loop.add_reader(socket.socket(), print, "readable")
    assert_type(loop.run_until_complete(task), int)
    abstract: asyncio.AbstractEventLoop = loop
    selector: asyncio.SelectorEventLoop = loop
    print(handle, abstract, selector)
    loop.close()
