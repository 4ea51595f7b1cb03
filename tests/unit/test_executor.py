"""The default executor: its threads, the fate of its jobs, and the attribute by which programs reach it."""

import asyncio
import concurrent.futures
import contextvars
import gc
import os
import sys
import threading
import traceback
import weakref

import pytest

LIMIT = 10
"""Seconds after which a job that waits for something gives up, so that a failure does not hang."""


@pytest.fixture
def one_worker(loop, run):
    """Let the default executor of the loop have one worker; return the executor."""
    run(in_executor(loop, int))
    loop._default_executor._max_workers = 1
    return loop._default_executor


@pytest.fixture
def held():
    """Give a job that says when it has begun, and ends when it is let go."""
    job = Held()
    yield job
    job.release.set()


class Held:
    def __init__(self):
        self.began, self.release = threading.Event(), threading.Event()

    def __call__(self, *_):
        self.began.set()
        assert self.release.wait(LIMIT)


async def in_executor(loop, function, *args):
    return await loop.run_in_executor(None, function, *args)


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


class Thing:
    """Something that a weak reference can point to."""


class TestThreads:
    def test_kind(self, run, loop):
        thread = run(in_executor(loop, threading.current_thread))
        assert type(thread) is threading.Thread
        assert thread.name == "asyncio_0"
        assert thread.daemon is False
        assert thread in threading.enumerate()
        assert loop._default_executor._threads == {thread}

    def test_none_is_started_before_there_is_a_job(self, loop):
        before = threading.active_count()
        assert loop._default_executor is None
        loop.run_until_complete(asyncio.sleep(0))
        assert threading.active_count() == before

    @pytest.mark.yibu_only  # stock may look for an idle thread before it has become one
    def test_idle_ones_are_used_again(self, run, loop):
        threads = {run(in_executor(loop, threading.get_ident)) for _ in range(50)}
        assert len(threads) == 1

    def test_as_many_as_there_are_processors_and_four_more(self, run, loop, monkeypatch):
        name = "process_cpu_count" if sys.version_info >= (3, 13) else "cpu_count"
        monkeypatch.setattr(os, name, lambda: 1)
        barrier = threading.Barrier(5)
        ran = []

        def job(number):
            ran.append(number)
            barrier.wait(LIMIT)

        async def main():
            await asyncio.gather(*[loop.run_in_executor(None, job, number) for number in range(15)])

        run(main())
        assert loop._default_executor._max_workers == 5
        assert len(loop._default_executor._threads) == 5
        assert sorted(ran) == list(range(15))
        assert {thread.name for thread in loop._default_executor._threads} == {
            f"asyncio_{n}" for n in range(5)
        }

    @pytest.mark.parametrize(("processors", "most"), [(None, 5), (100, 32)])
    def test_limits_of_the_number(self, run, loop, monkeypatch, processors, most):
        name = "process_cpu_count" if sys.version_info >= (3, 13) else "cpu_count"
        monkeypatch.setattr(os, name, lambda: processors)
        run(in_executor(loop, int))
        assert loop._default_executor._max_workers == most

    def test_a_job_may_wait_for_a_later_one(self, run, loop):
        event = threading.Event()

        async def main():
            waiting = loop.run_in_executor(None, event.wait, LIMIT)
            await turns()
            loop.run_in_executor(None, event.set)
            assert await waiting

        run(main())

    def test_jobs_of_a_burst_may_wait_for_each_other(self, run, loop):
        run(in_executor(loop, int))
        parties = loop._default_executor._max_workers
        for _ in range(20):
            barrier = threading.Barrier(parties)

            async def main(barrier=barrier):
                jobs = [loop.run_in_executor(None, barrier.wait, LIMIT) for _ in range(parties)]
                assert sorted(await asyncio.gather(*jobs)) == list(range(parties))

            run(main())

    def test_the_loop_s_thread_may_block_on_a_job(self, run, loop):
        async def main():
            for _ in range(20):
                event = threading.Event()
                future = loop.run_in_executor(None, event.set)
                assert event.wait(LIMIT)
                await future

        run(main())

    def test_one_that_cannot_be_started(self, run, loop, monkeypatch):
        def start(_thread):
            raise RuntimeError("can't start new thread")

        async def main():
            with monkeypatch.context() as patched:
                patched.setattr(threading.Thread, "start", start)
                with pytest.raises(RuntimeError, match=r"^can't start new thread$"):
                    loop.run_in_executor(None, int)
            assert loop._default_executor._threads == set()
            return await loop.run_in_executor(None, threading.current_thread)

        assert run(main()).name == "asyncio_0"

    def test_trace_and_profile_functions(self, run, loop):
        seen = []

        def trace(frame, event, _arg):
            seen.append((frame.f_code.co_name, event))

        def the_job():
            pass

        threading.settrace(trace)
        try:
            run(in_executor(loop, the_job))
        finally:
            threading.settrace(None)
        assert ("the_job", "call") in seen
        run(loop.shutdown_default_executor())

    def test_thread_locals_stay_with_the_thread(self, run, loop, one_worker):
        local = threading.local()

        def job():
            local.count = getattr(local, "count", 0) + 1
            return local.count

        assert [run(in_executor(loop, job)) for _ in range(3)] == [1, 2, 3]

    def test_context_is_the_thread_s_own(self, run, loop, one_worker):
        variable = contextvars.ContextVar("variable", default="nothing")

        async def main():
            variable.set("the task's")
            first = await loop.run_in_executor(None, variable.get)
            await loop.run_in_executor(None, variable.set, "the thread's")
            return first, await loop.run_in_executor(None, variable.get), variable.get()

        inherited = getattr(sys.flags, "thread_inherit_context", 0)
        expected = ("the task's" if inherited else "nothing", "the thread's", "the task's")
        assert run(main())[1:] == expected[1:]
        if not inherited:
            assert variable.get() == "nothing"

    def test_exceptions_do_not_reach_the_thread(self, run, loop, monkeypatch):
        escaped = []
        monkeypatch.setattr(threading, "excepthook", escaped.append)
        with pytest.raises(ZeroDivisionError):
            run(in_executor(loop, lambda: 1 / 0))
        assert run(in_executor(loop, int)) == 0
        assert escaped == []


