"""asyncio.base_events: running, stopping, closing, the loop as an object, exception handlers, debug mode."""

import asyncio
import contextvars
import gc
import logging
import socket
import sys
import threading
import time
import warnings
import weakref

import pytest

from tests.unit.programs import nothing, turn


class TestRunForever:
    def test_is_running(self, loop):
        seen = []
        assert not loop.is_running()
        loop.call_soon(lambda: seen.append(loop.is_running()))
        turn(loop)
        assert seen == [True]
        assert not loop.is_running()

    def test_stop_from_a_callback(self, loop):
        loop.call_later(0, loop.stop)
        assert loop.run_forever() is None

    def test_again_after_stop(self, loop):
        for _ in range(10):
            turn(loop)

    @pytest.mark.yibu_only(since=(3, 13), before=(3, 13, 1))  # stock forgets its running loop
    def test_while_running(self, run, loop):
        async def main():
            with pytest.raises(RuntimeError, match=r"^This event loop is already running$"):
                loop.run_forever()
            coroutine = nothing()
            with pytest.raises(RuntimeError, match=r"^This event loop is already running$"):
                loop.run_until_complete(coroutine)
            coroutine.close()

        run(main())

    @pytest.mark.yibu_only(since=(3, 13), before=(3, 13, 1))  # stock forgets its running loop
    def test_inside_another_loop(self, run, make_loop):
        other = make_loop()

        async def main():
            text = r"^Cannot run the event loop while another loop is running$"
            with pytest.raises(RuntimeError, match=text):
                other.run_forever()
            coroutine = nothing()
            with pytest.raises(RuntimeError, match=text):
                other.run_until_complete(coroutine)
            coroutine.close()

        run(main())
        assert not other.is_running()

    def test_from_another_thread_while_running(self, run, loop):
        errors = []

        def work():
            try:
                loop.run_forever()
            except RuntimeError as error:
                errors.append(str(error))

        async def main():
            await asyncio.to_thread(work)

        run(main())
        assert errors == ["This event loop is already running"]

    def test_two_loops_one_after_the_other_in_one_thread(self, make_loop):
        one, two = make_loop(), make_loop()
        assert one.run_until_complete(asyncio.sleep(0, "one")) == "one"
        assert two.run_until_complete(asyncio.sleep(0, "two")) == "two"
        assert one.run_until_complete(asyncio.sleep(0, "one again")) == "one again"

    def test_one_loop_in_several_threads_in_turn(self, loop):
        results = []

        def work():
            results.append(loop.run_until_complete(asyncio.sleep(0, threading.get_ident())))

        for _ in range(3):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert loop.run_until_complete(asyncio.sleep(0, "main")) == "main"
        assert len(results) == 3


class TestRunUntilComplete:
    def test_coroutine(self, loop):
        assert loop.run_until_complete(asyncio.sleep(0, 5)) == 5

    def test_future(self, loop):
        future = loop.create_future()
        loop.call_soon(future.set_result, 6)
        assert loop.run_until_complete(future) == 6

    def test_done_future(self, loop):
        future = loop.create_future()
        future.set_result(7)
        assert loop.run_until_complete(future) == 7

    def test_awaitable(self, loop):
        class Awaitable:
            def __await__(self):
                yield
                return 8

        assert loop.run_until_complete(Awaitable()) == 8

    def test_stopped_before_the_end(self, loop):
        future = loop.create_future()
        loop.call_soon(loop.stop)
        with pytest.raises(RuntimeError, match=r"^Event loop stopped before Future completed\.$"):
            loop.run_until_complete(future)
        assert not future._callbacks

    def test_its_callback_is_removed(self, loop):
        """A future that ends after an interrupted run must not stop a later run."""
        future = loop.create_future()

        def interrupt():
            raise KeyboardInterrupt

        loop.call_soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(future)
        assert not future._callbacks
        future.set_result(None)
        assert loop.run_until_complete(asyncio.sleep(0.001, "whole")) == "whole"

    def test_callbacks_of_the_same_turn_still_run(self, loop):
        called = []

        async def main():
            loop.call_soon(called.append, "before")
            await asyncio.sleep(0)
            loop.call_soon(called.append, "after")

        loop.run_until_complete(main())
        assert called == ["before", "after"]

    def test_future_of_another_loop(self, loop, make_loop):
        future = make_loop().create_future()
        text = r"^The future belongs to a different loop than the one specified as the loop argument$"
        with pytest.raises(ValueError, match=text):
            loop.run_until_complete(future)

    @pytest.mark.parametrize("value", [1, None, "text", nothing])
    def test_not_awaitable(self, loop, value):
        text = r"^An asyncio.Future, a coroutine or an awaitable is required$"
        with pytest.raises(TypeError, match=text):
            loop.run_until_complete(value)

    def test_exception_of_the_coroutine(self, loop):
        async def fail():
            raise ValueError("no")

        with pytest.raises(ValueError, match=r"^no$"):
            loop.run_until_complete(fail())

    def test_its_callback_has_a_context_that_keeps_nothing_of_the_task_s(self, run):
        """Libraries look for the callback of `run_until_complete` and put another one into its context."""
        variable = contextvars.ContextVar("variable", default=None)

        async def main():
            variable.set("the task's")
            (_function, context), *_others = asyncio.current_task()._callbacks
            return context.get(variable)

        assert run(main()) is None


