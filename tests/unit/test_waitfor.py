"""`wait_for`: one awaitable within a limit, on the implementation's loop and on others."""

import asyncio
import gc
import inspect
import sys
import weakref

import pytest

in_place = pytest.mark.skipif(sys.version_info < (3, 12), reason="before 3.12 the awaitable became a task")
as_a_task = pytest.mark.skipif(sys.version_info >= (3, 12), reason="since 3.12 it is awaited in place")


def new_future():
    return asyncio.get_running_loop().create_future()


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


class Recorder:
    """A coroutine function that remembers what happened to its coroutines."""

    def __init__(self, then=None):
        self.events = []
        self.then = then

    async def __call__(self):
        self.events.append("started")
        try:
            await new_future()
        except asyncio.CancelledError:
            self.events.append("cancelled")
            if self.then is None:
                raise
            return await self.then()


class TestFunction:
    def test_it_is_a_coroutine_function(self, impl):
        if sys.version_info >= (3, 12):
            assert inspect.iscoroutinefunction(impl.wait_for)
        assert list(inspect.signature(impl.wait_for).parameters) == ["fut", "timeout"]
        assert impl.wait_for.__name__ == "wait_for"
        assert impl.wait_for.__doc__

    @pytest.mark.parametrize(
        ("arguments", "keywords", "text"),
        [
            ((1,), {}, r"wait_for\(\) missing 1 required positional argument: 'timeout'"),
            ((1, 2, 3), {}, r"wait_for\(\) takes 2 positional arguments but 3 were given"),
            ((1, 2), {"loop": None}, r"wait_for\(\) got an unexpected keyword argument 'loop'"),
        ],
    )
    def test_misuse(self, impl, arguments, keywords, text):
        with pytest.raises(TypeError, match=text):
            impl.wait_for(*arguments, **keywords)

    def test_never_awaited(self, impl):
        with pytest.warns(RuntimeWarning, match=r"coroutine 'wait_for' was never awaited"):
            impl.wait_for(None, 1)

    @pytest.mark.parametrize("limit", [None, 0, 1])
    def test_what_cannot_be_awaited(self, impl, drive, limit):
        async def main():
            with pytest.raises(TypeError):
                await impl.wait_for(1, limit)
            assert asyncio.current_task().cancelling() == 0

        drive(main())

    def test_a_limit_that_is_no_number(self, impl, drive):
        async def main():
            future = new_future()
            with pytest.raises(TypeError, match=r"'<=' not supported between instances of 'str' and 'int'"):
                await impl.wait_for(future, "1")

        drive(main())


class TestResult:
    @pytest.mark.parametrize("limit", [None, 3600, 3600.5])
    def test_of_every_kind_of_awaitable(self, impl, drive, limit):
        class Awaitable:
            def __await__(self):
                yield from asyncio.sleep(0).__await__()
                return "result"

        async def coroutine():
            await asyncio.sleep(0)
            return "result"

        async def main():
            loop = asyncio.get_running_loop()
            done, soon, stock = new_future(), new_future(), asyncio.Future()
            done.set_result("result")
            loop.call_soon(soon.set_result, "result")
            loop.call_soon(stock.set_result, "result")
            for awaitable in (done, soon, stock, coroutine(), loop.create_task(coroutine()), Awaitable()):
                assert await impl.wait_for(awaitable, limit) == "result"
            assert await impl.wait_for(timeout=limit, fut=coroutine()) == "result"

        drive(main())

    @pytest.mark.parametrize("limit", [None, 0, 3600])
    def test_exceptions_come_out(self, impl, drive, limit):
        async def main():
            future = new_future()
            future.set_exception(ZeroDivisionError("text"))
            with pytest.raises(ZeroDivisionError, match=r"^text$"):
                await impl.wait_for(future, limit)
            future = new_future()
            future.cancel("text")
            with pytest.raises(asyncio.CancelledError):
                await impl.wait_for(future, limit)

        drive(main())

    def test_a_done_future_needs_no_time(self, impl, drive):
        async def main():
            future = new_future()
            future.set_result("result")
            assert await impl.wait_for(future, 0) == "result"
            assert await impl.wait_for(future, -1) == "result"

        drive(main())

    @in_place
    def test_the_awaitable_runs_in_the_caller_s_task(self, impl, drive):
        async def main():
            async def current():
                return asyncio.current_task()

            assert await impl.wait_for(current(), 3600) is asyncio.current_task()

        drive(main())

    @as_a_task
    def test_the_awaitable_runs_in_a_task_of_its_own(self, impl, drive):
        async def main():
            async def current():
                return asyncio.current_task()

            assert await impl.wait_for(current(), 3600) is not asyncio.current_task()
            assert await impl.wait_for(current(), None) is asyncio.current_task()

        drive(main())