class TestJobs:
    def test_arguments(self, run, loop):
        def job(*args):
            return args

        for args in (), (1,), ((),), (None,), (1, 2, 3):
            assert run(in_executor(loop, job, *args)) == args

    def test_gives_the_loop_s_future(self, run, loop):
        async def main():
            future = loop.run_in_executor(None, int)
            assert type(future) is type(loop.create_future())
            assert future.get_loop() is loop
            return await future

        assert run(main()) == 0

    def test_order(self, run, loop, one_worker):
        ran = []

        async def main():
            await asyncio.gather(*[loop.run_in_executor(None, ran.append, number) for number in range(100)])

        run(main())
        assert ran == list(range(100))

    def test_callbacks_run_in_the_loop_s_thread(self, run, loop):
        async def main():
            done = loop.create_future()
            future = loop.run_in_executor(None, int)
            future.add_done_callback(lambda _: done.set_result(threading.current_thread()))
            return await done

        assert run(main()) is threading.current_thread()

    def test_traceback(self, run, loop):
        def the_job():
            raise ValueError("wrong")

        with pytest.raises(ValueError, match=r"^wrong$") as caught:
            run(in_executor(loop, the_job))
        assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "the_job"
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, BaseException])
    def test_base_exceptions(self, run, loop, error):
        def job():
            raise error("out")

        async def main():
            with pytest.raises(error, match="out"):
                await loop.run_in_executor(None, job)
            return await loop.run_in_executor(None, int)

        assert run(main()) == 0

    @pytest.mark.parametrize("name", ["CancelledError", "InvalidStateError"])
    def test_exceptions_that_asyncio_has_classes_of_its_own_for(self, run, loop, name):
        class Derived(getattr(concurrent.futures, name)):
            pass

        def job(error):
            raise error

        async def main():
            with pytest.raises(getattr(asyncio, name)) as caught:
                await loop.run_in_executor(None, job, getattr(concurrent.futures, name)("a", "b"))
            assert caught.value.args == ("a", "b")
            if sys.version_info >= (3, 13):
                assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "job"
            with pytest.raises(Derived):
                await loop.run_in_executor(None, job, Derived())

        run(main())

    @pytest.mark.yibu_only(before=(3, 13))  # asyncio waits for ever in early releases of 3.12 and all of 3.11
    def test_stop_iteration(self, run, loop, reports):
        def job():
            raise StopIteration

        async def main():
            with pytest.raises(RuntimeError, match="StopIteration") as caught:
                await loop.run_in_executor(None, job)
            assert isinstance(caught.value.__cause__, StopIteration)
            assert reports == []

        run(main())

    def test_unretrieved_exception_is_reported(self, run, loop, reports):
        async def main():
            future = loop.run_in_executor(None, lambda: 1 / 0)
            while not future.done():
                await asyncio.sleep(0)

        run(main())
        gc.collect()
        assert [report["message"] for report in reports] == ["Future exception was never retrieved"]

    def test_a_future_that_somebody_completes(self, run, loop, reports, held):
        async def main():
            future = loop.run_in_executor(None, held)
            future.set_result("mine")
            held.release.set()
            while not reports:
                await asyncio.sleep(0)
            return await future

        assert run(main()) == "mine"
        assert isinstance(reports[0]["exception"], AssertionError)

    def test_nothing_is_kept_by_an_idle_worker(self, run, loop, one_worker):
        references = []

        async def main():
            thing, results = Thing(), [Thing()]

            def job(_thing):
                return results.pop()

            references.extend([weakref.ref(thing), weakref.ref(results[0]), weakref.ref(job)])
            outcome = await loop.run_in_executor(None, job, thing)
            assert outcome is references[1]()
            # Something else for the worker, in case it is still busy letting go.
            await loop.run_in_executor(None, int)

        run(main())
        assert [reference() for reference in references] == [None] * 3

    def test_arguments_are_released_by_the_worker(self, run, loop, held):
        released = []

        class Noting:
            def __del__(self):
                released.append(threading.current_thread())

        async def main():
            future = loop.run_in_executor(None, held, Noting())
            held.release.set()
            assert await future is None
            while not released:
                await asyncio.sleep(0)

        run(main())
        assert released[0] is not threading.current_thread()

    def test_from_another_thread(self, run, loop):
        async def main():
            given = concurrent.futures.Future()

            def asks():
                given.set_result(loop.run_in_executor(None, threading.current_thread))

            thread = threading.Thread(target=asks)
            thread.start()
            future = await asyncio.wrap_future(given)
            thread.join()
            return await future

        assert run(main()).name.startswith("asyncio_")

    def test_done_before_the_loop_runs(self, loop):
        ran = threading.Event()

        def job():
            ran.set()
            return 1

        future = loop.run_in_executor(None, job)
        assert ran.wait(LIMIT)
        assert not future.done()
        assert loop.run_until_complete(future) == 1

    def test_no_growth(self, run, loop):
        async def main(count):
            for number in range(count):
                assert await loop.run_in_executor(None, abs, -number) == number
                with pytest.raises(TypeError):
                    await loop.run_in_executor(None, abs)

        run(main(100))
        gc.collect()
        before = len(gc.get_objects())
        run(main(400))
        gc.collect()
        assert abs(len(gc.get_objects()) - before) < 50


