"""Every misuse of loops, futures, tasks and what is built of them gives asyncio's own exception and text."""

import asyncio
import re
import signal
import sys

import pytest

from tests.unit.misuse import call, cases, check, coroutine_function, lazy

SCHEDULERS = {
    "call_soon": (),
    "call_soon_threadsafe": (),
    "call_later": (1000,),
    "call_at": (1000,),
    "run_in_executor": (None,),
}


class TestScheduling:
    @pytest.mark.parametrize("method", SCHEDULERS)
    @pytest.mark.parametrize("what", ["coroutine", "coroutine function"])
    def test_coroutines_in_debug_mode(self, world, method, what):
        world.loop.set_debug(True)
        callback = world.coroutine if what == "coroutine" else coroutine_function
        shown = "call_at" if method == "call_later" else method
        with pytest.raises(TypeError) as caught:
            getattr(world.loop, method)(*SCHEDULERS[method], callback)
        assert str(caught.value) == f"coroutines cannot be used with {shown}()"

    @pytest.mark.parametrize("method", SCHEDULERS)
    @pytest.mark.parametrize("value", [1, "text", None])
    def test_no_callable_in_debug_mode(self, world, method, value):
        world.loop.set_debug(True)
        shown = "call_at" if method == "call_later" else method
        with pytest.raises(TypeError) as caught:
            getattr(world.loop, method)(*SCHEDULERS[method], value)
        assert str(caught.value) == f"a callable object was expected by {shown}(), got {value!r}"

    def test_no_callable_outside_debug_mode_is_reported_when_it_is_called(self, loop, reports):
        loop.call_soon(1)
        loop.call_soon(loop.stop)
        loop.run_forever()
        (context,) = reports
        assert context["message"] == "Exception in callback 1()"
        assert str(context["exception"]) == "'int' object is not callable"

    @cases(
        ("call_later of None", call("call_later", None, print), TypeError, "delay must not be None"),
        ("call_at of None", call("call_at", None, print), TypeError, "when cannot be None"),
        (
            "call_later of text",
            call("call_later", "x", print),
            TypeError,
            "unsupported operand type(s) for +: 'float' and 'str'",
        ),
        ("call_soon of nothing", call("call_soon"), TypeError, None),
        ("call_later of nothing", call("call_later", 1), TypeError, None),
        ("call_soon with a wrong keyword", call("call_soon", print, key=1), TypeError, None),
        (
            "set_task_factory",
            call("set_task_factory", 1),
            TypeError,
            "task factory must be a callable or None",
        ),
        (
            "set_exception_handler",
            call("set_exception_handler", 1),
            TypeError,
            "A callable object or None is expected, got 1",
        ),
        (
            "set_default_executor of None",
            call("set_default_executor", None),
            TypeError,
            "executor must be ThreadPoolExecutor instance",
        ),
        (
            "set_default_executor of a number",
            call("set_default_executor", 1),
            TypeError,
            "executor must be ThreadPoolExecutor instance",
        ),
        (
            "run_in_executor of a number",
            call("run_in_executor", 1, print),
            AttributeError,
            "'int' object has no attribute 'submit'",
        ),
        ("create_task of a number", call("create_task", 1), TypeError, "a coroutine was expected, got 1"),
        (
            "create_task of a coroutine function",
            call("create_task", coroutine_function),
            TypeError,
            f"a coroutine was expected, got {coroutine_function!r}",
        ),
        (
            "create_task of a future",
            call("create_task", lazy("future")),
            TypeError,
            "a coroutine was expected, got {world.future!r}",
        ),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.yibu_only  # stock keeps the timer, and fails at it when it runs
    def test_deadline_that_cannot_be_compared(self, loop, run):
        loop.call_at(1, int)
        with pytest.raises(TypeError):
            loop.call_at("x", print)
        assert run(asyncio.sleep(0.001, "runs")) == "runs"

    def test_negative_and_infinite_delays_are_taken(self, loop):
        for delay in (-1, -1e300, float("inf"), float("-inf")):
            loop.call_later(delay, print).cancel()

    def test_a_nan_deadline_is_taken(self, loop):
        timer = loop.call_later(float("nan"), print)
        assert timer.when() != timer.when()
        timer.cancel()

    @pytest.mark.yibu_only  # on stock the loop itself fails, or the order of other timers does
    def test_a_nan_deadline_harms_nobody(self, loop):
        called = []
        now = loop.time()
        for number in range(10):
            loop.call_later(float("nan"), int)
            loop.call_at(now + number / 1e4, called.append, number)
        loop.call_at(now + 0.002, loop.stop)
        loop.run_forever()
        assert called == list(range(10))

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
    def test_sleep_of_nan(self, impl, run):
        with pytest.raises(ValueError, match=r"^Invalid delay: NaN \(not a number\)$"):
            run(impl.sleep(float("nan")))


class TestFuturesAndTasks:
    @cases(
        ("set_exception", lambda w: w.future.set_exception(1), TypeError, "invalid exception object"),
        ("result", lambda w: w.future.result(), asyncio.InvalidStateError, "Result is not set."),
        ("exception", lambda w: w.future.exception(), asyncio.InvalidStateError, "Exception is not set."),
        ("add_done_callback of nothing", lambda w: w.future.add_done_callback(), TypeError, None),
        ("cancel with two messages", lambda w: w.future.cancel(1, 2), TypeError, None),
        (
            "a loop that is none",
            lambda w: w.impl.Future(loop=1),
            AttributeError,
            "'int' object has no attribute 'get_debug'",
        ),
        (
            "a task's loop that is none",
            lambda w: w.impl.Task(w.coroutine, loop=1),
            AttributeError,
            "'int' object has no attribute 'get_debug'",
        ),
        (
            "Task of a number",
            lambda w: w.impl.Task(123, loop=w.loop),
            TypeError,
            "a coroutine was expected, got 123",
        ),
        ("Task of nothing", lambda w: w.impl.Task(loop=w.loop), TypeError, None),
        ("_state", lambda w: setattr(w.future, "_state", "x"), AttributeError, None),
        ("_loop", lambda w: setattr(w.future, "_loop", None), AttributeError, None),
        ("_result", lambda w: setattr(w.future, "_result", 1), AttributeError, None),
        ("_log_traceback", lambda w: delattr(w.future, "_log_traceback"), AttributeError, None),
        (
            "ensure_future of a number",
            lambda w: w.impl.ensure_future(1, loop=w.loop),
            TypeError,
            "An asyncio.Future, a coroutine or an awaitable is required",
        ),
        (
            "ensure_future on another loop",
            lambda w: w.impl.ensure_future(w.other.create_future(), loop=w.loop),
            ValueError,
            "The future belongs to a different loop than the one specified as the loop argument",
        ),
        (
            "run_coroutine_threadsafe of a number",
            lambda w: w.impl.run_coroutine_threadsafe(1, w.loop),
            TypeError,
            "A coroutine object is required",
        ),
        ("wait of nothing", lambda w: w.impl.wait([]), ValueError, "Set of Tasks/Futures is empty."),
        ("wait of an iterator of nothing", lambda w: w.impl.wait(iter(())), AssertionError, None),
        (
            "wait of coroutines",
            lambda w: w.impl.wait([w.coroutine]),
            TypeError,
            "Passing coroutines is forbidden, use tasks explicitly.",
        ),
        (
            "wait of a future",
            lambda w: w.impl.wait(w.future),
            TypeError,
            "expect a list of futures, not " + asyncio.Future.__name__,
        ),
        (
            "wait for something else",
            lambda w: w.impl.wait([w.future], return_when="NEVER"),
            ValueError,
            "Invalid return_when value: NEVER",
        ),
        ("gather of a number", lambda w: gather(w, 1), TypeError, None),
        ("sleep of text", lambda w: w.impl.sleep("x"), TypeError, None),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.skipif(sys.version_info < (3, 15), reason="3.14 took anything")
    def test_task_context(self, impl, world):
        with pytest.raises(TypeError) as caught:
            impl.Task(world.coroutine, loop=world.loop, context=1)
        assert str(caught.value) == "a contextvars.Context was expected, got int"

    def test_future_without_a_loop(self, impl):
        asyncio.set_event_loop(None)
        with pytest.raises(RuntimeError, match=r"^There is no current event loop in thread 'MainThread'\.$"):
            impl.Future()
        coroutine = coroutine_function()
        with pytest.raises(RuntimeError, match=r"^There is no current event loop in thread 'MainThread'\.$"):
            impl.Task(coroutine)
        coroutine.close()

    def test_create_task_without_a_loop(self, impl):
        coroutine = coroutine_function()
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.create_task(coroutine)
        coroutine.close()


async def gather(world, *values):
    return await world.impl.gather(*values)


class TestRunning:
    def test_run_of_what_is_no_coroutine(self, impl):
        for value in (1, coroutine_function):
            with pytest.raises((ValueError, TypeError)) as caught:
                impl.run(value)
            if sys.version_info < (3, 14):
                assert type(caught.value) is ValueError
                assert str(caught.value) == f"a coroutine was expected, got {value!r}"
            else:
                assert type(caught.value) is TypeError
                assert str(caught.value) == "An asyncio.Future, a coroutine or an awaitable is required"

    def test_run_inside_run(self, impl):
        async def main():
            coroutine = coroutine_function()
            text = r"^asyncio.run\(\) cannot be called from a running event loop$"
            with pytest.raises(RuntimeError, match=text):
                impl.run(coroutine)
            coroutine.close()

        impl.run(main())

    def test_runner_inside_run(self, impl):
        async def main():
            coroutine, runner = coroutine_function(), impl.Runner()
            with pytest.raises(
                RuntimeError, match=r"^Runner.run\(\) cannot be called from a running event loop$"
            ):
                runner.run(coroutine)
            coroutine.close()

        impl.run(main())

    def test_closed_runner(self, impl):
        runner = impl.Runner()
        runner.get_loop()
        runner.close()
        coroutine = coroutine_function()
        with pytest.raises(RuntimeError, match=r"^Runner is closed$"):
            runner.run(coroutine)
        with pytest.raises(RuntimeError, match=r"^Runner is closed$"):
            runner.get_loop()
        coroutine.close()

    def test_set_event_loop_of_a_number(self, impl):
        text = r"^loop must be an instance of AbstractEventLoop or None, not 'int'$"
        with pytest.raises(TypeError, match=text):
            impl.set_event_loop(1)

    def test_a_loop_used_twice(self, world):
        async def main():
            with pytest.raises(RuntimeError, match=r"^Cannot close a running event loop$"):
                world.loop.close()
            with pytest.raises(RuntimeError, match=r"^This event loop is already running$"):
                world.loop.run_forever()

        if sys.version_info[:3] == (3, 13, 0) and world.impl.is_stock:
            pytest.skip("stock forgets its running loop there")
        world.loop.run_until_complete(main())


class TestSignals:
    @cases(
        ("text", call("add_signal_handler", "x", print), TypeError, "sig must be an int, not 'x'"),
        ("too large", call("add_signal_handler", 1000, print), ValueError, "invalid signal number 1000"),
        ("zero", call("add_signal_handler", 0, print), ValueError, "invalid signal number 0"),
        ("uncatchable", call("add_signal_handler", 9, print), RuntimeError, "sig 9 cannot be caught"),
        ("stop", call("add_signal_handler", signal.SIGSTOP, print), RuntimeError, None),
        (
            "coroutine",
            call("add_signal_handler", 10, lazy("coroutine")),
            TypeError,
            "coroutines cannot be used with add_signal_handler()",
        ),
        (
            "coroutine function",
            call("add_signal_handler", 10, coroutine_function),
            TypeError,
            "coroutines cannot be used with add_signal_handler()",
        ),
        ("remove text", call("remove_signal_handler", "x"), TypeError, "sig must be an int, not 'x'"),
        ("remove zero", call("remove_signal_handler", 0), ValueError, "invalid signal number 0"),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)
        assert signal.set_wakeup_fd(-1) in (-1, 0) or world.loop.remove_signal_handler(10) is False


async def entered_twice(world):
    scope = world.impl.timeout(1000)
    async with scope:
        async with scope:
            pass


async def used_without_being_entered(world):
    group = world.impl.TaskGroup()
    try:
        group.create_task(world.coroutine)
    finally:
        world.coroutine.close()


async def used_after_its_end(world):
    async with world.impl.TaskGroup() as group:
        pass
    try:
        group.create_task(world.coroutine)
    finally:
        world.coroutine.close()


async def rescheduled(world, *, after):
    limit = world.impl.timeout(None)
    if after:
        async with limit:
            pass
    limit.reschedule(1)


async def waiting_on_two_loops(world, primitive):
    """Wait on `primitive` so that it binds to this loop, and then on another loop."""
    waiting = asyncio.ensure_future(primitive.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    return primitive


class TestPrimitives:
    @cases(
        ("Semaphore", lambda w: w.impl.Semaphore(-1), ValueError, "Semaphore initial value must be >= 0"),
        ("BoundedSemaphore", lambda w: w.impl.BoundedSemaphore().release(), ValueError, None),
        ("Lock", lambda w: w.impl.Lock().release(), RuntimeError, "Lock is not acquired."),
        ("Barrier", lambda w: w.impl.Barrier(0), ValueError, None),
        (
            "Condition",
            lambda w: w.impl.Condition().notify(),
            RuntimeError,
            "cannot notify on un-acquired lock",
        ),
        (
            "Condition.wait",
            lambda w: w.impl.Condition().wait(),
            RuntimeError,
            "cannot wait on un-acquired lock",
        ),
        ("Queue", lambda w: w.impl.Queue().task_done(), ValueError, "task_done() called too many times"),
        ("StreamReader", lambda w: w.impl.StreamReader(limit=0), ValueError, "Limit cannot be <= 0"),
        ("loop=", lambda w: w.impl.Lock(loop=w.loop), TypeError, None),
        (
            "timeout entered twice",
            entered_twice,
            RuntimeError,
            "Timeout has already been entered",
        ),
        (
            "timeout not entered",
            lambda w: rescheduled(w, after=False),
            RuntimeError,
            "Timeout has not been entered" if sys.version_info >= (3, 12) else None,
        ),
        (
            "timeout after its end",
            lambda w: rescheduled(w, after=True),
            RuntimeError,
            "Cannot change state of finished Timeout" if sys.version_info >= (3, 12) else None,
        ),
        ("group not entered", used_without_being_entered, RuntimeError, None),
        ("group after its end", used_after_its_end, RuntimeError, None),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.parametrize("name", ["Lock", "Semaphore", "Event", "Condition", "Queue"])
    def test_primitives_are_not_awaitable(self, impl, run, name):
        async def main():
            await getattr(impl, name)()

        shown = f"object {name} can't be used in 'await' expression|'{name}' object can't be awaited"
        with pytest.raises(TypeError, match=f"^({shown})$"):
            run(main())

    def test_a_primitive_of_another_loop(self, impl, world):
        event = world.loop.run_until_complete(waiting_on_two_loops(world, impl.Event()))
        with pytest.raises(RuntimeError, match=r"^<.*Event.*> is bound to a different event loop$"):
            world.other.run_until_complete(event.wait())


class TestBookkeeping:
    """The functions by which tasks tell asyncio that they run."""

    def test_enter_and_leave(self, loop, run):
        one, two = object(), object()

        async def main():
            mine = asyncio.current_task()
            with pytest.raises(RuntimeError) as caught:
                asyncio.tasks._enter_task(loop, one)
            start = re.escape(f"Cannot enter into task {one!r} while another task <Task pending ")
            assert re.fullmatch(rf"{start}.*> is being executed\.", str(caught.value))
            with pytest.raises(RuntimeError) as caught:
                asyncio.tasks._leave_task(loop, two)
            assert re.fullmatch(
                rf"(Invalid attempt to leave|Leaving) task {re.escape(repr(two))} (while|does not match) .*",
                str(caught.value),
            )
            return asyncio.current_task() is mine

        assert run(main())

    def test_attributes_that_cannot_be_deleted(self, world):
        for name in ("_cancel_message", "_log_traceback", "_asyncio_future_blocking"):
            with pytest.raises((AttributeError, TypeError)):
                delattr(world.future, name)


class TestRunningOn:
    def test_after_all_that_the_loop_still_runs(self, world):
        """Misuse leaves no trace: what was refused was not half done."""
        for misuse in (
            lambda: world.loop.call_later(None, print),
            lambda: world.loop.create_task(1),
            lambda: world.loop.run_until_complete(1),
            lambda: world.loop.set_task_factory(1),
            lambda: world.loop.add_reader(None, print),
        ):
            with pytest.raises((TypeError, ValueError)):
                misuse()
        assert world.loop.run_until_complete(asyncio.sleep(0, "runs")) == "runs"
        assert asyncio.all_tasks(world.loop) == set()
