"""asyncio.base_events: what a loop does for others: asynchronous generators, and functions in threads."""

import asyncio
import concurrent.futures
import contextlib
import gc
import sys
import threading

import pytest

from tests.unit.programs import turn


class TestAsyncGenerators:
    @staticmethod
    async def count(log):
        try:
            for number in range(10):
                yield number
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    def test_shutdown_closes_unfinished_generators(self, loop):
        log = []

        async def main():
            generator = self.count(log)
            assert await anext(generator) == 0
            return generator

        generator = loop.run_until_complete(main())
        assert log == []
        loop.run_until_complete(loop.shutdown_asyncgens())
        assert log == ["closed"]
        del generator

    def test_dropped_generators_are_closed_by_the_loop(self, loop):
        log = []

        async def main():
            async for _ in self.count(log):
                break
            gc.collect()
            while not log:
                await asyncio.sleep(0)

        loop.run_until_complete(main())
        assert log == ["closed"]

    def test_dropped_in_another_thread(self, loop):
        log = []

        async def main():
            generator = self.count(log)
            await anext(generator)
            box = [generator]
            del generator
            await asyncio.to_thread(box.clear)
            gc.collect()
            while not log:
                await asyncio.sleep(0)

        loop.run_until_complete(main())
        assert log == ["closed"]

    def test_errors_while_closing_are_reported(self, loop, reports):
        async def stubborn():
            try:
                yield 1
            finally:
                raise ZeroDivisionError("in finally")

        async def main():
            generator = stubborn()
            await anext(generator)
            return generator

        generator = loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
        (context,) = reports
        assert context["message"] == (
            f"an error occurred during closing of asynchronous generator {generator!r}"
        )
        assert str(context["exception"]) == "in finally"
        assert context["asyncgen"] is generator

    def test_use_after_shutdown_warns(self, make_loop):
        loop = make_loop()
        loop.run_until_complete(loop.shutdown_asyncgens())

        async def generator():
            yield 1

        async def main():
            async for _ in generator():
                pass

        text = r"asynchronous generator <.*> was scheduled after loop.shutdown_asyncgens\(\) call"
        with pytest.warns(ResourceWarning, match=text):
            loop.run_until_complete(main())

    def test_shutdown_with_none(self, loop):
        assert loop.run_until_complete(loop.shutdown_asyncgens()) is None

    def test_hooks_are_set_by_the_functions_of_sys(self, loop, monkeypatch):
        calls = []
        get, put = sys.get_asyncgen_hooks, sys.set_asyncgen_hooks

        def get_hooks():
            calls.append("get")
            return get()

        def set_hooks(firstiter=None, finalizer=None):
            calls.append("set")
            return put(firstiter, finalizer)

        monkeypatch.setattr(sys, "get_asyncgen_hooks", get_hooks)
        monkeypatch.setattr(sys, "set_asyncgen_hooks", set_hooks)
        loop.run_until_complete(asyncio.sleep(0))
        assert calls == ["get", "set", "set"]
        assert tuple(get()) == (None, None)

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
    def test_the_former_hooks_are_shown_while_the_loop_runs(self, loop):
        seen = []
        assert loop._old_agen_hooks is None
        loop.call_soon(lambda: seen.append(loop._old_agen_hooks))
        loop.run_until_complete(asyncio.sleep(0))
        assert seen == [sys.get_asyncgen_hooks()]
        assert loop._old_agen_hooks is None

    def test_hooks_are_restored(self, loop):
        def first(generator):
            """A hook that was there before."""

        def final(generator):
            """Another one."""

        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(first, final)
        try:
            seen = []
            loop.call_soon(lambda: seen.append(sys.get_asyncgen_hooks()))
            turn(loop)
            assert seen[0].firstiter is not first and seen[0].finalizer is not final
            assert sys.get_asyncgen_hooks() == (first, final)
        finally:
            sys.set_asyncgen_hooks(*before)

    def test_hooks_are_restored_after_an_error(self, loop):
        before = sys.get_asyncgen_hooks()

        def fail():
            raise SystemExit

        loop.call_soon(fail)
        with pytest.raises(SystemExit):
            loop.run_forever()
        assert sys.get_asyncgen_hooks() == before