class TestCancellation:
    def test_before_the_job_begins(self, run, loop, one_worker, held):
        ran = []

        async def main():
            blocking = loop.run_in_executor(None, held)
            waiting = loop.run_in_executor(None, ran.append, 1)
            last = loop.run_in_executor(None, ran.append, 2)
            assert waiting.cancel()
            await turns()
            held.release.set()
            await blocking
            await last
            assert waiting.cancelled()

        run(main())
        assert ran == [2]

    def test_while_the_job_runs(self, run, loop, held):
        ended = []

        def job():
            held()
            ended.append(1)
            return Thing()

        async def main():
            future = loop.run_in_executor(None, job)
            await loop.run_in_executor(None, held.began.wait, LIMIT)
            future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await future
            assert ended == []
            held.release.set()
            while not ended:
                await asyncio.sleep(0)
            await turns()
            assert future.cancelled()

        run(main())

    def test_of_a_task_that_waits(self, run, loop, held):
        async def main():
            task = loop.create_task(in_executor(loop, held))
            await loop.run_in_executor(None, held.began.wait, LIMIT)
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await task
            held.release.set()

        run(main())

    def test_an_exception_after_it_is_dropped(self, run, loop, held):
        def job():
            held()
            raise ValueError

        async def main():
            future = loop.run_in_executor(None, job)
            await loop.run_in_executor(None, held.began.wait, LIMIT)
            future.cancel()
            held.release.set()
            await in_executor(loop, int)
            await turns()

        run(main())
        gc.collect()


