"""Uses every primitive of asyncio in every way: done at once, after waiting, cancelled, failed, too late.

It needs nothing but asyncio, and checks enough of what comes out to know that it did what it was to do.
"""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import io
import sys
import threading

SINCE_3_12 = sys.version_info >= (3, 12)
SINCE_3_13 = sys.version_info >= (3, 13)
SINCE_3_14 = sys.version_info >= (3, 14)
SINCE_3_15 = sys.version_info >= (3, 15)

LONG = 1000
SOON = 0.001

parts = []

awaited = []
"""What nothing else refers to, nor to the tasks that wait for it."""


def part(function):
    parts.append(function)
    return function


async def give(value, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(error, turns=0):
    await give(None, turns)
    raise error


async def forever():
    awaited.append(asyncio.get_running_loop().create_future())
    await awaited[-1]


async def stubborn():
    try:
        await forever()
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        return "anyway"


class Awaitable:
    def __init__(self, coroutine):
        self.coroutine = coroutine

    def __await__(self):
        return self.coroutine.__await__()


@contextlib.contextmanager
def expected(*errors):
    try:
        yield
    except errors:
        return
    raise AssertionError(f"no {errors}")


async def cancelled(make, turns=2):
    """Start, let it wait, cancel: it has to end with that."""
    task = asyncio.create_task(make())
    await give(None, turns)
    assert not task.done()
    task.cancel("enough")
    with expected(asyncio.CancelledError):
        await task
    assert task.cancelled()


def done_future(result=None, error=None):
    future = asyncio.Future()
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
    return future


# Tasks and futures.


@part
async def futures():
    loop = asyncio.get_running_loop()
    for future in (asyncio.Future(), loop.create_future(), asyncio.futures.Future(loop=loop)):
        called = []
        assert not future.done() and asyncio.isfuture(future) and future.get_loop() is loop
        with expected(asyncio.InvalidStateError):
            future.result()
        with expected(asyncio.InvalidStateError):
            future.exception()
        future.add_done_callback(called.append)
        future.add_done_callback(print)
        future.add_done_callback(called.append, context=contextvars.copy_context())
        assert future.remove_done_callback(print) == 1
        assert "pending" in repr(future)
        loop.call_soon(future.set_result, 3)
        assert await future == 3 == future.result()
        await asyncio.sleep(0)
        assert called == [future, future] and "finished" in repr(future) and future.exception() is None
        with expected(asyncio.InvalidStateError):
            future.set_result(4)
    assert await done_future(1) == 1
    with expected(ValueError):
        await done_future(error=ValueError())
    future = asyncio.Future()
    assert future.cancel("why") and not future.cancel() and future.cancelled()
    with expected(asyncio.CancelledError):
        await future
    with expected(asyncio.CancelledError):
        future.exception()


@part
async def tasks():
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    for make in (
        asyncio.create_task,
        lambda coroutine: asyncio.create_task(coroutine, name="named", context=context),
        lambda coroutine: loop.create_task(coroutine, name="named"),
        asyncio.Task,
        lambda coroutine: asyncio.tasks.Task(coroutine, loop=loop, name="named", context=context),
        asyncio.ensure_future,
        lambda coroutine: asyncio.ensure_future(Awaitable(coroutine)),
        lambda coroutine: asyncio.ensure_future(coroutine, loop=loop),
    ):
        task = make(give(1, 2))
        task.set_name(f"{task.get_name()}, renamed")
        assert task in asyncio.all_tasks() and asyncio.isfuture(task) and task.get_coro() is not None
        assert isinstance(task.get_stack(), list) and "pending" in repr(task)
        await asyncio.sleep(0)
        task.print_stack(file=io.StringIO())
        if SINCE_3_12:
            assert task.get_context() is not None
        with expected(RuntimeError):
            task.set_result(1)
        with expected(RuntimeError):
            task.set_exception(ValueError())
        assert await task == 1 == task.result() and task.exception() is None
        assert task not in asyncio.all_tasks() and not task.cancel()
    assert asyncio.ensure_future(task) is task
    me = asyncio.current_task()
    assert me in asyncio.all_tasks(loop) and asyncio.current_task(loop) is me
    failing = asyncio.create_task(fail(ValueError(), 1))
    with expected(ValueError):
        await failing
    assert isinstance(failing.exception(), ValueError)
    await cancelled(forever)
    await cancelled(forever, 0)
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    assert task.cancel() and task.cancelling() == 1 and task.uncancel() == 0
    assert await task == "anyway"

    async def bad():
        class Bad:
            def __await__(self):
                yield "nonsense"

        await Bad()

    async def itself():
        await asyncio.current_task()

    for broken in (bad, itself):
        with expected(RuntimeError):
            await asyncio.create_task(broken())
    with expected(TypeError):
        asyncio.create_task(None)
    with expected(TypeError):
        asyncio.ensure_future(None)


@part
async def sleeping():
    assert await asyncio.sleep(0, "result") == "result"
    assert await asyncio.sleep(-1, "result") == "result"
    assert await asyncio.sleep(SOON, "result") == "result"
    await cancelled(lambda: asyncio.sleep(LONG))
    await cancelled(lambda: asyncio.sleep(LONG), 0)


# Many at once.


@part
async def gathering():
    assert await asyncio.gather() == []
    assert await asyncio.gather(give(1), give(2, 3), done_future(3), Awaitable(give(4))) == [1, 2, 3, 4]
    with expected(ValueError):
        await asyncio.gather(give(1), fail(ValueError(), 2), give(3, 5))
    one, two = await asyncio.gather(give(1), fail(ValueError()), return_exceptions=True)
    assert one == 1 and isinstance(two, ValueError)
    coroutine = give(5)
    assert await asyncio.gather(coroutine, coroutine) == [5, 5]
    await cancelled(lambda: wait_on(asyncio.gather(forever(), give(1))))
    await cancelled(lambda: wait_on(asyncio.gather(forever(), forever(), return_exceptions=True)))
    child = asyncio.create_task(forever())
    both = asyncio.gather(child, give(1))
    await give(None, 2)
    child.cancel()
    with expected(asyncio.CancelledError):
        await both
    both = asyncio.gather(stubborn(), give(1))
    assert "GatheringFuture" in repr(both)
    await give(None, 2)
    assert both.cancel()
    with expected(asyncio.CancelledError):
        await both


async def wait_on(awaitable):
    return await awaitable


@part
async def shielding():
    assert await asyncio.shield(give(1, 1)) == 1
    assert await asyncio.shield(done_future(1)) == 1
    with expected(ValueError):
        await asyncio.shield(fail(ValueError(), 1))
    inner = asyncio.create_task(give(1, 6))
    await cancelled(lambda: wait_on(asyncio.shield(inner)))
    assert await inner == 1
    inner = asyncio.create_task(forever())
    outer = asyncio.shield(inner)
    inner.cancel()
    with expected(asyncio.CancelledError):
        await outer


@part
async def waiting():
    loop = asyncio.get_running_loop()
    for mode in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED):
        some = [loop.create_task(give(1, 1)), loop.create_task(fail(ValueError(), 3))]
        done, pending = await asyncio.wait(some, return_when=mode)
        assert done and len(done) + len(pending) == 2
        done, pending = await asyncio.wait(some, timeout=LONG)
        assert len(done) == 2 and some[1].exception()
    task = loop.create_task(forever())
    done, pending = await asyncio.wait([task], timeout=SOON)
    assert not done and pending == {task}
    done, pending = await asyncio.wait({task, done_future()}, timeout=0, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == len(pending) == 1
    await cancelled(lambda: asyncio.wait([task]))
    await cancelled(lambda: asyncio.wait([task], timeout=LONG))
    task.cancel()
    for wrong, error in (([], ValueError), (task, TypeError)):
        with expected(error):
            await asyncio.wait(wrong)
    with expected(ValueError):
        await asyncio.wait([task], return_when="never")


@part
async def waiting_for_one():
    for limit in (LONG, None):
        assert await asyncio.wait_for(give(1), limit) == 1
        assert await asyncio.wait_for(give(1, 3), limit) == 1
        assert await asyncio.wait_for(done_future(1), limit) == 1
        with expected(ValueError):
            await asyncio.wait_for(fail(ValueError(), 1), limit)
        await cancelled(lambda limit=limit: asyncio.wait_for(forever(), limit))
    assert await asyncio.wait_for(done_future(1), 0) == 1
    for limit in (SOON, 0, -1):
        for late in (forever, asyncio.Event().wait, asyncio.Queue().get):
            with expected(TimeoutError):
                await asyncio.wait_for(late(), limit)
    assert await asyncio.wait_for(stubborn(), SOON) == "anyway"
    task = asyncio.create_task(forever())
    with expected(TimeoutError):
        await asyncio.wait_for(task, SOON)
    assert task.cancelled()
    with expected(TimeoutError):
        await asyncio.wait_for(asyncio.shield(forever()), SOON)


@part
async def as_they_complete():
    for limit in (None, LONG):
        some = [give(1, 3), give(2, 1), asyncio.create_task(give(3)), done_future(4)]
        assert {await each for each in asyncio.as_completed(some, timeout=limit)} == {1, 2, 3, 4}
    with expected(ValueError):
        for each in asyncio.as_completed([fail(ValueError(), 1)]):
            await each
    with expected(TimeoutError):
        for each in asyncio.as_completed([forever(), give(1)], timeout=SOON):
            await each
    task = asyncio.create_task(forever())
    await cancelled(lambda: wait_on(next(iter(asyncio.as_completed([task])))))
    task.cancel()
    assert list(asyncio.as_completed([])) == []
    with expected(TypeError):
        list(asyncio.as_completed(task))
    if SINCE_3_13:
        task = asyncio.create_task(give(1, 2))
        assert [each async for each in asyncio.as_completed([task, task])] == [task]
        with expected(TimeoutError):
            async for each in asyncio.as_completed([forever()], timeout=SOON):
                await each


# Limits.


@part
async def limits():
    loop = asyncio.get_running_loop()
    for manager in (asyncio.timeout(None), asyncio.timeout(LONG), asyncio.timeout_at(loop.time() + LONG)):
        async with manager as limit:
            assert "active" in repr(limit) and limit.when() != 0
            await asyncio.sleep(0)
            limit.reschedule(loop.time() + LONG)
            limit.reschedule(None)
        assert not limit.expired() and "finished" in repr(limit)
    for manager in (asyncio.timeout(SOON), asyncio.timeout(0), asyncio.timeout_at(loop.time() - 1)):
        with expected(TimeoutError):
            async with manager:
                await forever()
        assert manager.expired()
    with expected(TimeoutError):
        async with asyncio.timeout(LONG) as limit:
            limit.reschedule(loop.time() - 1)
            assert "[" in repr(limit)
            await forever()
    with expected(TimeoutError):
        async with asyncio.timeout(SOON), asyncio.timeout(LONG):
            await forever()
    with expected(ValueError):
        async with asyncio.timeout(LONG):
            await fail(ValueError())

    async def limited():
        async with asyncio.timeout(LONG):
            await forever()

    await cancelled(limited)
    limit = asyncio.Timeout(None)
    with expected(RuntimeError):
        limit.reschedule(None)
    async with limit:
        pass
    with expected(RuntimeError):
        await limit.__aenter__()


# Structure.


@part
async def groups():
    async with asyncio.TaskGroup() as group:
        one, two = group.create_task(give(1, 2)), group.create_task(give(2), name="two")
        three = group.create_task(give(3), context=contextvars.copy_context())
        assert "TaskGroup" in repr(group)
        await asyncio.sleep(0)
    assert [one.result(), two.result(), three.result()] == [1, 2, 3]
    with expected(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(ValueError(), 1))
            group.create_task(fail(KeyError(), 1))
            group.create_task(stubborn())
            await forever()
    with expected(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())
            raise ValueError
    with expected(ExceptionGroup):
        async with asyncio.TaskGroup() as outer:
            outer.create_task(forever())
            async with asyncio.TaskGroup() as group:
                group.create_task(fail(ValueError(), 1))

    async def waits_in_a_group():
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())

    await cancelled(waits_in_a_group, 3)
    late = give(1)
    with expected(RuntimeError):
        group.create_task(late)
    late.close()
    with expected(RuntimeError):
        async with group:
            pass
    with expected(TimeoutError):
        async with asyncio.timeout(SOON):
            async with asyncio.TaskGroup() as group:
                group.create_task(forever())
    if SINCE_3_15:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())
            group.cancel()
            await forever()


