"""`ensure_future`, `wrap_future`, `run_coroutine_threadsafe`: from awaitables and threads to futures."""

import asyncio
import collections.abc
import concurrent.futures
import gc
import inspect
import sys
import threading
import weakref

import pytest

from tests.unit.programs import failing, value


@pytest.fixture
def elsewhere(on):
    """A loop that runs in another thread until the test is over."""
    thread = threading.Thread(target=on.run_forever)
    thread.start()
    yield on
    on.call_soon_threadsafe(on.stop)
    thread.join()


class Awaitable:
    def __init__(self, iterator=None):
        self.iterator = iterator

    def __await__(self):
        return self.iterator


class TestEnsureFuture:
    def test_futures_are_returned(self, impl, on):
        future = on.create_future()
        assert impl.ensure_future(future) is future
        assert impl.ensure_future(future, loop=on) is future

    def test_futures_of_another_loop(self, impl, on, make_loop):
        text = "^The future belongs to a different loop than the one specified as the loop argument$"
        with pytest.raises(ValueError, match=text):
            impl.ensure_future(on.create_future(), loop=make_loop())

    def test_future_likes(self, impl):
        class Like:
            _asyncio_future_blocking = False

        like = Like()
        assert impl.ensure_future(like) is like

    def test_coroutines(self, impl, on):
        async def main():
            task = impl.ensure_future(value(1))
            assert isinstance(task, asyncio.Task)
            return await task

        assert on.run_until_complete(main()) == 1

    def test_on_a_loop_that_does_not_run(self, impl, on):
        task = impl.ensure_future(value(1), loop=on)
        assert task.get_loop() is on
        assert on.run_until_complete(task) == 1

    def test_awaitables(self, impl, on):
        def steps():
            yield
            return "awaited"

        async def main():
            task = impl.ensure_future(Awaitable(steps()))
            coroutine = task.get_coro()
            assert coroutine.__name__ == "_wrap_awaitable"
            assert asyncio.iscoroutine(coroutine)
            if sys.version_info >= (3, 12):
                assert coroutine.__qualname__ == "ensure_future.<locals>._wrap_awaitable"
                assert inspect.iscoroutine(coroutine)
                assert isinstance(coroutine, collections.abc.Coroutine)
            return await task

        assert on.run_until_complete(main()) == "awaited"

    def test_cancelled_awaitable(self, impl, on):
        log = []

        def steps():
            try:
                yield
            finally:
                log.append("cleaned up")

        async def main():
            task = impl.ensure_future(Awaitable(steps()))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        on.run_until_complete(main())
        assert log == ["cleaned up"]

    def test_awaitable_that_gives_no_iterator(self, impl, on):
        async def main():
            with pytest.raises(TypeError):
                await impl.ensure_future(Awaitable(1))

        on.run_until_complete(main())

    @pytest.mark.parametrize("thing", [1, None, "text", object(), value])
    def test_the_rest(self, impl, on, thing):
        with pytest.raises(TypeError, match=r"^An asyncio.Future, a coroutine or an awaitable is required$"):
            impl.ensure_future(thing, loop=on)

    def test_refused_coroutines_are_closed(self, impl, on):
        on.close()
        coroutine = value(1)
        with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
            impl.ensure_future(coroutine, loop=on)
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED

    def test_without_a_loop(self, impl):
        asyncio.set_event_loop(None)
        coroutine = value(1)
        with pytest.raises(RuntimeError, match=r"^There is no current event loop in thread 'MainThread'"):
            impl.ensure_future(coroutine)
        coroutine.close()

    def test_misuse(self, impl):
        with pytest.raises(TypeError, match=r"^ensure_future\(\) takes 1 positional argument but 2 were"):
            impl.ensure_future(1, 2)


class TestWrapFuture:
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_result(self, impl, on, when):
        inner = concurrent.futures.Future()
        if when == "before":
            inner.set_result(1)
        outer = impl.wrap_future(inner, loop=on)
        assert isinstance(outer, asyncio.Future)
        assert outer.get_loop() is on
        if when == "after":
            inner.set_result(1)
        assert on.run_until_complete(outer) == 1

    def test_on_the_running_loop(self, impl, on):
        async def main():
            inner = concurrent.futures.Future()
            outer = impl.wrap_future(inner)
            inner.set_result("wrapped")
            # At once: the thread is that of the loop.
            assert outer.done() == (sys.version_info >= (3, 14))
            return await outer

        assert on.run_until_complete(main()) == "wrapped"

    def test_exception(self, impl, on):
        inner, error = concurrent.futures.Future(), ValueError()
        outer = impl.wrap_future(inner, loop=on)
        inner.set_exception(error)
        with pytest.raises(ValueError) as caught:
            on.run_until_complete(outer)
        assert caught.value is error

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (concurrent.futures.CancelledError("c"), asyncio.CancelledError),
            (concurrent.futures.InvalidStateError("i"), asyncio.InvalidStateError),
            (TimeoutError("t"), TimeoutError),
        ],
    )
    def test_converted_exceptions(self, impl, on, given, expected):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=on)
        inner.set_exception(given)
        with pytest.raises(expected) as caught:
            on.run_until_complete(outer)
        assert type(caught.value) is expected
        assert caught.value.args == given.args

    def test_cancelled_outside(self, impl, on):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=on)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            on.run_until_complete(outer)
        assert inner.cancelled()

    def test_cancelled_inside(self, impl, on):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=on)
        assert inner.cancel()
        inner.set_running_or_notify_cancel()
        with pytest.raises(asyncio.CancelledError):
            on.run_until_complete(outer)
        assert outer.cancelled()

    def test_cancelled_outside_when_it_runs_inside(self, impl, on):
        """What runs in a thread cannot be cancelled; its result comes too late for anybody."""
        inner = concurrent.futures.Future()
        inner.set_running_or_notify_cancel()
        outer = impl.wrap_future(inner, loop=on)
        outer.cancel()
        on.run_until_complete(asyncio.sleep(0))
        assert inner.running()
        inner.set_result("too late")
        on.run_until_complete(asyncio.sleep(0))
        assert outer.cancelled()

    def test_closed_loop(self, impl, on):
        inner = concurrent.futures.Future()
        impl.wrap_future(inner, loop=on)
        on.close()
        inner.set_result(None)  # nobody is there to be told, and nothing is raised

    def test_result_set_by_somebody_else(self, impl, on, reports):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=on)
        outer.set_result("mine")
        inner.set_result("theirs")
        on.run_until_complete(asyncio.sleep(0))
        assert outer.result() == "mine"
        assert [type(report["exception"]) for report in reports] == [AssertionError]
        reports.clear()

    def test_from_a_thread(self, impl, on):
        async def main():
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                return await impl.wrap_future(pool.submit(threading.get_ident))

        assert on.run_until_complete(main()) != threading.get_ident()

    def test_the_rest(self, impl, on):
        with pytest.raises(AssertionError, match=r"^concurrent.futures.Future is expected, got 1$"):
            impl.wrap_future(1, loop=on)

    def test_names(self, impl, on):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=on)
        assert "cb=[_chain_future.<locals>._call_check_cancel()" in repr(outer)

    def test_memory(self, impl, on):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=on)
        references = [weakref.ref(inner), weakref.ref(outer)]
        del inner, outer
        gc.collect()
        assert [reference() for reference in references] == [None, None]