class TestShutdown:
    def test_waits_for_the_jobs(self, loop, held):
        ran = []

        async def main():
            jobs = [loop.run_in_executor(None, ran.append, number) for number in range(50)]
            await loop.shutdown_default_executor()
            assert sorted(ran) == list(range(50))
            await asyncio.gather(*jobs)
            assert not any(thread.is_alive() for thread in loop._default_executor._threads)

        loop.run_until_complete(main())

    def test_refuses_more(self, loop):
        async def main():
            await loop.run_in_executor(None, int)
            await loop.shutdown_default_executor()
            with pytest.raises(RuntimeError, match=r"^Executor shutdown has been called$"):
                loop.run_in_executor(None, int)
            with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
                loop._default_executor.submit(int)

        loop.run_until_complete(main())

    def test_twice(self, loop):
        async def main():
            await loop.run_in_executor(None, int)
            assert await loop.shutdown_default_executor() is None
            assert await loop.shutdown_default_executor() is None

        loop.run_until_complete(main())

    def test_another_executor_may_be_given_afterwards(self, loop):
        async def main():
            await loop.run_in_executor(None, int)
            await loop.shutdown_default_executor()
            with concurrent.futures.ThreadPoolExecutor(1) as executor:
                return await loop.run_in_executor(executor, int)

        assert loop.run_until_complete(main()) == 0

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_timeout_that_is_not_needed(self, loop):
        async def main():
            await loop.run_in_executor(None, int)
            await loop.shutdown_default_executor(timeout=LIMIT)
            assert not any(thread.is_alive() for thread in loop._default_executor._threads)

        loop.run_until_complete(main())

    @pytest.mark.yibu_only(before=(3, 13))  # stock waits for the thread in any case, and the loop with it
    def test_cancelled_while_it_waits(self, loop, held):
        async def main():
            future = loop.run_in_executor(None, held)
            task = loop.create_task(loop.shutdown_default_executor())
            await loop.create_task(turns())
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await task
            held.release.set()
            await future

        loop.run_until_complete(main())

    def test_an_executor_whose_shutdown_fails(self, loop):
        class Failing(concurrent.futures.ThreadPoolExecutor):
            def shutdown(self, *args, **kwargs):
                super().shutdown(*args, **kwargs)
                raise ValueError("no")

        loop.set_default_executor(Failing(1))
        with pytest.raises(ValueError, match=r"^no$"):
            loop.run_until_complete(loop.shutdown_default_executor())
        with pytest.raises(ValueError, match=r"^no$"):
            loop.close()

    def test_arguments(self, loop):
        if sys.version_info >= (3, 12):
            text = r"shutdown_default_executor\(\) takes from 1 to 2 positional arguments but 3 were given$"
        else:
            text = r"shutdown_default_executor\(\) takes 1 positional argument but 3 were given$"
        with pytest.raises(TypeError, match=text):
            loop.shutdown_default_executor(1, 2)


