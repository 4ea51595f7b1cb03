"""asyncio.events: handles, the call_* methods, the order in which callbacks run, and the loop of a thread."""

import asyncio
import contextvars
import gc
import operator
import sys
import threading
import time
import weakref

import pytest

from tests.unit.programs import turn

ARGUMENTS_SHOWN = sys.version_info < (3, 13)
"""Whether a handle's repr shows the arguments of its callback outside debug mode."""

CLOCK_RESOLUTION = time.get_clock_info("monotonic").resolution


def noop(*args):
    """A callback with a name and a line of its own."""


NOOP_LINE = noop.__code__.co_firstlineno


class Callback:
    """A callable that can be referenced weakly and records its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, *args):
        self.calls.append(args)


class TestHandle:
    def test_is_what_asyncio_calls_a_handle(self, impl, loop):
        handle = loop.call_soon(noop)
        timer = loop.call_later(1000, noop)
        assert isinstance(handle, asyncio.Handle)
        assert isinstance(timer, asyncio.TimerHandle)
        assert isinstance(timer, asyncio.Handle)
        assert isinstance(handle, impl.Handle)
        assert isinstance(timer, impl.TimerHandle)
        assert not isinstance(handle, asyncio.TimerHandle)

    def test_cancel(self, loop):
        called = []
        handle = loop.call_soon(called.append, 1)
        assert handle.cancelled() is False
        assert handle.cancel() is None
        assert handle.cancelled() is True
        assert handle.cancel() is None
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert called == []

    def test_cancelled_stays_false_after_the_call(self, loop):
        called = []
        handle = loop.call_soon(called.append, 1)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert called == [1]
        assert handle.cancelled() is False
        handle.cancel()
        assert handle.cancelled() is True

    def test_cancel_by_a_callback_of_the_same_turn(self, loop):
        called = []
        handles = []

        def cancel_the_second():
            handles[0].cancel()

        loop.call_soon(cancel_the_second)
        handles.append(loop.call_soon(called.append, "second"))
        loop.call_soon(called.append, "third")
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert called == ["third"]

    def test_a_callback_may_cancel_its_own_handle(self, loop):
        called = []

        def callback():
            handle.cancel()
            called.append(handle.cancelled())

        handle = loop.call_soon(callback)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert called == [True]

    def test_cancel_drops_the_callback_and_its_arguments(self, loop):
        callback, argument = Callback(), Callback()
        callback_ref, argument_ref = weakref.ref(callback), weakref.ref(argument)
        handle = loop.call_soon(callback, argument)
        del callback, argument
        gc.collect()
        assert callback_ref() is not None and argument_ref() is not None
        handle.cancel()
        gc.collect()
        assert callback_ref() is None and argument_ref() is None

    def test_the_loop_drops_a_handle_that_has_run(self, loop):
        callback = Callback()
        reference = weakref.ref(loop.call_soon(callback))
        loop.call_soon(loop.stop)
        loop.run_forever()
        gc.collect()
        assert callback.calls == [()]
        assert reference() is None

    def test_private_attributes_that_libraries_read(self, loop):
        handle = loop.call_soon(noop, 1, 2)
        assert handle._callback is noop
        assert handle._args == (1, 2)
        assert handle._cancelled is False
        assert handle._loop is loop
        assert isinstance(handle._context, contextvars.Context)
        handle.cancel()
        assert handle._callback is None
        assert handle._args is None
        assert handle._cancelled is True

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_get_context(self, loop):
        context = contextvars.copy_context()
        assert loop.call_soon(noop, context=context).get_context() is context
        assert isinstance(loop.call_later(1000, noop).get_context(), contextvars.Context)

    def test_made_by_hand(self, impl, loop):
        called = []
        handle = impl.Handle(lambda *args: called.append(args), (1, 2), loop)
        handle._run()
        assert called == [(1, 2)]
        assert repr(handle).startswith("<Handle ")

    def test_context_of_a_handle_made_by_hand(self, impl, loop):
        variable = contextvars.ContextVar("variable", default="outer")
        context = contextvars.copy_context()
        context.run(variable.set, "inner")
        seen = []
        impl.Handle(lambda: seen.append(variable.get()), (), loop, context)._run()
        assert seen == ["inner"]
        assert variable.get() == "outer"

    def test_an_exception_is_reported_and_not_raised(self, loop, reports):
        error = ZeroDivisionError("oops")

        def fail():
            raise error

        handle = loop.call_soon(fail)
        loop.call_soon(loop.stop)
        loop.run_forever()
        (context,) = reports
        assert set(context) == {"message", "exception", "handle"}
        assert context["exception"] is error
        assert context["handle"] is handle
        assert context["message"].startswith("Exception in callback ")
        assert "fail()" in context["message"]
        assert f"test_events.py:{fail.__code__.co_firstlineno}" in context["message"]

    def test_an_exception_in_debug_mode_tells_where_the_handle_was_made(self, loop, reports):
        loop.set_debug(True)
        handle = loop.call_soon(lambda: 1 / 0)
        loop.call_soon(loop.stop)
        loop.run_forever()
        (context,) = reports
        assert set(context) == {"message", "exception", "handle", "source_traceback"}
        assert context["source_traceback"] is handle._source_traceback
        last = context["source_traceback"][-1]
        assert last.name == "test_an_exception_in_debug_mode_tells_where_the_handle_was_made"

    @pytest.mark.parametrize("schedule", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
    def test_source_traceback_ends_at_the_caller(self, loop, schedule):
        loop.set_debug(True)
        arguments = {"call_later": (1000,), "call_at": (loop.time() + 1000,)}.get(schedule, ())
        handle = getattr(loop, schedule)(*arguments, noop)
        last = handle._source_traceback[-1]
        assert last.name == "test_source_traceback_ends_at_the_caller"
        assert last.line == "handle = getattr(loop, schedule)(*arguments, noop)"
        handle.cancel()

    def test_debug_mode_keeps_what_a_cancelled_handle_was(self, loop):
        loop.set_debug(True)
        handle = loop.call_soon(noop)
        source = handle._source_traceback
        assert handle._repr is None
        handle.cancel()
        assert handle._repr == repr(handle)
        assert "cancelled" in handle._repr and "noop" in handle._repr
        assert handle._source_traceback is source
        handle._repr = handle._source_traceback = None
        assert handle._repr is handle._source_traceback is None

    def test_no_source_traceback_outside_debug_mode(self, loop):
        assert loop.call_soon(noop)._source_traceback is None

    def test_weakly_referenced(self, loop):
        handle = loop.call_soon(noop)
        assert weakref.ref(handle)() is handle

    def test_cannot_be_called(self, loop):
        with pytest.raises(TypeError):
            loop.call_soon(noop)()


class TestHandleRepr:
    def test_function(self, loop):
        shown = "1, 'a'" if ARGUMENTS_SHOWN else ""
        assert repr(loop.call_soon(noop, 1, "a")) == f"<Handle noop({shown}) at {__file__}:{NOOP_LINE}>"

    def test_builtin(self, loop):
        shown = "1" if ARGUMENTS_SHOWN else ""
        assert repr(loop.call_soon(print, 1)) == f"<Handle print({shown})>"

    def test_method(self, loop):
        shown = "()" if ARGUMENTS_SHOWN else ""
        handle = loop.call_soon(Callback().__call__, ())
        assert repr(handle) == f"<Handle Callback.__call__({shown})>"

    def test_cancelled(self, loop):
        handle = loop.call_soon(noop)
        handle.cancel()
        assert repr(handle) == "<Handle cancelled>"

    def test_no_callback(self, impl, loop):
        assert repr(impl.Handle(None, (), loop)) == "<Handle>"

    def test_debug_shows_arguments_and_origin(self, loop):
        loop.set_debug(True)
        handle = loop.call_soon(noop, 1)
        line = sys._getframe().f_lineno - 1
        shown = f"noop(1) at {__file__}:{NOOP_LINE} created at {__file__}:{line}"
        assert repr(handle) == f"<Handle {shown}>"
        handle.cancel()
        assert repr(handle) == f"<Handle cancelled {shown}>"

    def test_timer(self, loop):
        timer = loop.call_at(loop.time() + 1000, noop)
        assert repr(timer) == f"<TimerHandle when={timer.when()} noop() at {__file__}:{NOOP_LINE}>"

    def test_cancelled_timer(self, loop):
        timer = loop.call_at(loop.time() + 1000, noop)
        timer.cancel()
        assert repr(timer) == f"<TimerHandle cancelled when={timer.when()}>"

    def test_subclass_name(self, impl, loop):
        class MyHandle(impl.Handle):
            pass

        assert repr(MyHandle(noop, (), loop)).startswith("<MyHandle noop()")


class TestTimerHandle:
    def test_when(self, loop):
        deadline = loop.time() + 1000
        assert loop.call_at(deadline, noop).when() == deadline

    def test_when_of_call_later_counts_from_now(self, loop):
        before = loop.time()
        timer = loop.call_later(1000, noop)
        after = loop.time()
        assert before + 1000 <= timer.when() <= after + 1000

    def test_when_accepts_an_integer(self, loop):
        timer = loop.call_at(int(loop.time()) + 1000, noop)
        assert timer.when() == int(timer.when())

    def test_order_is_by_deadline(self, impl, loop):
        early, late = impl.TimerHandle(1, noop, (), loop), impl.TimerHandle(2, noop, (), loop)
        assert early < late and early <= late and not early > late and not early >= late
        assert early != late
        assert sorted([late, early]) == [early, late]

    def test_equality_compares_what_will_be_called(self, impl, loop):
        context = contextvars.copy_context()
        one = impl.TimerHandle(1, noop, (1,), loop, context)
        same = impl.TimerHandle(1, noop, (1,), loop, context)
        assert one == same
        assert one <= same and one >= same
        assert hash(one) == hash(same) == hash(1)
        assert one != impl.TimerHandle(1, noop, (2,), loop, context)
        assert one != impl.TimerHandle(1, print, (1,), loop, context)
        same.cancel()
        assert one != same

    def test_comparison_with_anything_else_is_refused(self, impl, loop):
        timer = impl.TimerHandle(1, noop, (), loop)
        handle = impl.Handle(noop, (), loop)
        assert (timer == handle, timer == 1) == (False, False)
        assert (timer != handle, timer != 1) == (True, True)
        for other in (handle, 1, None):
            for compare in (operator.lt, operator.le, operator.gt, operator.ge):
                with pytest.raises(TypeError):
                    compare(timer, other)

    def test_cancel_before_and_after_firing(self, loop):
        called = []
        kept = loop.call_at(loop.time(), called.append, "kept")
        dropped = loop.call_at(loop.time(), called.append, "dropped")
        dropped.cancel()
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert called == ["kept"]
        assert not kept.cancelled()
        kept.cancel()
        assert kept.cancelled()

    def test_scheduled_flag(self, loop):
        timer = loop.call_at(loop.time(), noop)
        assert timer._scheduled is True
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert timer._scheduled is False


class TestCallbackOrder:
    def run_and_stop(self, loop):
        loop.call_soon(loop.stop)
        loop.run_forever()

    def test_first_in_first_out(self, loop):
        called = []
        for number in range(100):
            loop.call_soon(called.append, number)
        self.run_and_stop(loop)
        assert called == list(range(100))

    def test_a_turn_runs_only_what_was_ready_when_it_began(self, loop):
        called = []

        def first():
            called.append("first")
            loop.call_soon(called.append, "next turn")

        loop.call_soon(first)
        loop.call_soon(called.append, "second")
        self.run_and_stop(loop)
        assert called == ["first", "second"]
        self.run_and_stop(loop)
        assert called == ["first", "second", "next turn"]

    def test_stop_lets_the_turn_finish(self, loop):
        called = []
        loop.call_soon(called.append, 1)
        loop.call_soon(loop.stop)
        loop.call_soon(called.append, 2)
        loop.run_forever()
        assert called == [1, 2]

    def test_stop_before_run_forever_runs_one_turn(self, loop):
        called = []

        def first():
            called.append("first")
            loop.call_soon(called.append, "second")

        loop.call_soon(first)
        loop.stop()
        loop.run_forever()
        assert called == ["first"]

    def test_timers_run_in_order_of_deadline(self, loop):
        called = []
        now = loop.time()
        for offset in (3, 1, 2, 5, 4):
            loop.call_at(now - offset, called.append, offset)
        loop.call_at(now, loop.stop)
        loop.run_forever()
        assert called == [5, 4, 3, 2, 1]

    def test_timers_of_one_deadline_run_once_each(self, loop):
        called = []
        deadline = loop.time()
        for number in range(50):
            loop.call_at(deadline, called.append, number)
        loop.call_at(deadline + 0.001, loop.stop)
        loop.run_forever()
        assert sorted(called) == list(range(50))

    @pytest.mark.yibu_only
    def test_timers_of_one_deadline_run_first_come_first_served(self, loop):
        called = []
        deadline = loop.time()
        for number in range(50):
            loop.call_at(deadline, called.append, number)
        loop.call_at(deadline + 0.001, loop.stop)
        loop.run_forever()
        assert called == list(range(50))

    def test_negative_delay_counts_as_an_earlier_deadline(self, loop):
        called = []
        loop.call_later(-1, called.append, "a")
        loop.call_later(-2, called.append, "b")
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert called == ["b", "a"]

    def test_ready_callbacks_run_before_due_timers(self, loop):
        called = []
        loop.call_at(loop.time() - 1, called.append, "timer")
        loop.call_soon(called.append, "soon")
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert called == ["soon", "timer"]

    def test_a_due_timer_runs_in_the_turn_that_finds_it_due(self, loop):
        called = []

        def first():
            called.append("first")
            loop.call_soon(called.append, "from first")

        loop.call_at(loop.time() - 1, called.append, "timer")
        loop.call_soon(first)
        turn(loop)
        turn(loop)
        assert called == ["first", "timer", "from first"]

    def test_timers_due_together_run_in_one_turn(self, loop):
        called = []
        past = loop.time() - 1

        def first():
            called.append("first")
            loop.call_soon(called.append, "from first")

        loop.call_at(past, first)
        loop.call_at(past + 0.5, called.append, "second")
        turn(loop)
        turn(loop)
        assert called == ["first", "second", "from first"]

    def test_a_timer_made_by_a_callback_waits_for_the_next_turn(self, loop):
        called = []

        def first():
            loop.call_at(loop.time() - 1, called.append, "timer")
            loop.call_soon(called.append, "soon")

        loop.call_soon(first)
        loop.call_soon(called.append, "second")
        turn(loop)
        turn(loop)
        assert called == ["second", "soon", "timer"]

    def test_cancelled_timers_among_live_ones(self, loop):
        called = []
        now = loop.time() - 1
        timers = [loop.call_at(now + number * 1e-6, called.append, number) for number in range(1000)]
        for number, timer in enumerate(timers):
            if number % 10:
                timer.cancel()
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert called == list(range(0, 1000, 10))

    def test_timer_is_never_early(self, loop):
        observed = []
        start = loop.time()
        for microseconds in (0, 1, 10, 100, 999, 1000, 1001, 1999, 2500, 5003):
            deadline = start + microseconds / 1e6
            loop.call_at(deadline, lambda deadline=deadline: observed.append(loop.time() - deadline))
        loop.call_at(start + 0.006, loop.stop)
        loop.run_forever()
        assert len(observed) == 10
        assert min(observed) >= -CLOCK_RESOLUTION


class TestCallArguments:
    def test_call_soon_returns_the_handle_of_its_call(self, loop):
        callback = Callback()
        loop.call_soon(callback, 1, "two", [3])
        loop.call_soon(callback)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert callback.calls == [(1, "two", [3]), ()]

    def test_many_arguments(self, loop):
        callback = Callback()
        loop.call_soon(callback, *range(300))
        loop.call_later(0, callback, *range(300))
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert callback.calls == [tuple(range(300))] * 2

    @pytest.mark.parametrize("schedule", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
    def test_context(self, loop, schedule):
        variable = contextvars.ContextVar("variable", default="default")
        context = contextvars.copy_context()
        context.run(variable.set, "chosen")
        seen = []
        arguments = (0,) if schedule in ("call_later", "call_at") else ()
        getattr(loop, schedule)(*arguments, lambda: seen.append(variable.get()), context=context)
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert seen == ["chosen"]

    @pytest.mark.parametrize("schedule", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
    def test_context_is_copied_when_none_is_given(self, loop, schedule):
        variable = contextvars.ContextVar("variable", default="default")
        token = variable.set("when scheduled")
        seen = []

        def callback():
            seen.append(variable.get())
            variable.set("changed by the callback")

        arguments = (0,) if schedule in ("call_later", "call_at") else ()
        getattr(loop, schedule)(*arguments, callback, context=None)
        variable.set("changed after scheduling")
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert seen == ["when scheduled"]
        assert variable.get() == "changed after scheduling"
        variable.reset(token)

    def test_a_context_shared_by_two_callbacks_keeps_changes(self, loop):
        variable = contextvars.ContextVar("variable", default=0)
        context = contextvars.copy_context()
        for _ in range(2):
            loop.call_soon(lambda: variable.set(variable.get() + 1), context=context)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert context[variable] == 2
        assert variable.get() == 0

    def test_delay_may_be_an_integer_or_a_float_like(self, loop):
        from fractions import Fraction

        called = []
        loop.call_later(0, called.append, "integer")
        loop.call_later(Fraction(1, 10**9), called.append, "fraction")
        loop.call_later(True, noop).cancel()
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert sorted(called) == ["fraction", "integer"]

    def test_infinite_delay_never_fires(self, loop):
        called = []
        timer = loop.call_later(float("inf"), called.append, "never")
        assert timer.when() == float("inf")
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert called == []
        timer.cancel()

    def test_huge_delay(self, loop):
        called = []
        loop.call_later(1e18, called.append, "never")
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert called == []


class TestThreadsafe:
    def test_wakes_a_parked_loop(self, loop):
        thread = None

        def call_from_a_thread():
            nonlocal thread
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(loop.stop,))
            thread.start()

        loop.call_soon(call_from_a_thread)
        loop.run_forever()
        thread.join()

    def test_calls_of_one_thread_keep_their_order(self, loop):
        called = []

        def work():
            for number in range(2000):
                loop.call_soon_threadsafe(called.append, number)
            loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=work)
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()
        assert called == list(range(2000))

    def test_calls_of_several_threads_all_arrive(self, loop):
        called, threads = [], 4
        finished = threading.Barrier(threads + 1)

        def work(name):
            for number in range(500):
                loop.call_soon_threadsafe(called.append, (name, number))
            finished.wait()

        def stop():
            finished.wait()
            loop.call_soon_threadsafe(loop.stop)

        workers = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
        workers.append(threading.Thread(target=stop))
        for worker in workers:
            loop.call_soon(worker.start)
        loop.run_forever()
        for worker in workers:
            worker.join()
        assert len(called) == threads * 500
        for name in range(threads):
            assert [number for who, number in called if who == name] == list(range(500))

    def test_in_the_loops_own_thread_it_keeps_the_order_with_call_soon(self, loop):
        called = []
        loop.call_soon(called.append, 1)
        loop.call_soon_threadsafe(called.append, 2)
        loop.call_soon(called.append, 3)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert called == [1, 2, 3]

    def test_before_the_loop_runs(self, loop):
        called = []
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(called.append, 1))
        thread.start()
        thread.join()
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert called == [1]

    def test_cancel_of_a_threadsafe_handle(self, loop):
        called = []
        loop.call_soon_threadsafe(called.append, 1).cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert called == []

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="3.14 made such handles wait")
    def test_cancel_by_other_threads_waits_while_the_callback_runs(self, loop):
        begun, order = threading.Event(), []

        def work(number):
            begun.wait(10)
            handles[number].cancel()
            order.append("cancelled")

        def called():
            begun.set()
            # Whoever cancels a handle that does not run is not held up.
            others[0].join(10)
            time.sleep(0.05)
            order.append("ran")

        handles = [loop.call_soon_threadsafe(called), loop.call_soon_threadsafe(order.append, "never")]
        others = [threading.Thread(target=work, args=(number,)) for number in (1, 0, 0)]
        for other in others:
            other.start()
        loop.call_soon(loop.stop)
        loop.run_forever()
        for other in others:
            other.join()
        assert order == ["cancelled", "ran", "cancelled", "cancelled"]
        assert all(handle.cancelled() for handle in handles)

    def test_closing_while_other_threads_call(self, make_loop):
        """A loop that is closed refuses calls from threads with its error, and never does worse."""
        loop = make_loop()
        errors = []

        def work():
            while True:
                try:
                    loop.call_soon_threadsafe(noop)
                except RuntimeError as error:
                    errors.append(str(error))
                    return

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        for worker in workers:
            worker.join()
        assert errors == ["Event loop is closed"] * 3


class TestRunningLoop:
    def test_get_running_loop(self, impl, run, loop):
        async def main():
            return impl.get_running_loop(), asyncio.get_running_loop(), asyncio.get_event_loop()

        assert run(main()) == (loop, loop, loop)

    def test_no_running_loop_outside(self, impl, loop):
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.get_running_loop()
        loop.call_soon(loop.stop)
        loop.run_forever()
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            asyncio.get_running_loop()

    def test_in_callbacks(self, loop):
        seen = []
        loop.call_soon(lambda: seen.append(asyncio.get_running_loop()))
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert seen == [loop]

    def test_set_event_loop(self, loop):
        asyncio.set_event_loop(loop)
        try:
            assert asyncio.get_event_loop() is loop
        finally:
            asyncio.set_event_loop(None)

    def test_one_loop_per_thread(self, impl, make_loop):
        loops, seen = [make_loop() for _ in range(3)], {}
        together = threading.Barrier(3)

        def work(loop):
            async def main():
                together.wait(10)
                await impl.sleep(0.001)
                seen[loop] = impl.get_running_loop()

            loop.run_until_complete(main())

        threads = [threading.Thread(target=work, args=(loop,)) for loop in loops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == {loop: loop for loop in loops}

    def test_new_event_loop_gives_a_new_loop_each_time(self, impl, make_loop):
        one, two = make_loop(), make_loop()
        assert one is not two
        assert isinstance(one, asyncio.AbstractEventLoop)
        assert isinstance(one, impl.EventLoop) if hasattr(impl, "EventLoop") else True


class TestOtherContexts:
    """What has a method `run` can be given as a context."""

    class Context:
        def __init__(self):
            self.ran = []

        def run(self, callback, *args):
            self.ran.append((callback, args))
            return callback(*args)

    def test_of_callbacks(self, loop):
        context, seen = self.Context(), []
        loop.call_soon(seen.append, 1, context=context)
        loop.call_later(0, seen.append, 2, context=context)
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert seen == [1, 2]
        assert context.ran == [(seen.append, (1,)), (seen.append, (2,))]

    def test_of_futures(self, loop):
        context, seen, future = self.Context(), [], loop.create_future()
        future.add_done_callback(seen.append, context=context)
        future.set_result(None)
        turn(loop)
        assert seen == [future]
        assert context.ran == [(seen.append, (future,))]

    def test_without_such_a_method(self, loop):
        contexts = []
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        loop.call_soon(print, context=5)
        turn(loop)
        assert [str(context["exception"]) for context in contexts] == ["'int' object has no attribute 'run'"]