class TestClose:
    def test_close(self, make_loop):
        loop = make_loop()
        assert not loop.is_closed()
        assert loop.close() is None
        assert loop.is_closed()
        assert loop.close() is None

    def test_while_running(self, run, loop):
        async def main():
            with pytest.raises(RuntimeError, match=r"^Cannot close a running event loop$"):
                loop.close()

        run(main())

    def test_pending_callbacks_are_dropped(self, make_loop):
        class Callback:
            def __call__(self):
                raise AssertionError("a closed loop runs nothing")

        loop, references = make_loop(), []
        for schedule in (loop.call_soon, loop.call_soon_threadsafe, lambda cb: loop.call_later(1000, cb)):
            callback = Callback()
            references.append(weakref.ref(callback))
            schedule(callback)
            del callback
        loop.close()
        gc.collect()
        assert [reference() for reference in references] == [None] * 3

    def test_timers_may_be_cancelled_after_close(self, make_loop):
        loop = make_loop()
        timers = [loop.call_later(delay, print) for delay in (0, 1000)]
        handle = loop.call_soon(print)
        loop.close()
        for each in (*timers, handle):
            each.cancel()
            assert each.cancelled()

    def test_closed_while_other_objects_live(self, impl, make_loop):
        loop = make_loop()
        future = loop.create_future()
        loop.close()
        future.set_result(1)
        assert future.result() == 1
        with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
            future.add_done_callback(print)

    def test_future_with_callbacks_after_close(self, make_loop):
        loop = make_loop()
        future = loop.create_future()
        future.add_done_callback(print)
        loop.close()
        with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
            future.set_result(1)

    def test_a_closed_loop_refuses_work(self, make_loop):
        loop = make_loop()
        loop.close()
        coroutine = nothing()
        for attempt in (
            lambda: loop.call_soon(print),
            lambda: loop.call_later(1, print),
            lambda: loop.call_at(1, print),
            lambda: loop.call_soon_threadsafe(print),
            lambda: loop.run_until_complete(coroutine),
            loop.run_forever,
            lambda: loop.create_task(coroutine),
            lambda: loop.run_in_executor(None, print),
            lambda: loop.add_signal_handler(10, print),
        ):
            with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
                attempt()
        coroutine.close()

    def test_what_a_closed_loop_still_does(self, make_loop):
        loop = make_loop()
        loop.close()
        assert isinstance(loop.time(), float)
        assert loop.create_future().done() is False
        assert loop.stop() is None
        loop.set_debug(True)
        assert loop.get_debug() is True
        assert loop.is_running() is False
        assert "closed=True" in repr(loop)

    def test_unclosed_loop_warns(self, impl):
        loop = impl.new_event_loop()
        text = r"^unclosed event loop <.* running=False closed=False debug=False>$"
        with pytest.warns(ResourceWarning, match=text):
            del loop
            gc.collect()

    def test_closed_loop_does_not_warn(self, impl):
        loop = impl.new_event_loop()
        loop.close()
        reference = weakref.ref(loop)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del loop
            gc.collect()
        assert reference() is None

    def test_debug_logs_close(self, make_loop, caplog):
        loop = make_loop()
        loop.set_debug(True)
        with caplog.at_level(logging.DEBUG, "asyncio"):
            loop.close()
        assert any(record.getMessage().startswith("Close <") for record in caplog.records)

    def test_a_loop_that_never_ran_is_collected_with_what_it_holds(self, impl):
        loop = impl.new_event_loop()
        reference = weakref.ref(loop)
        loop.call_soon(lambda loop=loop: None)
        loop.attribute = loop
        loop.close()
        del loop
        gc.collect()
        assert reference() is None