class TestClose:
    def test_does_not_wait(self, make_loop, held):
        loop = make_loop()
        ran = threading.Event()
        loop.run_until_complete(in_executor(loop, int))
        executor = loop._default_executor
        executor._max_workers = 1
        loop.run_in_executor(None, held)
        loop.run_in_executor(None, ran.set)
        assert held.began.wait(LIMIT)
        loop.close()
        assert loop._default_executor is None
        assert not ran.is_set()
        held.release.set()
        # What was taken is still done.
        assert ran.wait(LIMIT)
        executor.shutdown()
        assert not any(thread.is_alive() for thread in executor._threads)

    @pytest.mark.parametrize("fails", [False, True])
    def test_what_ends_afterwards_is_dropped(self, make_loop, held, caplog, fails):
        loop = make_loop()
        things = []

        def job():
            held()
            thing = Thing()
            things.append(weakref.ref(thing))
            if fails:
                raise ValueError(thing)
            return thing

        loop.run_in_executor(None, job)
        executor = loop._default_executor
        assert held.began.wait(LIMIT)
        loop.close()
        held.release.set()
        executor.shutdown()
        gc.collect()
        assert things[0]() is None
        assert caplog.records == []

    def test_outcomes_that_were_not_delivered(self, make_loop):
        loop = make_loop()
        done = threading.Event()

        def job():
            done.set()
            return Thing()

        future = loop.run_in_executor(None, job)
        executor = loop._default_executor
        assert done.wait(LIMIT)
        executor.shutdown()
        loop.close()
        assert not future.done()

    def test_refuses_more(self, make_loop):
        loop = make_loop()
        loop.close()
        with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
            loop.run_in_executor(None, int)

    def test_a_loop_that_is_forgotten(self, impl, run):
        loop = impl.new_event_loop()
        future = loop.run_in_executor(None, int)
        assert loop.run_until_complete(future) == 0
        threads = set(loop._default_executor._threads)
        with pytest.warns(ResourceWarning, match="unclosed event loop"):
            del loop, future
            gc.collect()
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()


