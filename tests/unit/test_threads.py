"""`to_thread`, which on yibu is a native coroutine function."""

import asyncio
import concurrent.futures
import contextvars
import functools
import gc
import inspect
import sys
import threading
import traceback
import unittest.mock
import warnings
import weakref

import pytest

LIMIT = 10
"""Seconds after which a job that waits for something gives up, so that a failure does not hang."""


class Thing:
    """Something that a weak reference can point to."""


class TestKind:
    def test_it_is_a_coroutine_function(self, impl):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # asyncio's own check, since 3.14
            assert asyncio.iscoroutinefunction(impl.to_thread)
        if sys.version_info >= (3, 12):
            assert inspect.iscoroutinefunction(impl.to_thread)

    def test_patching_gives_an_asynchronous_mock(self, impl):
        namespace = type("Namespace", (), {})()
        namespace.to_thread = impl.to_thread
        with unittest.mock.patch.object(namespace, "to_thread") as mock:
            assert isinstance(mock, unittest.mock.AsyncMock)

    def test_signature(self, impl):
        signature = inspect.signature(impl.to_thread)
        assert [(name, p.kind) for name, p in signature.parameters.items()] == [
            ("func", inspect.Parameter.POSITIONAL_ONLY),
            ("args", inspect.Parameter.VAR_POSITIONAL),
            ("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]
        assert impl.to_thread.__name__ == "to_thread"
        assert impl.to_thread.__doc__

    def test_it_gives_a_coroutine(self, impl):
        coroutine = impl.to_thread(int)
        assert asyncio.iscoroutine(coroutine)
        coroutine.close()

    def test_never_awaited(self, impl):
        with pytest.warns(RuntimeWarning, match=r"^coroutine 'to_thread' was never awaited$"):
            impl.to_thread(int)
            gc.collect()

    def test_without_a_function(self, impl):
        text = r"^to_thread\(\) missing 1 required positional argument: 'func'$"
        with pytest.raises(TypeError, match=text):
            impl.to_thread()
        with pytest.raises(TypeError, match=text):
            impl.to_thread(func=int)

    def test_without_a_loop(self, impl):
        coroutine = impl.to_thread(int)
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            coroutine.send(None)


class TestCall:
    def test_arguments(self, impl, run):
        def job(*args, **kwargs):
            return args, kwargs

        async def main():
            assert await impl.to_thread(job) == ((), {})
            assert await impl.to_thread(job, 1) == ((1,), {})
            assert await impl.to_thread(job, ()) == (((),), {})
            assert await impl.to_thread(job, 1, 2) == ((1, 2), {})
            assert await impl.to_thread(job, func=1, self=2) == ((), {"func": 1, "self": 2})
            assert await impl.to_thread(job, 1, a=2) == ((1,), {"a": 2})

        run(main())

    def test_thread(self, impl, run, loop):
        thread = run(impl.to_thread(threading.current_thread))
        assert thread.name == "asyncio_0"
        assert loop._default_executor._threads == {thread}

    def test_nothing_happens_before_it_is_awaited(self, impl, run, loop):
        coroutine = impl.to_thread(int)
        assert loop._default_executor is None
        assert run(coroutine) == 0

    def test_exception(self, impl, run):
        def the_job():
            raise ValueError("wrong")

        with pytest.raises(ValueError, match=r"^wrong$") as caught:
            run(impl.to_thread(the_job))
        assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "the_job"

    def test_not_callable(self, impl, run):
        with pytest.raises(TypeError, match="not callable"):
            run(impl.to_thread(None))

    def test_concurrently(self, impl, run):
        barrier = threading.Barrier(4)

        async def main():
            return await asyncio.gather(*[impl.to_thread(barrier.wait, LIMIT) for _ in range(4)])

        assert sorted(run(main())) == [0, 1, 2, 3]

    def test_debug_mode_takes_any_function(self, impl, run, loop):
        loop.set_debug(True)

        async def job():
            return 1

        async def main():
            return await (await impl.to_thread(job))

        assert run(main()) == 1

    def test_nothing_is_kept(self, impl, run):
        references = []

        async def main():
            thing, results = Thing(), [Thing()]

            def job(_thing, *, again):
                return results.pop()

            references.extend([weakref.ref(thing), weakref.ref(results[0]), weakref.ref(job)])
            assert await impl.to_thread(job, thing, again=thing) is references[1]()
            # Something else for the worker, in case it is still busy letting go.
            await impl.to_thread(int)

        run(main())
        gc.collect()  # stock's context and partial object
        assert [reference() for reference in references] == [None] * 3

    def test_the_job_is_released_while_its_outcome_is_awaited(self, impl, run, loop):
        """The coroutine that waits does not keep alive what the worker has let go of."""
        released = threading.Event()
        thing = Thing()
        weakref.finalize(thing, released.set)

        def job(_thing):
            pass

        async def main():
            nonlocal thing
            task = loop.create_task(impl.to_thread(job, thing))
            thing = None
            while not released.is_set():
                await asyncio.sleep(0)
            await task

        run(main())

    def test_no_growth(self, impl, run):
        async def main(count):
            for number in range(count):
                assert await impl.to_thread(abs, -number) == number
                assert await impl.to_thread(dict, a=number) == {"a": number}
                with pytest.raises(TypeError):
                    await impl.to_thread(abs)

        run(main(100))
        gc.collect()
        before = len(gc.get_objects())
        run(main(300))
        gc.collect()
        assert abs(len(gc.get_objects()) - before) < 50


class TestContext:
    def test_is_a_copy(self, impl, run):
        variable = contextvars.ContextVar("variable")

        def job():
            before = variable.get()
            variable.set("the job's")
            return before, variable.get()

        async def main():
            variable.set("the task's")
            return await impl.to_thread(job), await impl.to_thread(variable.get), variable.get()

        assert run(main()) == (("the task's", "the job's"), "the task's", "the task's")

    def test_is_taken_when_it_is_awaited(self, impl, run):
        variable = contextvars.ContextVar("variable", default="nothing")

        async def main():
            coroutine = impl.to_thread(variable.get)
            variable.set("something")
            return await coroutine

        assert run(main()) == "something"

    def test_leaves_nothing_in_the_thread(self, impl, run, loop):
        variable = contextvars.ContextVar("variable", default="nothing")

        async def main():
            await impl.to_thread(variable.set, "something")
            loop._default_executor._max_workers = 1
            return await loop.run_in_executor(None, variable.get)

        assert run(main()) == "nothing"

    def test_of_a_job_that_fails(self, impl, run, loop):
        variable = contextvars.ContextVar("variable", default="nothing")

        def job():
            variable.set("something")
            raise ValueError

        async def main():
            with pytest.raises(ValueError, match=r"^$"):
                await impl.to_thread(job)
            loop._default_executor._max_workers = 1
            return await loop.run_in_executor(None, variable.get)

        assert run(main()) == "nothing"


class TestCancellation:
    def test_while_the_job_runs(self, impl, run, loop):
        began, release, ended = threading.Event(), threading.Event(), threading.Event()

        def job():
            began.set()
            release.wait(LIMIT)
            ended.set()

        async def main():
            task = loop.create_task(impl.to_thread(job))
            await impl.to_thread(began.wait, LIMIT)
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not ended.is_set()
            release.set()
            await impl.to_thread(ended.wait, LIMIT)

        run(main())

    def test_before_the_job_begins(self, impl, run, loop):
        release, ran = threading.Event(), []

        async def main():
            await impl.to_thread(int)
            loop._default_executor._max_workers = 1
            blocking = loop.create_task(impl.to_thread(release.wait, LIMIT))
            task = loop.create_task(impl.to_thread(ran.append, 1))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            release.set()
            await blocking
            await impl.to_thread(int)

        run(main())
        assert ran == []

    def test_before_it_is_awaited(self, impl, run, loop):
        ran = []

        async def main():
            task = loop.create_task(impl.to_thread(ran.append, 1))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert loop._default_executor is None

        run(main())
        assert ran == []

    def test_time_limit(self, impl, run, loop):
        release = threading.Event()

        async def main():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(impl.to_thread(release.wait, LIMIT), 0.01)
            release.set()

        run(main())

    def test_closed_while_it_waits(self, impl, run, loop):
        async def main():
            release = threading.Event()
            coroutine = impl.to_thread(release.wait, LIMIT)
            future = coroutine.send(None)
            assert not future.done()
            coroutine.close()
            release.set()
            await loop.run_in_executor(None, int)

        run(main())


class TestLoops:
    def test_after_the_executor_was_shut_down(self, impl, loop):
        async def main():
            await impl.to_thread(int)
            await loop.shutdown_default_executor()
            with pytest.raises(RuntimeError, match=r"^Executor shutdown has been called$"):
                await impl.to_thread(int)

        loop.run_until_complete(main())

    def test_own_executor(self, impl, run, loop):
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1, "mine"))
        variable = contextvars.ContextVar("variable")

        def job(*args, **kwargs):
            return variable.get(), threading.current_thread().name, args, kwargs

        async def main():
            variable.set(1)
            return await impl.to_thread(job, 2, a=3)

        assert run(main()) == (1, "mine_0", (2,), {"a": 3})

    def test_overridden_run_in_executor(self, impl, run, loop):
        """The loop gets what it gets from asyncio: no executor, and the call as one callable."""
        calls = []

        def run_in_executor(executor, function, *args):
            calls.append((executor, function, args))
            future = loop.create_future()
            future.set_result(function())
            return future

        loop.run_in_executor = run_in_executor
        assert run(impl.to_thread(divmod, 7, 2)) == (3, 1)
        del loop.run_in_executor
        [(executor, function, args)] = calls
        assert (executor, args) == (None, ())
        assert type(function) is functools.partial
        assert function.args == (divmod, 7, 2)

    def test_stock_loop(self, impl):
        variable = contextvars.ContextVar("variable")

        async def main():
            variable.set(1)
            assert await impl.to_thread(variable.get) == 1
            with pytest.raises(ZeroDivisionError):
                await impl.to_thread(divmod, 1, 0)
            return await impl.to_thread(dict, a=threading.current_thread())

        loop = asyncio.SelectorEventLoop()
        try:
            assert loop.run_until_complete(main()) == {"a": threading.current_thread()}
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