class TestRunCoroutineThreadsafe:
    def test_result(self, impl, elsewhere):
        future = impl.run_coroutine_threadsafe(value("from afar"), elsewhere)
        assert type(future) is concurrent.futures.Future
        assert future.result(10) == "from afar"

    def test_exception(self, impl, elsewhere):
        error = ValueError("from afar")
        future = impl.run_coroutine_threadsafe(failing(error), elsewhere)
        assert future.exception(10) is error

    def test_cancelled_by_the_submitter(self, impl, elsewhere):
        entered, left = threading.Event(), threading.Event()

        async def wait():
            entered.set()
            try:
                await elsewhere.create_future()
            finally:
                left.set()

        future = impl.run_coroutine_threadsafe(wait(), elsewhere)
        assert entered.wait(10)
        assert future.cancel()
        assert left.wait(10)
        assert future.cancelled()

    def test_cancelled_by_itself(self, impl, elsewhere):
        async def give_up():
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        future = impl.run_coroutine_threadsafe(give_up(), elsewhere)
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(10)
        assert future.cancelled()

    @pytest.mark.parametrize("thing", [1, None, value, Awaitable()])
    def test_coroutines_only(self, impl, on, thing):
        with pytest.raises(TypeError, match=r"^A coroutine object is required$"):
            impl.run_coroutine_threadsafe(thing, on)

    def test_task_factory_that_fails(self, impl, elsewhere, reports):
        def factory(loop, coroutine, **keywords):
            coroutine.close()
            raise NameError("no task today")

        elsewhere.set_task_factory(factory)
        future = impl.run_coroutine_threadsafe(value(1), elsewhere)
        with pytest.raises(NameError, match=r"^no task today$"):
            future.result(10)
        elsewhere.set_task_factory(None)
        # The loop is told as well, after the submitter: once it has run something else.
        impl.run_coroutine_threadsafe(value(1), elsewhere).result(10)
        (report,) = reports
        assert isinstance(report["exception"], NameError)
        assert "run_coroutine_threadsafe.<locals>.callback" in report["message"]
        reports.clear()

    def test_in_the_thread_of_the_loop(self, impl, on):
        async def main():
            future = impl.run_coroutine_threadsafe(value("here"), on)
            return await impl.wrap_future(future)

        assert on.run_until_complete(main()) == "here"

    def test_many(self, impl, elsewhere):
        futures = [impl.run_coroutine_threadsafe(value(number), elsewhere) for number in range(200)]
        assert [future.result(10) for future in futures] == list(range(200))

    def test_order(self, impl, elsewhere):
        log = []

        async def note(number):
            log.append(number)

        futures = []
        for number in range(50):
            futures.append(impl.run_coroutine_threadsafe(note(number), elsewhere))
        concurrent.futures.wait(futures, 10)
        assert log == list(range(50))

    def test_closed_loop(self, impl, on):
        on.close()
        coroutine = value(1)
        with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
            impl.run_coroutine_threadsafe(coroutine, on)
        coroutine.close()


class TestNativeEverywhere:
    """After `install()`, asyncio's own modules use the native ones too."""

    @pytest.mark.yibu_only
    def test_private_names(self, impl):
        done = impl.run_source(
            """
            import asyncio
            from yibu import _yibu
            aio.install()
            assert asyncio.futures._chain_future is _yibu._chain_future
            assert asyncio.futures._set_result_unless_cancelled is _yibu._set_result_unless_cancelled
            assert asyncio.tasks._GatheringFuture is _yibu._GatheringFuture
            assert asyncio.gather is _yibu.gather
            assert asyncio.TaskGroup is asyncio.taskgroups.TaskGroup is _yibu.TaskGroup
            aio.uninstall()
            assert asyncio.futures._chain_future is not _yibu._chain_future
            """
        )
        assert (done.returncode, done.stderr) == (0, "")