class TestAttribute:
    """`loop._default_executor`, which programs read and replace."""

    def test_kind(self, run, loop):
        run(in_executor(loop, int))
        executor = loop._default_executor
        assert isinstance(executor, concurrent.futures.ThreadPoolExecutor)
        assert isinstance(executor, concurrent.futures.Executor)
        assert weakref.ref(executor)() is executor
        assert executor._thread_name_prefix == "asyncio"
        assert executor._work_queue.qsize() == 0
        assert executor._work_queue.empty()
        assert executor._shutdown is False
        assert not executor._broken
        executor.mark = 1
        assert executor.mark == 1

    def test_submit(self, run, loop):
        run(in_executor(loop, int))
        executor = loop._default_executor

        def job(*args, **kwargs):
            return args, kwargs, threading.current_thread().name

        future = executor.submit(job, 1, fn=2)
        assert type(future) is concurrent.futures.Future
        args, kwargs, name = future.result(LIMIT)
        assert (args, kwargs, name[:8]) == ((1,), {"fn": 2}, "asyncio_")
        with pytest.raises(ZeroDivisionError):
            executor.submit(lambda: 1 / 0).result(LIMIT)
        assert isinstance(executor.submit(sys.exit).exception(LIMIT), SystemExit)
        with pytest.raises(TypeError, match=r"submit\(\) missing 1 required positional argument: 'fn'$"):
            executor.submit()

    def test_submitted_and_cancelled(self, run, loop, one_worker, held):
        one_worker.submit(held)
        assert held.began.wait(LIMIT)
        future = one_worker.submit(int)
        assert one_worker._work_queue.qsize() == 1
        assert future.cancel()
        held.release.set()
        assert one_worker.submit(int).result(LIMIT) == 0
        assert future.cancelled()

    def test_map(self, run, loop):
        run(in_executor(loop, int))
        assert list(loop._default_executor.map(pow, [1, 2, 3], [2, 2, 2], timeout=LIMIT)) == [1, 4, 9]

    def test_context_manager(self, run, loop):
        run(in_executor(loop, int))
        with loop._default_executor as executor:
            assert executor is loop._default_executor
        assert executor._shutdown
        with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
            loop.run_in_executor(None, int)

    def test_shutdown_may_cancel_what_waits(self, run, loop, one_worker, held):
        ran = []

        async def main():
            blocking = loop.run_in_executor(None, held)
            await loop.run_in_executor(executor, held.began.wait, LIMIT)
            waiting = loop.run_in_executor(None, ran.append, 1)
            submitted = one_worker.submit(ran.append, 2)
            one_worker.shutdown(wait=False, cancel_futures=True)
            held.release.set()
            await blocking
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert submitted.cancelled()

        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            run(main())
        one_worker.shutdown()
        assert ran == []

    def test_given_by_name(self, run, loop):
        run(in_executor(loop, int))

        async def main():
            executor = loop._default_executor
            return await loop.run_in_executor(executor=executor, func=threading.current_thread)

        assert run(main()).name.startswith("asyncio_")

    def test_shared_by_two_loops(self, run, loop, make_loop):
        run(in_executor(loop, int))
        other = make_loop()
        other.set_default_executor(loop._default_executor)
        assert other._default_executor is loop._default_executor
        assert other.run_until_complete(in_executor(other, threading.current_thread)).name.startswith(
            "asyncio_"
        )
        other.close()
        with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
            loop.run_in_executor(None, int)

    def test_replaced(self, run, loop):
        run(in_executor(loop, int))
        first = loop._default_executor
        with concurrent.futures.ThreadPoolExecutor(1, "mine") as executor:
            loop._default_executor = executor
            assert run(in_executor(loop, threading.current_thread)).name == "mine_0"
            loop._default_executor = first
            assert run(in_executor(loop, threading.current_thread)).name.startswith("asyncio_")
            loop._default_executor = None
            assert run(in_executor(loop, threading.current_thread)).name.startswith("asyncio_")
        assert loop._default_executor is not first
        first.shutdown()

    def test_dropped(self, run, loop):
        run(in_executor(loop, int))
        threads = set(loop._default_executor._threads)
        loop._default_executor = None
        gc.collect()
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()

    def test_made_by_the_class_of_that_name(self, run, loop, monkeypatch):
        made = []

        class Other(concurrent.futures.ThreadPoolExecutor):
            def __init__(self, **keywords):
                super().__init__(1, **keywords)
                made.append(keywords)

        monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", Other)
        assert run(in_executor(loop, threading.current_thread)).name == "asyncio_0"
        assert made == [{"thread_name_prefix": "asyncio"}]
        assert type(loop._default_executor) is Other


class TestOverriding:
    def test_create_future(self, loop, make_loop):
        made = []

        class Loop(type(loop)):
            def create_future(self):
                made.append(super().create_future())
                return made[-1]

        loop = make_loop(Loop)
        made.clear()

        async def main():
            future = loop.run_in_executor(None, int)
            assert future is made[-1]
            return await future

        assert loop.run_until_complete(main()) == 0

    def test_call_soon_threadsafe(self, make_loop, held):
        loop = make_loop()
        threads = []
        original = loop.call_soon_threadsafe

        def call_soon_threadsafe(*args, **kwargs):
            threads.append(threading.current_thread().name)
            return original(*args, **kwargs)

        loop.call_soon_threadsafe = call_soon_threadsafe
        future = loop.run_in_executor(None, held)
        held.release.set()
        loop.run_until_complete(future)
        assert "asyncio_0" in threads
        del loop.call_soon_threadsafe

    def test_debug_mode(self, run, loop):
        loop.set_debug(True)

        async def main():
            with pytest.raises(TypeError, match=r"^coroutines cannot be used with run_in_executor\(\)$"):
                loop.run_in_executor(None, turns)
            with pytest.raises(TypeError, match=r"^a callable object was expected by run_in_executor\(\)"):
                loop.run_in_executor(None, None)
            return await loop.run_in_executor(None, int)

        assert run(main()) == 0