# Locks.


@part
async def locks():
    lock = asyncio.Lock()
    async with lock:
        assert lock.locked() and "locked" in repr(lock)
        waiting = [asyncio.create_task(hold(lock)) for _ in range(3)]
        await asyncio.sleep(0)
        assert "waiters:3" in repr(lock)
        waiting[1].cancel()
    await asyncio.wait(waiting)
    assert await lock.acquire()
    await cancelled(lock.acquire)
    await cancelled(lambda: hold(lock))
    with expected(TimeoutError):
        await asyncio.wait_for(lock.acquire(), SOON)
    lock.release()
    with expected(RuntimeError):
        lock.release()


async def hold(manager, turns=1):
    async with manager:
        await give(None, turns)


@part
async def events():
    event = asyncio.Event()
    assert not event.is_set() and "unset" in repr(event)
    waiting = [asyncio.create_task(event.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert "waiters:3" in repr(event)
    waiting[0].cancel()
    event.set()
    assert event.is_set() and await event.wait() and await waiting[1]
    event.clear()
    await cancelled(event.wait)
    with expected(TimeoutError):
        await asyncio.wait_for(event.wait(), SOON)


@part
async def conditions():
    for condition in (asyncio.Condition(), asyncio.Condition(asyncio.Lock())):
        ready = []

        async def wait(condition=condition, ready=ready):
            async with condition:
                await condition.wait()
                await condition.wait_for(lambda: ready)

        waiting = [asyncio.create_task(wait()) for _ in range(4)]
        await asyncio.sleep(0)
        assert "waiters:4" in repr(condition)
        async with condition:
            assert condition.locked()
            condition.notify()
            condition.notify(2)
            await asyncio.sleep(0)
            waiting[0].cancel()
        await give(None, 4)
        waiting[1].cancel()
        ready.append(True)
        await condition.acquire()
        condition.notify_all()
        condition.release()
        await asyncio.wait(waiting)
        await cancelled(wait)
        for misuse in (condition.notify, condition.notify_all, condition.release):
            with expected(RuntimeError):
                misuse()
        with expected(RuntimeError):
            await condition.wait()


@part
async def semaphores():
    for semaphore in (asyncio.Semaphore(2), asyncio.BoundedSemaphore(2)):
        assert "unlocked" in repr(semaphore)
        async with semaphore:
            assert await semaphore.acquire() and semaphore.locked()
            waiting = [asyncio.create_task(hold(semaphore)) for _ in range(3)]
            await asyncio.sleep(0)
            assert "waiters:3" in repr(semaphore)
            waiting[0].cancel()
            semaphore.release()
        await asyncio.wait(waiting)
        await semaphore.acquire()
        await semaphore.acquire()
        await cancelled(semaphore.acquire)
        with expected(TimeoutError):
            await asyncio.wait_for(semaphore.acquire(), SOON)
        semaphore.release()
        semaphore.release()
    with expected(ValueError):
        semaphore.release()
    with expected(ValueError):
        asyncio.Semaphore(-1)


@part
async def barriers():
    barrier = asyncio.Barrier(2)
    assert (
        barrier.parties == 2 and barrier.n_waiting == 0 and not barrier.broken and "filling" in repr(barrier)
    )
    assert set(await asyncio.gather(barrier.wait(), barrier.wait())) == {0, 1}
    await asyncio.gather(hold(barrier), hold(barrier))
    await cancelled(barrier.wait)
    for end in (barrier.reset, barrier.abort):
        task = asyncio.create_task(barrier.wait())
        await asyncio.sleep(0)
        await end()
        with expected(asyncio.BrokenBarrierError):
            await task
    assert barrier.broken
    with expected(asyncio.BrokenBarrierError):
        await barrier.wait()
    await barrier.reset()
    with expected(ValueError):
        asyncio.Barrier(0)


@part
async def queues():
    for queue in (asyncio.Queue(2), asyncio.PriorityQueue(2), asyncio.LifoQueue(2)):
        assert queue.empty() and queue.maxsize == 2 and queue.qsize() == 0
        assert "maxsize=2" in repr(queue) and "maxsize=2" in str(queue)
        queue.put_nowait(1)
        await queue.put(2)
        assert queue.full()
        with expected(asyncio.QueueFull):
            queue.put_nowait(3)
        putting = [asyncio.create_task(queue.put(number)) for number in range(3)]
        joining = asyncio.create_task(queue.join())
        await asyncio.sleep(0)
        assert "_putters[3]" in repr(queue)
        putting[0].cancel()
        taken = [queue.get_nowait(), *[await queue.get() for _ in range(3)]]
        assert sorted(taken) == [1, 1, 2, 2]
        for _ in taken:
            queue.task_done()
        await joining
        await queue.join()
        with expected(asyncio.QueueEmpty):
            queue.get_nowait()
        with expected(ValueError):
            queue.task_done()
        getting = [asyncio.create_task(queue.get()) for _ in range(2)]
        await asyncio.sleep(0)
        getting[0].cancel()
        queue.put_nowait(5)
        assert await getting[1] == 5
        await cancelled(queue.get)
        with expected(TimeoutError):
            await asyncio.wait_for(queue.get(), SOON)
        queue.put_nowait(1)
        queue.put_nowait(1)
        await cancelled(lambda queue=queue: queue.put(2))
        await cancelled(queue.join)
        if SINCE_3_13:
            getting = asyncio.create_task(asyncio.Queue.put(queue, 3))
            await asyncio.sleep(0)
            queue.shutdown()
            with expected(asyncio.QueueShutDown):
                await getting
            with expected(asyncio.QueueShutDown):
                queue.put_nowait(1)
            await queue.get()
            queue.shutdown(immediate=True)
            with expected(asyncio.QueueShutDown):
                await queue.get()


@part
async def subclasses():
    class Stack(asyncio.Queue):
        def _init(self, maxsize):
            self._queue = []

        def _put(self, item):
            self._queue.append(item)

        def _get(self):
            return self._queue.pop()

        def qsize(self):
            return super().qsize()

    class Lock(asyncio.Lock):
        async def acquire(self):
            return await super().acquire()

    class Task(asyncio.Task):
        pass

    class Future(asyncio.Future):
        pass

    class Semaphore(asyncio.Semaphore):
        def locked(self):
            return super().locked()

    stack = Stack()
    await stack.put(1)
    await stack.put(2)
    assert [await stack.get(), stack.get_nowait()] == [2, 1]
    lock = Lock()
    await asyncio.gather(hold(lock), hold(lock))
    async with asyncio.Condition(lock) as _:
        pass
    assert await Task(hold(Semaphore(1))) is None
    future = Future()
    asyncio.get_running_loop().call_soon(future.set_result, 1)
    assert await asyncio.wait_for(asyncio.shield(future), LONG) == 1


# Threads.


@part
async def threads():
    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(sum, [1, 2]) == 3
    assert await asyncio.gather(
        *[asyncio.to_thread(lambda number=number: number) for number in range(5)]
    ) == [*range(5)]
    with expected(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 / 0)
    assert await loop.run_in_executor(None, max, 1, 2) == 2
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert await loop.run_in_executor(pool, max, 1, 2) == 2
        with expected(ZeroDivisionError):
            await loop.run_in_executor(pool, lambda: 1 / 0)
        assert await asyncio.wrap_future(pool.submit(max, 1, 2)) == 2
        assert await asyncio.wrap_future(asyncio.wrap_future(pool.submit(max, 1, 2)), loop=loop) == 2
    gate = threading.Event()
    await cancelled(lambda: asyncio.to_thread(gate.wait))
    gate.set()

    def other_thread():
        assert asyncio.run_coroutine_threadsafe(give(1, 2), loop).result() == 1
        with expected(ValueError):
            asyncio.run_coroutine_threadsafe(fail(ValueError(), 1), loop).result()
        future = asyncio.run_coroutine_threadsafe(forever(), loop)
        future.cancel()
        with expected(TypeError):
            asyncio.run_coroutine_threadsafe(None, loop)
        loop.call_soon_threadsafe(called.set)
        return asyncio.run(give(2, 2))

    called = asyncio.Event()
    assert await asyncio.to_thread(other_thread) == 2
    await called.wait()
    outer, inner = concurrent.futures.Future(), None
    inner = asyncio.wrap_future(outer)
    inner.cancel()
    await asyncio.sleep(0)
    assert outer.cancelled()
    outer = concurrent.futures.Future()
    inner = asyncio.wrap_future(outer)
    outer.cancel()
    with expected(asyncio.CancelledError):
        await inner


# Streams and signals of the loop need primitives too.


@part
async def streams():
    async def serve(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\n")
        assert await reader.read() == b"line\n"
        writer.close()
        await writer.wait_closed()
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        task.cancel()
        with expected(asyncio.CancelledError):
            await task


@part
async def agens():
    async def count():
        try:
            for number in range(10):
                yield number
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)

    async for number in count():
        if number == 3:
            break


@part
async def eager():
    if not SINCE_3_12:
        return
    loop = asyncio.get_running_loop()
    for factory in (asyncio.eager_task_factory, asyncio.create_eager_task_factory(asyncio.Task)):
        loop.set_task_factory(factory)
        task = asyncio.create_task(give(1))
        assert task.done() and await task == 1
        assert await asyncio.create_task(give(1, 2)) == 1
        with expected(ValueError):
            await asyncio.create_task(fail(ValueError()))
        await cancelled(forever)
        async with asyncio.TaskGroup() as group:
            group.create_task(give(1))
            group.create_task(give(1, 1))
        assert await asyncio.gather(give(1), give(2, 1)) == [1, 2]
        assert await asyncio.wait_for(give(1, 2), LONG) == 1
    loop.set_task_factory(None)
    assert await asyncio.Task(give(1), loop=loop, eager_start=True) == 1


@part
async def call_graphs():
    if not SINCE_3_14:
        return
    task = asyncio.create_task(wait_on(asyncio.gather(forever())))
    await give(None, 2)
    graph = asyncio.capture_call_graph(task)
    assert isinstance(graph, asyncio.FutureCallGraph) and graph.awaited_by == ()
    assert all(isinstance(entry, asyncio.FrameCallGraphEntry) for entry in graph.call_stack)
    assert "forever" in asyncio.format_call_graph(
        next(iter(asyncio.all_tasks() - {task, asyncio.current_task()}))
    )
    asyncio.print_call_graph(file=io.StringIO())
    asyncio.future_add_to_awaited_by(task, asyncio.current_task())
    asyncio.future_discard_from_awaited_by(task, asyncio.current_task())
    task.cancel()


async def main():
    for function in parts:
        await function()
    return "done"


async def leaves_tasks_behind():
    asyncio.create_task(forever())
    asyncio.create_task(stubborn())
    await asyncio.sleep(0)


async def interrupted():
    asyncio.get_running_loop().call_soon(interrupt)
    await forever()


def interrupt():
    import signal

    signal.raise_signal(signal.SIGINT)


def runs():
    assert asyncio.run(main()) == "done"
    assert asyncio.run(main(), debug=True) == "done"
    if SINCE_3_12:
        assert asyncio.run(main(), loop_factory=asyncio.new_event_loop) == "done"
    asyncio.run(leaves_tasks_behind())
    with expected(ValueError):
        asyncio.run(fail(ValueError(), 1))
    with expected(KeyboardInterrupt):
        asyncio.run(interrupted())
    with asyncio.Runner() as runner:
        assert runner.run(give(1, 1)) == 1
        assert runner.run(give(2), context=contextvars.copy_context()) == 2
        assert not runner.get_loop().is_running()
        with expected(ValueError):
            runner.run(fail(ValueError()))
    with expected(RuntimeError):
        runner.get_loop()
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(give(1, 1)) == 1
    assert loop.run_until_complete(loop.create_task(give(1))) == 1
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


if __name__ == "__main__":
    runs()
    print("done")
