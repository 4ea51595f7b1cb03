"""`sleep`, which on yibu is a native coroutine function."""

import asyncio
import inspect
import sys
import unittest.mock
import warnings

import pytest


@pytest.fixture
def drive(impl):
    """Run a coroutine on the implementation's loop."""
    loop = impl.new_event_loop()
    yield loop.run_until_complete
    loop.close()


class TestKind:
    def test_it_is_a_coroutine_function(self, impl):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # asyncio's own check, since 3.14
            assert asyncio.iscoroutinefunction(impl.sleep)
        if sys.version_info >= (3, 12):
            assert inspect.iscoroutinefunction(impl.sleep)

    def test_patching_gives_an_asynchronous_mock(self, impl):
        namespace = type("Namespace", (), {})()
        namespace.sleep = impl.sleep
        with unittest.mock.patch.object(namespace, "sleep") as mock:
            assert isinstance(mock, unittest.mock.AsyncMock)

    def test_signature(self, impl):
        assert list(inspect.signature(impl.sleep).parameters) == ["delay", "result"]
        assert inspect.signature(impl.sleep).parameters["result"].default is None
        assert impl.sleep.__name__ == "sleep"
        assert impl.sleep.__doc__

    def test_it_gives_a_coroutine(self, impl):
        coroutine = impl.sleep(0)
        assert asyncio.iscoroutine(coroutine)
        assert inspect.isawaitable(coroutine)
        coroutine.close()


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "keywords", "text"),
        [
            ((), {}, r"sleep\(\) missing 1 required positional argument: 'delay'"),
            ((1, 2, 3), {}, r"sleep\(\) takes from 1 to 2 positional arguments but 3 were given"),
            ((1,), {"loop": None}, r"sleep\(\) got an unexpected keyword argument 'loop'"),
            ((1,), {"delay": 1}, r"sleep\(\) got multiple values for argument 'delay'"),
        ],
    )
    def test_misuse(self, impl, arguments, keywords, text):
        with pytest.raises(TypeError, match=text):
            impl.sleep(*arguments, **keywords)

    @pytest.mark.parametrize("delay", [0, -1, 0.0, -0.5, 0.001, 1e-6, True])
    def test_result(self, impl, drive, delay):
        delay = 0.001 if delay is True else delay
        assert drive(impl.sleep(delay, "result")) == "result"
        assert drive(impl.sleep(delay=delay, result=7)) == 7
        assert drive(impl.sleep(delay)) is None

    @pytest.mark.parametrize("result", [(1, 2), ValueError("a value"), StopIteration(3), None])
    def test_results_that_look_like_something_else(self, impl, drive, result):
        assert drive(impl.sleep(0, result)) is result

    def test_a_delay_that_is_no_number(self, impl, drive):
        with pytest.raises(TypeError, match=r"'<=' not supported between instances of 'str' and 'int'"):
            drive(impl.sleep("1"))

    @pytest.mark.yibu_only(before=(3, 13))  # stock puts it among the timers, whose order it spoils
    def test_nan(self, impl, drive):
        with pytest.raises(ValueError, match=r"^Invalid delay: NaN \(not a number\)$"):
            drive(impl.sleep(float("nan")))


class TestCoroutine:
    def test_zero_gives_way_once(self, impl):
        coroutine = impl.sleep(0, "done")
        assert coroutine.send(None) is None
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        assert stop.value.value == "done"
        with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
            coroutine.send(None)

    def test_outside_a_loop(self, impl):
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.sleep(1).send(None)

    def test_never_awaited(self, impl):
        with pytest.warns(RuntimeWarning, match=r"coroutine 'sleep' was never awaited"):
            impl.sleep(1)

    def test_cancelling_takes_the_timer_back(self, impl, drive):
        async def main():
            loop = asyncio.get_running_loop()
            timers = []
            call_later = loop.call_later

            def remember(*args, **keywords):
                timers.append(call_later(*args, **keywords))
                return timers[-1]

            loop.call_later = remember
            task = loop.create_task(impl.sleep(3600))
            await impl.sleep(0)
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError, match=r"^enough$"):
                await task
            assert [timer.cancelled() for timer in timers] == [True]

        drive(main())

    def test_close_takes_the_timer_back(self, impl, drive):
        async def main():
            coroutine = impl.sleep(3600)
            future = coroutine.send(None)
            coroutine.close()
            assert not future.done()
            coroutine.close()

        drive(main())

    def test_throw(self, impl, drive):
        async def main():
            coroutine = impl.sleep(3600)
            coroutine.send(None)
            with pytest.raises(ZeroDivisionError):
                coroutine.throw(ZeroDivisionError())

        drive(main())

    def test_order_among_tasks(self, impl, drive):
        async def main():
            order = []

            async def worker(name, turns):
                for turn in range(turns):
                    order.append((name, turn))
                    await impl.sleep(0)

            await asyncio.gather(worker("a", 2), worker("b", 3))
            return order

        assert drive(main()) == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("b", 2)]
