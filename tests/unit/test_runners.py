"""asyncio.runners: `run` and `Runner`: the life of the loop, contexts, Ctrl-C, shutdown, errors."""

import asyncio
import contextvars
import gc
import signal
import sys
import threading
import warnings
import weakref

import pytest

from tests.unit.programs import forever

LIMIT = 30
AWAITABLES = sys.version_info >= (3, 14)


async def running_loop():
    return asyncio.get_running_loop()


def in_thread(work):
    """Do work in a thread that has no event loop, and return its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join(LIMIT)
    assert len(results) == 1, "the thread failed"
    return results[0]


@pytest.fixture
def own_loop(impl):
    """Make a runner use a loop of the implementation and leave the current loop of the thread alone."""
    return {"loop_factory": impl.new_event_loop}


class TestRun:
    def test_result_and_closed_loop(self, impl):
        loop = impl.run(running_loop())
        assert isinstance(loop, asyncio.AbstractEventLoop)
        assert loop.is_closed()

    @pytest.mark.parametrize("debug", [True, False])
    def test_debug(self, impl, debug):
        async def main():
            return asyncio.get_running_loop().get_debug()

        assert impl.run(main(), debug=debug) is debug

    @pytest.mark.yibu_only(before=(3, 12))
    def test_loop_factory(self, impl):
        made = []

        def factory():
            made.append(asyncio.SelectorEventLoop())
            return made[-1]

        assert [impl.run(running_loop(), loop_factory=factory)] == made
        assert made[0].is_closed()

    def test_inside_a_running_loop(self, impl):
        async def main():
            coro = impl.sleep(0)
            try:
                impl.run(coro)
            finally:
                coro.close()

        with pytest.raises(
            RuntimeError, match=r"^asyncio\.run\(\) cannot be called from a running event loop$"
        ):
            impl.run(main())

    @pytest.mark.parametrize("wrong", [None, 1, "main", print])
    def test_what_cannot_be_run(self, impl, wrong):
        if AWAITABLES:
            expected = TypeError("An asyncio.Future, a coroutine or an awaitable is required")
        else:
            expected = ValueError(f"a coroutine was expected, got {wrong!r}")
        with pytest.raises(type(expected)) as got:
            impl.run(wrong)
        assert str(got.value) == str(expected)

    def test_wrong_arguments(self, impl):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'main'"):
            impl.run()
        with pytest.raises(TypeError, match=r"takes 1 positional argument but 2 were given"):
            impl.run(None, None)
        with pytest.raises(TypeError, match="unexpected keyword argument 'policy'"):
            impl.run(None, policy=None)

    def test_the_exception_of_main_is_raised_after_the_shutdown(self, impl):
        loops = []

        async def main():
            loops.append(asyncio.get_running_loop())
            raise LookupError("x")

        with pytest.raises(LookupError, match="x"):
            impl.run(main())
        assert loops[0].is_closed()

    def test_shutdown_in_order(self, impl):
        order = []

        async def wait(name):
            try:
                await forever()
            finally:
                order.append(name)

        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                order.append("generator")

        async def main():
            nonlocal task, generator
            loop = asyncio.get_running_loop()
            task = asyncio.create_task(wait("task"))
            generator = numbers()
            assert await anext(generator) == 1
            await loop.run_in_executor(None, order.append, "executor")
            loop.call_soon(order.append, "callback")

        task = generator = None
        impl.run(main())
        assert order == ["executor", "callback", "task", "generator"]
        assert task.cancelled()

    def test_what_fails_over_its_cancellation_is_reported(self, impl):
        reports = []

        async def stubborn():
            try:
                await forever()
            except asyncio.CancelledError:
                raise ZeroDivisionError from None

        async def main():
            nonlocal task
            asyncio.get_running_loop().set_exception_handler(lambda loop, report: reports.append(report))
            task = asyncio.create_task(stubborn())
            await asyncio.sleep(0)

        task = None
        impl.run(main())
        (report,) = reports
        assert report.pop("exception") is task.exception()
        assert report == {
            "message": "unhandled exception during asyncio.run() shutdown",
            "task": task,
        }

    def test_stock_tasks_are_cancelled_too(self, impl):
        async def main():
            nonlocal task
            task = asyncio.Task(forever(), loop=asyncio.get_running_loop())

        task = None
        impl.run(main())
        assert task.cancelled()


class TestRunner:
    def test_life(self, impl):
        runner = impl.Runner()
        assert isinstance(runner, asyncio.Runner)
        states = asyncio.runners._State
        assert (runner._state, runner._loop, runner._set_event_loop) == (states.CREATED, None, False)
        loop = runner.get_loop()
        assert runner._loop is loop is runner.get_loop() is runner.run(running_loop())
        assert (runner._state, runner._set_event_loop) == (states.INITIALIZED, True)
        assert isinstance(runner._context, contextvars.Context)
        runner.close()
        assert loop.is_closed()
        assert (runner._state, runner._loop) == (states.CLOSED, None)

    def test_closed_without_a_loop(self, impl):
        runner = impl.Runner()
        runner.close()
        with runner:
            assert runner.run(impl.sleep(0, 5)) == 5

    def test_closed(self, impl):
        runner = impl.Runner()
        runner.get_loop()
        runner.close()
        runner.close()
        for use in runner.get_loop, runner.__enter__:
            with pytest.raises(RuntimeError, match=r"^Runner is closed$"):
                use()
        coro = impl.sleep(0)
        with pytest.raises(RuntimeError, match=r"^Runner is closed$"):
            runner.run(coro)
        coro.close()

    def test_enter_gives_the_runner_and_exit_hides_nothing(self, impl, own_loop):
        runner = impl.Runner(**own_loop)
        with pytest.raises(LookupError), runner as entered:
            assert entered is runner
            loop = runner.get_loop()
            raise LookupError
        assert loop.is_closed()

    def test_inside_a_running_loop(self, impl, own_loop):
        async def main():
            coro = impl.sleep(0)
            try:
                runner.run(coro)
            finally:
                coro.close()

        with impl.Runner(**own_loop) as runner:
            with pytest.raises(
                RuntimeError, match=r"^Runner\.run\(\) cannot be called from a running event loop$"
            ):
                runner.run(main())
            assert runner.run(impl.sleep(0, 1)) == 1

    def test_debug(self, impl, own_loop):
        for debug in True, False:
            with impl.Runner(debug=debug, **own_loop) as runner:
                assert runner.get_loop().get_debug() is debug

    def test_current_loop_of_the_thread(self, impl):
        def work():
            with impl.Runner() as runner:
                assert asyncio.get_event_loop() is runner.get_loop()
            with pytest.raises(RuntimeError, match="no current event loop"):
                asyncio.get_event_loop()
            return True

        assert in_thread(work)

    def test_with_a_factory_the_current_loop_is_left_alone(self, impl, own_loop):
        def work():
            with impl.Runner(**own_loop) as runner:
                runner.get_loop()
                with pytest.raises(RuntimeError, match="no current event loop"):
                    asyncio.get_event_loop()
            return runner._set_event_loop

        assert in_thread(work) is False

    def test_a_factory_that_fails_may_be_asked_again(self, impl):
        answers = [LookupError("first"), None]

        def factory():
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            return impl.new_event_loop()

        runner = impl.Runner(loop_factory=factory)
        with pytest.raises(LookupError, match="first"):
            runner.get_loop()
        with runner:
            assert runner.run(impl.sleep(0, 1)) == 1

    def test_context_is_kept_between_runs(self, impl, own_loop):
        var = contextvars.ContextVar("var", default=0)

        async def add():
            var.set(var.get() + 1)
            return var.get()

        other = contextvars.copy_context()
        with impl.Runner(**own_loop) as runner:
            assert [runner.run(add()) for _ in range(3)] == [1, 2, 3]
            assert runner.run(add(), context=other) == 1
            assert runner.run(add()) == 4
        assert (var.get(), other[var]) == (0, 1)

    def test_any_loop_will_do(self, impl):
        class Loop:
            """What a runner asks of a loop."""

            def __getattr__(self, name):
                def method(*args, **kwargs):
                    calls.append((name, *args))

                return method

        calls = []
        with impl.Runner(debug=False, loop_factory=Loop) as runner:
            loop = runner.get_loop()
        timeout = [asyncio.constants.THREAD_JOIN_TIMEOUT] if sys.version_info >= (3, 12) else []
        assert isinstance(loop, Loop)
        assert calls == [
            ("set_debug", False),
            ("shutdown_asyncgens",),
            ("run_until_complete", None),
            ("shutdown_default_executor", *timeout),
            ("run_until_complete", None),
            ("close",),
        ]

    def test_the_loop_is_closed_even_if_the_shutdown_fails(self, impl, own_loop):
        runner = impl.Runner(**own_loop)
        loop = runner.get_loop()

        async def fail():
            raise LookupError("shutdown")

        loop.shutdown_asyncgens = fail
        with pytest.raises(LookupError, match="shutdown"):
            runner.close()
        assert loop.is_closed()
        runner.close()

    @pytest.mark.skipif(not AWAITABLES, reason="new in 3.14")
    def test_runs_awaitables(self, impl, own_loop):
        class Awaitable:
            def __await__(self):
                return impl.sleep(0, "result").__await__()

        with impl.Runner(**own_loop) as runner:
            assert runner.run(Awaitable()) == "result"
            future = runner.get_loop().create_future()
            runner.get_loop().call_soon(future.set_result, "future")
            assert runner.run(future) == "future"

    @pytest.mark.skipif(AWAITABLES, reason="any awaitable since 3.14")
    def test_runs_coroutines_only(self, impl, own_loop):
        with impl.Runner(**own_loop) as runner:
            future = runner.get_loop().create_future()
            with pytest.raises(ValueError, match=r"^a coroutine was expected, got <Future pending>$"):
                runner.run(future)

    def test_task_factory_is_used(self, impl, own_loop):
        class Mine(impl.Task):
            pass

        async def main():
            return type(asyncio.current_task())

        with impl.Runner(**own_loop) as runner:
            runner.get_loop().set_task_factory(lambda loop, coro, **kw: Mine(coro, loop=loop, **kw))
            assert runner.run(main()) is Mine

    def test_dies_without_the_collector(self, impl):
        gc.disable()
        try:
            runner = impl.Runner()
            with runner:
                runner.run(impl.sleep(0))
            died = weakref.ref(runner)
            del runner
            assert died() is None
        finally:
            gc.enable()

    def test_unclosed(self, impl):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            impl.Runner(loop_factory=impl.new_event_loop).get_loop()
            gc.collect()
        assert [str(w.message).partition(" <")[0] for w in caught] == ["unclosed event loop"]


class TestInterrupt:
    """Ctrl-C, in the main thread, where the tests run."""

    @pytest.fixture(autouse=True)
    def ordinary_handler(self):
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        yield
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_cancels_main_first(self, impl):
        seen = []

        async def main():
            try:
                signal.raise_signal(signal.SIGINT)
                await forever()
            except asyncio.CancelledError:
                seen.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
                raise

        with pytest.raises(KeyboardInterrupt) as raised:
            impl.run(main())
        assert seen == [False]
        assert isinstance(raised.value.__context__, asyncio.CancelledError)

    def test_wakes_a_loop_that_waits(self, impl):
        async def main():
            asyncio.get_running_loop().call_soon(threading.Thread(target=interrupt).start)
            await forever()

        def interrupt():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            impl.run(main())

    def test_main_may_refuse(self, impl, own_loop):
        async def main():
            try:
                signal.raise_signal(signal.SIGINT)
                await forever()
            except asyncio.CancelledError:
                return asyncio.current_task().cancelling()

        with impl.Runner(**own_loop) as runner:
            assert runner.run(main()) == 1
            assert runner._interrupt_count == 1
            assert runner.run(impl.sleep(0, 2)) == 2
            assert runner._interrupt_count == 0

    def test_another_cancellation_stays_one(self, impl):
        async def main():
            asyncio.current_task().cancel("another")
            signal.raise_signal(signal.SIGINT)
            await forever()

        with pytest.raises(asyncio.CancelledError):
            impl.run(main())

    def test_second_one_interrupts(self, impl):
        async def main():
            try:
                signal.raise_signal(signal.SIGINT)
                await forever()
            except asyncio.CancelledError:
                seen.append("cancelled")
                signal.raise_signal(signal.SIGINT)
                seen.append("not reached")

        seen = []
        with pytest.raises(KeyboardInterrupt):
            impl.run(main())
        assert seen == ["cancelled"]

    def test_after_main_is_done(self, impl, own_loop):
        async def main():
            asyncio.current_task().add_done_callback(lambda task: signal.raise_signal(signal.SIGINT))

        with impl.Runner(**own_loop) as runner, pytest.raises(KeyboardInterrupt):
            runner.run(main())

    def test_handler_of_the_program_is_left_alone(self, impl, own_loop):
        def mine(signum, frame):
            got.append(signum)

        async def main():
            assert signal.getsignal(signal.SIGINT) is mine
            signal.raise_signal(signal.SIGINT)
            return "undisturbed"

        got = []
        signal.signal(signal.SIGINT, mine)
        try:
            assert impl.run(main()) == "undisturbed"
            assert signal.getsignal(signal.SIGINT) is mine
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        assert got == [signal.SIGINT]

    def test_handler_set_meanwhile_stays(self, impl):
        def mine(signum, frame):
            raise AssertionError

        async def main():
            signal.signal(signal.SIGINT, mine)

        try:
            impl.run(main())
            assert signal.getsignal(signal.SIGINT) is mine
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def test_other_threads_do_not_touch_signals(self, impl, own_loop):
        async def main():
            return signal.getsignal(signal.SIGINT)

        def work():
            with impl.Runner(**own_loop) as runner:
                return runner.run(main())

        assert in_thread(work) is signal.default_int_handler

    def test_where_signals_cannot_be_set(self, impl, own_loop, monkeypatch):
        def refuse(*_):
            raise ValueError("signal only works in main thread of the main interpreter")

        with impl.Runner(**own_loop) as runner, monkeypatch.context() as patch:
            runner.get_loop()
            patch.setattr(signal, "signal", refuse)
            assert runner.run(impl.sleep(0, 1)) == 1


@pytest.mark.yibu_only
class TestWhichLoop:
    """A runner without a factory makes yibu's loop. How it is with `install()` is in test_install."""

    def test_own(self, impl):
        assert type(impl.run(running_loop())) is impl.EventLoop
        with impl.Runner() as runner:
            assert type(runner.get_loop()) is impl.EventLoop

    def test_own_whatever_the_policy(self, impl):
        process = impl.run_source("""
            import asyncio, warnings

            warnings.simplefilter("ignore", DeprecationWarning)

            class Policy(asyncio.DefaultEventLoopPolicy):
                def new_event_loop(self):
                    raise AssertionError

                def set_event_loop(self, loop):
                    told.append(loop)

            async def main():
                return asyncio.get_running_loop()

            told = []
            asyncio.set_event_loop_policy(Policy())
            loop = aio.run(main())
            assert type(loop) is aio.EventLoop
            assert told == [loop, None]
        """)
        assert (process.stderr, process.returncode) == ("", 0)