class TestObject:
    def test_repr(self, impl, make_loop):
        loop = make_loop()
        name = type(loop).__name__
        assert repr(loop) == f"<{name} running=False closed=False debug=False>"
        loop.set_debug(True)
        loop.close()
        assert repr(loop) == f"<{name} running=False closed=True debug=True>"

    def test_abstract_event_loop(self, loop):
        assert isinstance(loop, asyncio.AbstractEventLoop)

    def test_every_public_method_of_the_abstract_loop(self, loop):
        for name in dir(asyncio.AbstractEventLoop):
            if not name.startswith("_"):
                assert callable(getattr(loop, name)), name

    def test_methods_are_overridden(self, loop):
        """No public method is left as the abstract class has it, raising NotImplementedError."""
        abstract = asyncio.AbstractEventLoop
        left = [
            name
            for name in vars(abstract)
            if not name.startswith("_") and getattr(type(loop), name) is getattr(abstract, name)
        ]
        assert left == []

    def test_coroutine_methods_are_coroutine_functions_or_give_coroutines(self, run, loop):
        async def main():
            coroutine = loop.getaddrinfo("127.0.0.1", 80)
            assert asyncio.iscoroutine(coroutine)
            await coroutine
            shutdown = loop.shutdown_asyncgens()
            assert asyncio.iscoroutine(shutdown)
            await shutdown

        run(main())

    def test_instance_dict(self, loop):
        loop.anything = 1
        assert loop.anything == 1
        assert vars(loop)["anything"] == 1
        del loop.anything

    def test_weak_reference(self, loop):
        assert weakref.ref(loop)() is loop

    def test_subclass(self, make_loop):
        class MyLoop(type(make_loop())):
            def __init__(self):
                super().__init__()
                self.calls = 0

            def call_soon(self, callback, *args, context=None):
                self.calls += 1
                return super().call_soon(callback, *args, context=context)

        loop = make_loop(MyLoop)
        assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1
        assert loop.calls >= 1
        assert repr(loop).startswith("<MyLoop running=False")

    def test_replaced_time(self, loop):
        """Timers follow `loop.time`, whoever replaced it."""
        fired = []
        now = 1000.0
        loop.time = lambda: now
        timer = loop.call_later(5, fired.append, "timer")
        assert timer.when() == 1005.0
        turn(loop)
        assert fired == []
        now = 1005.0
        turn(loop)
        turn(loop)
        assert fired == ["timer"]
        del loop.time

    def test_replaced_time_of_a_class(self, make_loop):
        class Skipping(type(make_loop())):
            now = 0.0

            def time(self):
                return self.now

        loop = make_loop(Skipping)
        fired = []
        loop.call_at(50.0, fired.append, "fifty")
        loop.call_at(70.0, fired.append, "seventy")
        loop.now = 60.0
        turn(loop)
        turn(loop)
        assert fired == ["fifty"]

    def test_replaced_call_exception_handler(self, loop):
        seen = []
        loop.call_exception_handler = seen.append
        loop.call_soon(lambda: 1 / 0)
        turn(loop)
        assert [type(context["exception"]) for context in seen] == [ZeroDivisionError]
        del loop.call_exception_handler

    def test_replaced_get_debug(self, impl, loop):
        loop.get_debug = lambda: True
        assert impl.Future(loop=loop)._source_traceback is not None
        del loop.get_debug

    def test_time(self, loop):
        before = time.monotonic()
        assert before <= loop.time() <= time.monotonic()
        assert isinstance(loop.time(), float)