class TestExecutor:
    def test_default_executor(self, run, loop):
        def work(*args):
            return args, threading.current_thread() is not threading.main_thread()

        async def main():
            return await loop.run_in_executor(None, work, 1, 2)

        assert run(main()) == ((1, 2), True)

    def test_exception(self, run, loop):
        async def main():
            await loop.run_in_executor(None, lambda: 1 / 0)

        with pytest.raises(ZeroDivisionError):
            run(main())

    def test_gives_a_future(self, run, loop):
        async def main():
            future = loop.run_in_executor(None, int)
            assert isinstance(future, asyncio.Future)
            return await future

        assert run(main()) == 0

    def test_own_executor(self, run, loop):
        async def main():
            with concurrent.futures.ThreadPoolExecutor(1, "own") as executor:
                return await loop.run_in_executor(executor, lambda: threading.current_thread().name)

        assert run(main()).startswith("own")

    def test_set_default_executor(self, run, loop):
        executor = concurrent.futures.ThreadPoolExecutor(1, "mine")
        assert loop.set_default_executor(executor) is None

        async def main():
            return await loop.run_in_executor(None, lambda: threading.current_thread().name)

        assert run(main()).startswith("mine")
        run(loop.shutdown_default_executor())
        with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
            executor.submit(int)

    def test_any_object_with_submit(self, run, loop):
        """An executor given by the user is used through its submit method and nothing else."""

        class Immediate:
            def submit(self, function, *args):
                future = concurrent.futures.Future()
                future.set_result(function(*args))
                return future

        async def main():
            return await loop.run_in_executor(Immediate(), max, 1, 2)

        assert run(main()) == 2

    def test_many_jobs(self, run, loop):
        async def main():
            return await asyncio.gather(*[loop.run_in_executor(None, abs, -number) for number in range(200)])

        assert run(main()) == list(range(200))

    def test_cancelling_the_future(self, run, loop):
        started, release = threading.Event(), threading.Event()

        def work():
            started.set()
            release.wait(10)

        async def main():
            with concurrent.futures.ThreadPoolExecutor(1) as executor:
                running = loop.run_in_executor(executor, work)
                waiting = loop.run_in_executor(executor, work)
                await asyncio.to_thread(started.wait, 10)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                release.set()
                await running

        run(main())

    def test_shutdown_default_executor(self, loop):
        ran = []

        async def main():
            await loop.run_in_executor(None, ran.append, 1)
            await loop.shutdown_default_executor()
            with pytest.raises(RuntimeError, match=r"^Executor shutdown has been called$"):
                loop.run_in_executor(None, ran.append, 2)

        loop.run_until_complete(main())
        assert ran == [1]

    def test_shutdown_without_an_executor(self, loop):
        assert loop.run_until_complete(loop.shutdown_default_executor()) is None

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    @pytest.mark.yibu_only(before=(3, 13))  # stock waits all the same
    def test_shutdown_gives_up_after_its_timeout(self, loop):
        release = threading.Event()

        async def main():
            future = loop.run_in_executor(None, release.wait, 10)
            text = r"^The executor did not finishing joining its threads within 0.01 seconds\.$"
            with pytest.warns(RuntimeWarning, match=text):
                await loop.shutdown_default_executor(timeout=0.01)
            release.set()
            with contextlib.suppress(RuntimeError, asyncio.CancelledError):
                await future

        loop.run_until_complete(main())

    def test_close_shuts_the_default_executor_down(self, make_loop):
        loop = make_loop()
        executor = concurrent.futures.ThreadPoolExecutor(1)
        loop.set_default_executor(executor)
        loop.close()
        with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
            executor.submit(int)

    def test_to_thread(self, impl, run):
        async def main():
            return await impl.to_thread(lambda a, b: a + b, 1, b=2)

        assert run(main()) == 3

    def test_run_coroutine_threadsafe(self, impl, run, loop):
        async def double(number):
            await asyncio.sleep(0)
            return number * 2

        def work():
            return impl.run_coroutine_threadsafe(double(21), loop).result(10)

        async def main():
            return await asyncio.to_thread(work)

        assert run(main()) == 42

    def test_run_coroutine_threadsafe_cancelled_from_the_thread(self, impl, run, loop):
        cancelled = []

        async def wait():
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        def work(started):
            future = impl.run_coroutine_threadsafe(wait(), loop)
            started.wait(10)
            future.cancel()

        async def main():
            started = threading.Event()
            loop.call_later(0.001, started.set)
            await asyncio.to_thread(work, started)
            while not cancelled:
                await asyncio.sleep(0)

        run(main())
        assert cancelled == [True]
