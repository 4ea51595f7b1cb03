"""What the tests and the insides of libraries do to loops and transports, and other loops do not allow."""

import asyncio
import os
import socket
import threading

import pytest


def test_a_loop_takes_attributes_and_replaced_methods(loop, run):
    loop.application = object()
    calls = []
    original = loop.call_soon
    loop.call_soon = lambda callback, *args, **keywords: (
        calls.append(callback),
        original(callback, *args, **keywords),
    )[1]
    assert run(asyncio.sleep(0, "result")) == "result"
    assert calls
    del loop.call_soon
    assert isinstance(loop, asyncio.AbstractEventLoop)


def test_virtual_time_by_replacing_the_clock(make_loop):
    """A loop whose `time` is replaced, and whose idle waits are skipped, sleeps for a day in no time."""
    loop = make_loop()
    now = 0.0
    loop.time = lambda: now

    async def sleeper():
        await asyncio.sleep(86_400)
        return loop.time()

    async def advance(task):
        nonlocal now
        while not task.done():
            now += 3600
            await asyncio.sleep(0)

    async def main():
        task = loop.create_task(sleeper())
        await advance(task)
        return await task

    assert loop.run_until_complete(main()) >= 86_400


def test_transports_are_asyncios(loop, run):
    async def main():
        one, two = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.ReadTransport) and isinstance(transport, asyncio.WriteTransport)
        written = []
        transport.write = written.append
        transport.write(b"seen by the test")
        transport.is_closing = lambda: True
        assert transport.is_closing()
        del transport.write, transport.is_closing
        transport._ssl_protocol = "an attribute that libraries look for"
        transport.abort()
        await asyncio.sleep(0)
        two.close()
        return written

    assert run(main()) == [b"seen by the test"]


def test_a_subclass_of_the_transport_class(loop, run):
    async def main():
        one, two = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)

        class Counting(type(transport)):
            def write(self, data):
                self.count = getattr(self, "count", 0) + 1
                super().write(data)

        assert issubclass(Counting, asyncio.Transport)
        transport.abort()
        await asyncio.sleep(0)
        two.close()

    run(main())


def test_write_on_a_closed_transport_raises_nothing(loop, run):
    async def main():
        one, two = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        transport.write(b"after everything")
        transport.close()
        transport.abort()
        two.close()
        return transport.is_closing()

    assert run(main())


def test_factories_get_no_keyword_that_was_not_given(impl, loop, run):
    """A task factory of the old signature works, whatever newer Pythons could pass."""

    def old_factory(loop, coro, context=None):
        if context is None:
            return impl.Task(coro, loop=loop)
        return impl.Task(coro, loop=loop, context=context)

    loop.set_task_factory(old_factory)

    async def main():
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        async with asyncio.timeout(1000):
            return await asyncio.wait_for(asyncio.sleep(0, "worked"), 1000)

    assert run(main()) == "worked"


def test_the_root_task_can_be_found(loop, run):
    """anyio looks for the task whose callback ends the run by this name."""
    from asyncio.base_events import _run_until_complete_cb

    async def main():
        callbacks = asyncio.current_task()._callbacks
        return [callback is _run_until_complete_cb for callback, *_ in callbacks]

    assert True in run(main())


def test_the_attributes_that_libraries_read(loop, run):
    async def main():
        task = asyncio.current_task()
        assert task._coro is task.get_coro()
        assert task._loop is loop
        assert task._fut_waiter is None
        assert task._state == "PENDING"
        assert task._must_cancel is False
        future = loop.create_future()
        assert future._state == "PENDING" and not future._callbacks and future._exception is None
        lock, semaphore, queue = asyncio.Lock(), asyncio.Semaphore(3), asyncio.Queue()
        return not lock._waiters, semaphore._value, len(queue._queue)

    assert run(main()) == (True, 3, 0)


def test_stock_names_on_any_loop(loop, run):
    """Code that imports the standard library's asyncio, and knows of nothing else, runs."""

    async def main():
        async with asyncio.TaskGroup() as group:
            first = group.create_task(asyncio.sleep(0, 1))
            second = group.create_task(asyncio.to_thread(int, "2"))
        queue = asyncio.Queue()
        queue.put_nowait(first.result() + second.result())
        async with asyncio.timeout(1000), asyncio.Lock(), asyncio.Semaphore(1):
            return await queue.get(), asyncio.current_task() in asyncio.all_tasks()

    assert run(main()) == (3, True)


def test_own_objects_on_a_stock_loop(impl):
    """Futures and tasks of the implementation work on a loop that is not its own."""
    loop = asyncio.SelectorEventLoop()

    async def child(future):
        return await future

    async def main():
        future = impl.Future(loop=loop)
        task = impl.Task(child(future), loop=loop)
        loop.call_soon(future.set_result, "through")
        assert task in asyncio.all_tasks()
        return await task, asyncio.current_task() is outer

    outer = impl.Task(main(), loop=loop)
    try:
        assert loop.run_until_complete(outer) == ("through", True)
    finally:
        loop.close()


@pytest.mark.parametrize("count", [1, 10, 100])
def test_loops_are_cheap_to_make(impl, count):
    """A loop that did nothing has opened nothing: as many as wanted can live at once."""
    import os

    before = len(os.listdir("/proc/self/fd"))
    loops = [impl.new_event_loop() for _ in range(count)]
    opened = len(os.listdir("/proc/self/fd")) - before
    for loop in loops:
        loop.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert opened <= (3 * count if impl.is_stock else 0)


def test_a_closed_loop_holds_no_descriptor(impl):
    def descriptors():
        return set(os.listdir("/proc/self/fd"))

    before = descriptors()
    loop = impl.new_event_loop()
    thread = threading.Timer(0.01, lambda: loop.call_soon_threadsafe(loop.stop))
    thread.start()
    loop.run_forever()
    thread.join()
    loop.close()
    assert descriptors() == before
