"""Row "Future": outcomes, callbacks, errors, and making, wrapping and recognising futures."""

import asyncio
import concurrent.futures
import contextvars

import pytest


def test_result_and_exception(aio):
    async def main():
        loop = aio.get_running_loop()
        good, bad = loop.create_future(), loop.create_future()
        assert not good.done()
        loop.call_soon(good.set_result, "good")
        loop.call_soon(bad.set_exception, OSError("bad"))
        assert await good == "good"
        with pytest.raises(OSError, match=r"^bad$"):
            await bad
        assert good.result() == "good" and good.exception() is None
        assert isinstance(bad.exception(), OSError)
        return good.done(), bad.done(), good.cancelled()

    assert aio.run(main()) == (True, True, False)


def test_cancel(aio):
    async def main():
        future = aio.get_running_loop().create_future()
        assert future.cancel("no longer needed")
        with pytest.raises(aio.CancelledError, match=r"^no longer needed$"):
            await future
        return future.cancelled(), future.done(), future.cancel()

    assert aio.run(main()) == (True, True, False)


def test_done_callbacks(aio):
    variable = contextvars.ContextVar("variable", default="default")

    async def main():
        future, called = aio.get_running_loop().create_future(), []

        def removed(_):
            called.append("removed")

        context = contextvars.copy_context()
        context.run(variable.set, "chosen")
        future.add_done_callback(lambda done: called.append((done.result(), variable.get())), context=context)
        future.add_done_callback(removed)
        assert future.remove_done_callback(removed) == 1
        future.set_result(1)
        await aio.sleep(0)
        return called

    assert aio.run(main()) == [(1, "chosen")]


def test_invalid_state(aio):
    async def main():
        future = aio.get_running_loop().create_future()
        with pytest.raises(aio.InvalidStateError):
            future.result()
        with pytest.raises(aio.InvalidStateError):
            future.exception()
        future.set_result(None)
        with pytest.raises(aio.InvalidStateError):
            future.set_result(None)
        with pytest.raises(aio.InvalidStateError):
            future.set_exception(ValueError())

    aio.run(main())


def test_ensure_future(aio):
    async def work():
        return "worked"

    async def main():
        task = aio.ensure_future(work())
        assert isinstance(task, asyncio.Task)
        assert aio.ensure_future(task) is task
        return await task

    assert aio.run(main()) == "worked"


def test_wrap_future(aio):
    async def main():
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return await aio.wrap_future(pool.submit(pow, 2, 5))

    assert aio.run(main()) == 32


def test_isfuture_and_future_likes(aio):
    class Like:
        _asyncio_future_blocking = False

    async def main():
        assert aio.isfuture(aio.get_running_loop().create_future())
        assert aio.isfuture(aio.Future())
        assert aio.isfuture(Like())
        assert not aio.isfuture(concurrent.futures.Future())

    aio.run(main())
