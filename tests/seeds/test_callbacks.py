"""Row "callbacks": call_soon, call_later, call_at, threads, handles, contexts, periodic callbacks."""

import asyncio
import contextvars
import sys
import threading


def test_call_soon_call_later_and_call_at(aio):
    order = []

    async def main():
        loop = aio.get_running_loop()
        loop.call_later(0.003, order.append, "third")
        loop.call_at(loop.time() + 0.002, order.append, "second")
        loop.call_soon(order.append, "first")
        while len(order) < 3:
            await aio.sleep(0.001)

    aio.run(main())
    assert order == ["first", "second", "third"]


def test_call_soon_threadsafe(aio):
    async def main():
        loop = aio.get_running_loop()
        future = loop.create_future()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(future.set_result, "from a thread"))
        thread.start()
        result = await future
        thread.join()
        return result

    assert aio.run(main()) == "from a thread"


def test_time_never_goes_back(aio):
    async def main():
        loop = aio.get_running_loop()
        times = [loop.time() for _ in range(1000)]
        return times == sorted(times)

    assert aio.run(main())


def test_handles(aio):
    async def main():
        loop = aio.get_running_loop()
        called = []
        handle, timer = loop.call_soon(called.append, 1), loop.call_later(0.001, called.append, 2)
        deadline = timer.when()
        assert not handle.cancelled() and deadline > 0
        handle.cancel()
        timer.cancel()
        await aio.sleep(0.002)
        assert handle.cancelled() and timer.cancelled() and timer.when() == deadline
        return called, isinstance(timer, asyncio.TimerHandle)

    assert aio.run(main()) == ([], True)


def test_context(aio):
    user = contextvars.ContextVar("user", default="nobody")

    async def main():
        loop = aio.get_running_loop()
        seen = []
        context = contextvars.copy_context()
        context.run(user.set, "alice")
        handle = loop.call_soon(lambda: seen.append(user.get()), context=context)
        if sys.version_info >= (3, 12):
            assert handle.get_context() is context
        user.set("bob")
        loop.call_soon(lambda: seen.append(user.get()))
        await aio.sleep(0)
        return seen

    assert aio.run(main()) == ["alice", "bob"]


def test_periodic_callback(aio):
    """Ticks are counted from the first one, so that none is lost and they do not drift."""

    async def main():
        loop = aio.get_running_loop()
        ticks, done, start, period = [], loop.create_future(), loop.time(), 0.001

        def tick(number):
            ticks.append(loop.time() - (start + number * period))
            if number == 10:
                done.set_result(None)
            else:
                loop.call_at(start + (number + 1) * period, tick, number + 1)

        loop.call_at(start, tick, 0)
        await done
        return ticks

    ticks = aio.run(main())
    assert len(ticks) == 11
    assert min(ticks) > -1e-6