class TestProcess:
    def test_exit_waits_for_jobs(self, impl):
        process = impl.run_source("""
            import threading

            exiting = threading.Event()

            async def main():
                loop = aio.get_running_loop()
                await loop.run_in_executor(None, int)
                threading._register_atexit(exiting.set)  # called before the one of concurrent.futures
                loop._default_executor._max_workers = 1
                loop.run_in_executor(None, exiting.wait)
                loop.run_in_executor(None, print, "first")
                loop.run_in_executor(None, print, "second")

            loop = aio.new_event_loop()
            loop.run_until_complete(main())
            print("end")
        """)
        assert (process.stdout.split(), process.returncode) == (["end", "first", "second"], 0), process.stderr

    def test_no_jobs_are_taken_when_the_interpreter_exits(self, impl):
        process = impl.run_source("""
            import concurrent.futures.thread
            import os

            def job():
                while not concurrent.futures.thread._shutdown:
                    os.sched_yield()
                for use in executor.submit, lambda job: unused.run_in_executor(None, job):
                    try:
                        use(int)
                    except RuntimeError as error:
                        print(error)

            loop, unused = aio.new_event_loop(), aio.new_event_loop()
            loop.run_in_executor(None, job)
            executor = loop._default_executor
        """)
        text = "cannot schedule new futures after interpreter shutdown\n"
        assert (process.stdout, process.returncode) == (text * 2, 0), process.stderr

    def test_run_ends_the_threads(self, impl):
        process = impl.run_source("""
            import threading

            async def main():
                loop = aio.get_running_loop()
                await aio.gather(*[loop.run_in_executor(None, int) for _ in range(100)])

            aio.run(main())
            print(threading.active_count())
        """)
        assert (process.stdout, process.stderr, process.returncode) == ("1\n", "", 0)

    @pytest.mark.yibu_only  # stock's child waits for threads that stayed with the parent
    def test_a_forked_child_has_workers_of_its_own(self, impl):
        process = impl.run_source("""
            import os
            import threading
            import warnings

            warnings.simplefilter("ignore", DeprecationWarning)

            async def main():
                loop = aio.get_running_loop()
                waiting = [loop.run_in_executor(None, release.wait) for _ in range(10)]
                thread = await loop.run_in_executor(None, threading.current_thread)
                return len(waiting), thread.name, len(loop._default_executor._threads)

            release = threading.Event()
            release.set()
            loop = aio.new_event_loop()
            loop.run_until_complete(main())
            release.clear()
            for _ in range(100):
                loop.run_in_executor(None, release.wait)
            if (child := os.fork()) == 0:
                assert loop._default_executor._work_queue.empty()
                thread = loop.run_until_complete(loop.run_in_executor(None, threading.current_thread))
                print(thread.name, len(loop._default_executor._threads))
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()
            else:
                assert os.waitpid(child, 0)[1] == 0
                release.set()
                print(loop.run_until_complete(loop.run_in_executor(None, threading.current_thread)).name[:8])
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()
        """)
        assert (process.stdout, process.returncode) == ("asyncio_0 1\nasyncio_\n", 0), process.stderr

    @pytest.mark.parametrize(
        "end",
        ["os._exit(0)", pytest.param("None", marks=pytest.mark.yibu_only)],  # stock's child hangs
    )
    def test_a_job_that_forks(self, impl, end):
        process = impl.run_source(f"""
            import os
            import warnings

            def job():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    child = os.fork()
                if child == 0:
                    return {end}
                return os.waitpid(child, 0)[1]

            async def main():
                loop = aio.get_running_loop()
                return await loop.run_in_executor(None, job)

            print(aio.run(main()))
        """)
        assert (process.stdout, process.returncode) == ("0\n", 0), process.stderr