class TestExceptionHandler:
    def test_set_and_get(self, make_loop):
        loop = make_loop()
        assert loop.get_exception_handler() is None

        def handler(loop, context):
            """Takes what a handler takes."""

        assert loop.set_exception_handler(handler) is None
        assert loop.get_exception_handler() is handler
        loop.set_exception_handler(None)
        assert loop.get_exception_handler() is None

    def test_gets_the_loop_and_the_context(self, make_loop):
        loop, seen = make_loop(), []
        loop.set_exception_handler(lambda *given: seen.append(given))
        context = {"message": "m", "exception": ValueError(), "own": 1}
        loop.call_exception_handler(context)
        assert seen == [(loop, context)]
        assert seen[0][1] is context

    def test_default_handler_logs_an_error(self, make_loop, caplog):
        loop = make_loop()
        loop.call_exception_handler({"message": "the message", "zeta": 1, "alpha": [2]})
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("asyncio", "ERROR")
        assert record.getMessage() == "the message\nalpha: [2]\nzeta: 1"
        assert not record.exc_info

    def test_default_handler_logs_the_exception(self, make_loop, caplog):
        loop = make_loop()
        error = ValueError("no")
        loop.call_exception_handler({"message": "m", "exception": error})
        assert caplog.records[0].exc_info[1] is error

    def test_default_handler_without_a_message(self, make_loop, caplog):
        loop = make_loop()
        loop.call_exception_handler({})
        assert caplog.records[0].getMessage() == "Unhandled exception in event loop"

    def test_default_handler_shows_where_things_were_made(self, make_loop, caplog):
        loop = make_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 1000
        loop.call_soon(lambda: 1 / 0)
        turn(loop)
        text = caplog.records[0].getMessage()
        assert "Exception in callback TestExceptionHandler." in text
        assert "source_traceback: Object created at (most recent call last):" in text
        assert "in test_default_handler_shows_where_things_were_made" in text

    def test_default_exception_handler_may_be_called(self, make_loop, caplog):
        loop = make_loop()
        loop.set_exception_handler(lambda loop, context: loop.default_exception_handler(context))
        loop.call_soon(lambda: 1 / 0)
        turn(loop)
        assert caplog.records[0].getMessage().startswith("Exception in callback")

    def test_handler_of_a_subclass(self, make_loop):
        seen = []

        class MyLoop(type(make_loop())):
            def default_exception_handler(self, context):
                seen.append(context["message"])

        make_loop(MyLoop).call_exception_handler({"message": "m"})
        assert seen == ["m"]

    def test_a_handler_that_raises(self, make_loop, caplog):
        loop = make_loop()

        def handler(loop, context):
            raise ZeroDivisionError("handler")

        loop.set_exception_handler(handler)
        loop.call_soon(lambda: 1 / 0)
        turn(loop)
        (record,) = caplog.records
        assert record.getMessage().startswith("Unhandled error in exception handler\ncontext: {'message': ")
        assert str(record.exc_info[1]) == "handler"

    def test_a_default_handler_that_raises(self, make_loop, caplog):
        class MyLoop(type(make_loop())):
            def default_exception_handler(self, context):
                raise ZeroDivisionError("default")

        loop = make_loop(MyLoop)
        loop.call_exception_handler({"message": "m"})
        (record,) = caplog.records
        assert record.getMessage() == "Exception in default exception handler"

    def test_both_handlers_raise(self, make_loop, caplog):
        class MyLoop(type(make_loop())):
            def default_exception_handler(self, context):
                raise ZeroDivisionError("default")

        loop = make_loop(MyLoop)

        def handler(loop, context):
            raise ValueError("custom")

        loop.set_exception_handler(handler)
        loop.call_exception_handler({"message": "m"})
        assert (
            caplog.records[-1]
            .getMessage()
            .startswith(
                "Exception in default exception handler "
                "while handling an unexpected error in custom exception handler"
            )
        )

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_exits_leave_the_handler(self, make_loop, kind):
        loop = make_loop()

        def handler(loop, context):
            raise kind

        loop.set_exception_handler(handler)
        loop.call_soon(lambda: 1 / 0)
        with pytest.raises(kind):
            loop.run_forever()
        loop.set_exception_handler(None)
        assert not loop.is_running()