class TestTimeout:
    @pytest.mark.parametrize("limit", [0, -1, 0.0, False])
    def test_no_time_at_all(self, impl, drive, limit):
        async def main():
            recorder = Recorder()
            with pytest.raises(TimeoutError) as raised:
                await impl.wait_for(recorder(), limit)
            assert type(raised.value.__cause__) is asyncio.CancelledError
            assert raised.value.__context__ is raised.value.__cause__
            assert recorder.events == []
            future = new_future()
            with pytest.raises(TimeoutError):
                await impl.wait_for(future, limit)
            assert future.cancelled()
            assert asyncio.current_task().cancelling() == 0

        drive(main())

    def test_too_little_time(self, impl, drive):
        async def main():
            recorder = Recorder()
            with pytest.raises(TimeoutError) as raised:
                await impl.wait_for(recorder(), 0.001)
            assert type(raised.value.__cause__) is asyncio.CancelledError
            assert raised.value.__context__ is raised.value.__cause__
            assert recorder.events == ["started", "cancelled"]
            future = new_future()
            with pytest.raises(TimeoutError):
                await impl.wait_for(future, 0.001)
            assert future.cancelled()
            assert asyncio.current_task().cancelling() == 0

        drive(main())

    def test_a_task_that_takes_its_time_to_end(self, impl, drive):
        async def main():
            recorder = Recorder(turns)
            task = asyncio.get_running_loop().create_task(recorder())
            await asyncio.sleep(0)
            assert await impl.wait_for(task, 0.001) is None  # it swallowed its cancellation
            assert task.done()
            assert recorder.events == ["started", "cancelled"]

        drive(main())

    @pytest.mark.parametrize("limit", [0, 0.001])
    def test_a_task_that_fails_when_it_is_cancelled(self, impl, drive, limit):
        async def fail():
            raise ZeroDivisionError

        async def main():
            task = asyncio.get_running_loop().create_task(Recorder(fail)())
            await asyncio.sleep(0)
            with pytest.raises(ZeroDivisionError):
                await impl.wait_for(task, limit)

        drive(main())


class TestCancellation:
    def test_while_waiting(self, impl, drive):
        async def main():
            loop = asyncio.get_running_loop()
            future = new_future()
            waiting = loop.create_task(impl.wait_for(future, 3600))
            await turns()
            waiting.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert future.cancelled()

        drive(main())

    @pytest.mark.yibu_only(before=(3, 12))  # until then the result wins in stock
    def test_together_with_the_result(self, impl, drive):
        """The cancellation wins."""

        async def main():
            loop = asyncio.get_running_loop()
            outcomes = []
            for actions in ("set_result", "cancel"), ("cancel", "set_result"):
                future = new_future()
                waiting = loop.create_task(impl.wait_for(future, 3600))
                await turns()
                for action in actions:
                    if action == "cancel":
                        waiting.cancel()
                    elif not future.done():
                        future.set_result("result")
                await asyncio.wait([waiting])
                outcomes.append("cancelled" if waiting.cancelled() else waiting.result())
            return outcomes

        assert drive(main()) == ["cancelled", "cancelled"]

    @pytest.mark.yibu_only(before=(3, 12))  # until then stock forgets the cancellation
    def test_together_with_a_lock(self, impl, drive):
        """Neither the lock nor the cancellation is lost, whichever was first."""

        async def main():
            lock = impl.Lock()
            await lock.acquire()

            async def user():
                await impl.wait_for(lock.acquire(), 3600)
                try:
                    await asyncio.sleep(0)
                finally:
                    lock.release()

            task = asyncio.get_running_loop().create_task(user())
            await turns()
            lock.release()
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelling() == 1
            assert not lock.locked()

        drive(main())

    def test_while_a_task_takes_its_time_to_end(self, impl, drive):
        async def main():
            loop = asyncio.get_running_loop()
            gate = new_future()

            async def wait_for_gate():
                await asyncio.shield(gate)
                return "ended"

            task = loop.create_task(Recorder(wait_for_gate)())
            await asyncio.sleep(0)
            waiting = loop.create_task(impl.wait_for(task, 0))
            await turns()
            assert not waiting.done()
            gate.set_result(None)
            assert await waiting == "ended"
            # And the other way: the waiting itself is given up, the task goes on to its end.
            gate = new_future()
            task = loop.create_task(Recorder(wait_for_gate)())
            await asyncio.sleep(0)
            waiting = loop.create_task(impl.wait_for(task, 0))
            await turns()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not task.done()
            gate.set_result(None)
            assert await task == "ended"

        drive(main())

    @as_a_task
    def test_once_more_while_the_task_ends(self, impl, drive):
        async def main():
            async def stubborn():
                with pytest.raises(asyncio.CancelledError):
                    await new_future()
                await new_future()

            waiting = asyncio.get_running_loop().create_task(impl.wait_for(stubborn(), 1000))
            for text in ("first", "second"):
                await turns()
                waiting.cancel(text)
            with pytest.raises(asyncio.CancelledError) as caught:
                await waiting
            return caught.value.args, caught.value.__context__.args

        assert drive(main()) == (("second",), ("first",))

    @as_a_task
    def test_the_task_has_ended_when_the_cancelled_wait_has(self, impl, drive):
        async def main():
            loop = asyncio.get_running_loop()
            recorder = Recorder(turns)
            waiting = loop.create_task(impl.wait_for(recorder(), 3600))
            await turns()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert recorder.events == ["started", "cancelled"]

        drive(main())

    def test_close(self, impl, drive):
        async def main():
            future = new_future()
            coroutine = impl.wait_for(future, 3600)
            assert coroutine.send(None)._asyncio_future_blocking
            coroutine.close()
            assert not future.cancelled()
            coroutine.close()

        drive(main())


class TestMemory:
    def test_nothing_stays(self, impl, make_loop):
        async def main():
            loop = asyncio.get_running_loop()
            references = []
            for limit in (0, 0.001, 3600):
                future = new_future()
                references.append(weakref.ref(future))
                if limit == 3600:
                    loop.call_soon(future.set_result, None)
                    await impl.wait_for(future, limit)
                else:
                    with pytest.raises(TimeoutError):
                        await impl.wait_for(future, limit)
                future = None
            return references

        references = make_loop().run_until_complete(main())
        gc.collect()
        assert [reference() for reference in references] == [None] * 3