class TestDebug:
    def test_get_and_set(self, loop):
        assert loop.get_debug() is False
        assert loop.set_debug(True) is None
        assert loop.get_debug() is True
        loop.set_debug(False)
        assert loop.get_debug() is False

    def test_environment_variable(self, impl):
        source = "loop = aio.new_event_loop(); print(loop.get_debug()); loop.close()"
        assert impl.run_source(source).stdout == "False\n"
        assert impl.run_source(source, PYTHONASYNCIODEBUG="1").stdout == "True\n"
        assert impl.run_source(source, PYTHONASYNCIODEBUG="").stdout == "False\n"
        assert impl.run_source(source, python_options=["-X", "dev"]).stdout == "True\n"
        ignored = impl.run_source(source, python_options=["-X", "dev", "-W", "error"])
        assert (ignored.stdout, ignored.returncode) == ("True\n", 0)

    def test_coroutine_origin_tracking(self, run, loop):
        async def main():
            depths = [sys.get_coroutine_origin_tracking_depth()]
            loop.set_debug(True)
            await asyncio.sleep(0)
            depths.append(sys.get_coroutine_origin_tracking_depth())
            loop.set_debug(False)
            await asyncio.sleep(0)
            depths.append(sys.get_coroutine_origin_tracking_depth())
            return depths

        assert run(main()) == [0, 10, 0]
        loop.set_debug(True)
        assert sys.get_coroutine_origin_tracking_depth() == 0

        async def depth():
            return sys.get_coroutine_origin_tracking_depth()

        assert run(depth()) == 10
        assert sys.get_coroutine_origin_tracking_depth() == 0

    def test_slow_callback_is_logged(self, make_loop, caplog):
        loop = make_loop()
        assert loop.slow_callback_duration == 0.1
        loop.set_debug(True)
        loop.slow_callback_duration = 0
        loop.call_soon(nothing_slow)
        turn(loop)
        messages = [record.getMessage() for record in caplog.records]
        slow = next(message for message in messages if "nothing_slow" in message)
        assert slow.startswith(f"Executing <Handle nothing_slow() at {__file__}:")
        assert slow.endswith(" seconds") and " took 0." in slow
        assert caplog.records[0].levelname == "WARNING"

    def test_slow_task_step_is_logged_with_the_task(self, make_loop, caplog):
        loop = make_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0
        loop.run_until_complete(nothing())
        assert any(
            record.getMessage().startswith("Executing <Task finished name='Task-")
            for record in caplog.records
        )

    def test_slow_callbacks_of_descriptors_are_logged(self, run, loop, caplog):
        class Receiver(asyncio.Protocol, asyncio.DatagramProtocol):
            def __init__(self):
                self.received = loop.create_future()

            def data_received(self, data):
                self.received.set_result(data)

            def datagram_received(self, data, address):
                self.received.set_result(data)

        async def main():
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            with ours, theirs:
                readable = loop.create_future()

                def read_it():
                    loop.remove_reader(ours)
                    readable.set_result(None)

                loop.add_reader(ours, read_it)
                theirs.send(b"x")
                await readable
                transport, protocol = await loop.connect_accepted_socket(Receiver, ours.dup())
                assert await protocol.received == b"x"
                transport.abort()
            datagrams, protocol = await loop.create_datagram_endpoint(Receiver, ("127.0.0.1", 0))
            datagrams.sendto(b"x", datagrams.get_extra_info("sockname"))
            assert await protocol.received == b"x"
            datagrams.close()

        loop.set_debug(True)
        loop.slow_callback_duration = 0
        run(main())
        slow = [message for message in caplog.messages if message.startswith("Executing ")]
        for name in ("read_it()", "_SelectorSocketTransport", "_SelectorDatagramTransport"):
            assert any(name in message for message in slow), (name, slow)

    def test_nothing_is_slow_below_the_limit(self, make_loop, caplog):
        loop = make_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 1000
        loop.run_until_complete(nothing())
        assert not [record for record in caplog.records if record.getMessage().startswith("Executing")]

    @pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at"])
    def test_calls_from_a_foreign_thread_are_refused(self, run, loop, method):
        loop.set_debug(True)
        arguments = () if method == "call_soon" else (1000,)
        errors = []

        def work():
            try:
                getattr(loop, method)(*arguments, print)
            except RuntimeError as error:
                errors.append(str(error))

        async def main():
            await asyncio.to_thread(work)

        run(main())
        text = "Non-thread-safe operation invoked on an event loop other than the current one"
        assert errors == [text]

    def test_calls_from_a_foreign_thread_are_allowed_while_stopped(self, loop):
        loop.set_debug(True)
        called = []
        thread = threading.Thread(target=loop.call_soon, args=(called.append, 1))
        thread.start()
        thread.join()
        turn(loop)
        assert called == [1]

    def test_never_awaited_coroutine_shows_its_origin(self, run, loop):
        loop.set_debug(True)

        async def main():
            nothing()
            gc.collect()

        with pytest.warns(
            RuntimeWarning, match=r"coroutine 'nothing' was never awaited\nCoroutine created at"
        ):
            run(main())


def nothing_slow():
    """A callback whose name is looked for in the log."""
