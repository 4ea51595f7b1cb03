"""asyncio.futures: results, exceptions, cancellation, callbacks, awaiting, reprs."""

import asyncio
import contextvars
import sys
import traceback
import types

import pytest

from tests.unit.programs import turn


@pytest.fixture
def future(loop):
    return loop.create_future()


class TestStates:
    def test_pending(self, future, loop):
        assert not future.done()
        assert not future.cancelled()
        assert future._state == "PENDING"
        assert future.get_loop() is loop
        assert future._loop is loop

    def test_result(self, future):
        assert future.set_result(42) is None
        assert future.done() and not future.cancelled()
        assert future.result() == 42
        assert future.exception() is None
        assert future._state == "FINISHED"
        assert future._result == 42

    def test_exception_instance(self, future):
        error = ValueError("no")
        assert future.set_exception(error) is None
        assert future.done() and not future.cancelled()
        assert future.exception() is error
        with pytest.raises(ValueError) as caught:
            future.result()
        assert caught.value is error

    def test_exception_class(self, future):
        future.set_exception(ValueError)
        assert type(future.exception()) is ValueError

    def test_cancel(self, future):
        assert future.cancel() is True
        assert future.done() and future.cancelled()
        assert future._state == "CANCELLED"
        assert future.cancel() is False
        with pytest.raises(asyncio.CancelledError):
            future.result()
        with pytest.raises(asyncio.CancelledError):
            future.exception()

    @pytest.mark.parametrize("pass_message", [lambda f: f.cancel("why"), lambda f: f.cancel(msg="why")])
    def test_cancel_message(self, future, pass_message):
        pass_message(future)
        assert future._cancel_message == "why"
        with pytest.raises(asyncio.CancelledError, match=r"^why$") as caught:
            future.result()
        assert caught.value.args == ("why",)

    def test_cancel_message_is_settable(self, future):
        assert future._cancel_message is None
        future._cancel_message = "changed"
        assert future._cancel_message == "changed"
        future.cancel()
        assert future._cancel_message is None

    def test_cancel_after_result(self, future):
        future.set_result(1)
        assert future.cancel() is False
        assert future.result() == 1

    @pytest.mark.parametrize("finish", [lambda f: f.set_result(1), lambda f: f.cancel()])
    def test_second_outcome_is_refused(self, impl, future, finish):
        finish(future)
        with pytest.raises(impl.InvalidStateError, match=r"^invalid state$"):
            future.set_result(2)
        with pytest.raises(asyncio.InvalidStateError, match=r"^invalid state$"):
            future.set_exception(ValueError())

    def test_outcome_before_it_is_there(self, future):
        with pytest.raises(asyncio.InvalidStateError, match=r"^Result is not set\.$"):
            future.result()
        with pytest.raises(asyncio.InvalidStateError, match=r"^Exception is not set\.$"):
            future.exception()

    def test_not_an_exception(self, future):
        with pytest.raises(TypeError, match=r"^invalid exception object$"):
            future.set_exception(1)
        with pytest.raises(TypeError):
            future.set_exception(int)
        assert not future.done()

    @pytest.mark.skipif(sys.version_info >= (3, 13), reason="3.13 wraps it")
    def test_stop_iteration_is_refused(self, future):
        text = "^StopIteration interacts badly with generators and cannot be raised into a Future$"
        for value in (StopIteration, StopIteration(1)):
            with pytest.raises(TypeError, match=text):
                future.set_exception(value)
        assert not future.done()

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="3.12 refuses it")
    def test_stop_iteration_is_wrapped(self, future):
        error = StopIteration(1)
        future.set_exception(error)
        text = "^StopIteration interacts badly with generators and cannot be raised into a Future$"
        with pytest.raises(RuntimeError, match=text) as caught:
            future.result()
        assert caught.value.__cause__ is error
        assert caught.value.__context__ is error

    def test_result_raises_with_a_traceback_that_does_not_grow(self, future):
        future.set_exception(ValueError("no"))
        lengths = []
        for _ in range(4):
            with pytest.raises(ValueError) as caught:
                future.result()
            lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
        assert len(set(lengths)) == 1

    def test_cancelled_error_is_kept_for_one_raise(self, future):
        future.cancel("once")
        errors = []
        for _ in range(2):
            with pytest.raises(asyncio.CancelledError) as caught:
                future.result()
            errors.append(caught.value)
        assert errors[0] is not errors[1]
        assert [error.args for error in errors] == [("once",)] * 2


class TestConstruction:
    def test_loop_argument(self, impl, loop):
        assert impl.Future(loop=loop).get_loop() is loop

    def test_without_a_loop_takes_the_running_one(self, impl, run, loop):
        async def main():
            return impl.Future().get_loop()

        assert run(main()) is loop

    def test_positional_argument_is_refused(self, impl, loop):
        with pytest.raises(TypeError):
            impl.Future(loop)

    def test_what_create_future_makes(self, impl, loop):
        future = loop.create_future()
        assert type(future) is impl.Future
        assert isinstance(future, asyncio.Future)

    @pytest.mark.parametrize(
        ("method", "arguments", "error"),
        [
            ("result", (), asyncio.InvalidStateError),
            ("exception", (), asyncio.InvalidStateError),
            ("get_loop", (), RuntimeError),
            ("cancel", (), RuntimeError),
            ("remove_done_callback", (print,), RuntimeError),
            ("set_result", (1,), RuntimeError),
            ("set_exception", (ValueError(),), RuntimeError),
            ("__await__", (), RuntimeError),
            ("__repr__", (), RuntimeError),
        ],
    )
    def test_not_initialised(self, impl, method, arguments, error):
        future = impl.Future.__new__(impl.Future)
        with pytest.raises(error, match=r"^Future object is not initialized\.$"):
            getattr(future, method)(*arguments)

    def test_not_initialised_state(self, impl):
        future = impl.Future.__new__(impl.Future)
        assert future.done() is False
        assert future.cancelled() is False
        with pytest.raises(RuntimeError, match=r"^uninitialized Future object$"):
            future.add_done_callback(print)

    @pytest.mark.skipif(sys.version_info >= (3, 15), reason="3.15 refuses it")
    def test_init_again_starts_over(self, impl, loop):
        future = impl.Future(loop=loop)
        future.set_result(1)
        future.__init__(loop=loop)
        assert not future.done()
        future.set_result(2)
        assert future.result() == 2

    @pytest.mark.skipif(sys.version_info < (3, 15), reason="3.14 starts over")
    def test_init_again_is_refused(self, impl, loop):
        future = impl.Future(loop=loop)
        future.set_result(1)
        with pytest.raises(RuntimeError, match=r"Future object is already initialized$"):
            future.__init__(loop=loop)
        assert future.result() == 1

    def test_generic_alias(self, impl):
        alias = impl.Future[int]
        assert isinstance(alias, types.GenericAlias)
        assert alias.__origin__ is impl.Future and alias.__args__ == (int,)

    def test_subclass(self, impl, loop):
        class MyFuture(impl.Future):
            def __init__(self, tag, *, loop):
                super().__init__(loop=loop)
                self.tag = tag

        future = MyFuture("tagged", loop=loop)
        assert future.tag == "tagged"
        assert isinstance(future, impl.Future)
        assert asyncio.isfuture(future)
        assert future.__class__ is MyFuture
        future.set_result(1)
        assert loop.run_until_complete(future) == 1
        assert repr(future) == "<MyFuture finished result=1>"

    def test_subclass_methods_are_called(self, impl, loop):
        called = []

        class Watching(impl.Future):
            def add_done_callback(self, callback, *, context=None):
                called.append("add_done_callback")
                super().add_done_callback(callback, context=context)

            def cancel(self, msg=None):
                called.append("cancel")
                return super().cancel(msg)

        async def main():
            future = Watching(loop=loop)
            task = loop.create_task(wait(future))
            await impl.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        async def wait(future):
            await future

        loop.run_until_complete(main())
        assert called == ["add_done_callback", "cancel"]

    def test_attributes_of_its_own(self, future, loop):
        class WithDict(type(future)):
            pass

        future = WithDict(loop=loop)
        future.anything = 1
        assert future.anything == 1

    def test_create_future_is_used_by_the_loop_of_a_subclass(self, impl, make_loop):
        class MyFuture(impl.Future):
            pass

        class MyLoop(type(make_loop())):
            def create_future(self):
                return MyFuture(loop=self)

        loop = make_loop(MyLoop)
        assert type(loop.create_future()) is MyFuture


class TestCallbacks:
    def test_called_in_order_on_the_next_turn_with_the_future(self, future, loop):
        called = []
        for number in range(3):
            future.add_done_callback(lambda done, number=number: called.append((number, done)))
        future.set_result(None)
        assert called == []
        turn(loop)
        assert called == [(number, future) for number in range(3)]

    def test_added_after_the_end(self, future, loop):
        called = []
        future.set_result(None)
        assert future.add_done_callback(called.append) is None
        assert called == []
        turn(loop)
        assert called == [future]

    @pytest.mark.parametrize(
        "finish", [lambda f: f.set_result(1), lambda f: f.set_exception(KeyError()), lambda f: f.cancel()]
    )
    def test_called_for_every_outcome(self, future, loop, finish):
        called = []
        future.add_done_callback(called.append)
        finish(future)
        turn(loop)
        assert called == [future]
        if not future.cancelled():
            future.exception()

    def test_remove(self, future, loop):
        called = []
        first, second = (lambda f: called.append("first")), (lambda f: called.append("second"))
        for callback in (first, second, first, first):
            future.add_done_callback(callback)
        assert future.remove_done_callback(first) == 3
        assert future.remove_done_callback(first) == 0
        future.set_result(None)
        turn(loop)
        assert called == ["second"]

    def test_remove_by_equality(self, future):
        class Equal:
            def __call__(self, done):
                """Stands for every other of its kind."""

            __hash__ = None

            def __eq__(self, other):
                return isinstance(other, Equal)

        for _ in range(3):
            future.add_done_callback(Equal())
        assert future.remove_done_callback(Equal()) == 3

    def test_remove_with_an_evil_comparison(self, future):
        """A comparison that changes the list of callbacks while it is searched must be harmless."""

        class Evil:
            __hash__ = None

            def __eq__(self, other):
                future.remove_done_callback(int)
                return False

        for _ in range(10):
            future.add_done_callback(int)
            future.add_done_callback(str)
        assert future.remove_done_callback(Evil()) == 0
        assert future.remove_done_callback(str) == 10

    def test_remove_while_a_comparison_fails(self, future):
        class Failing:
            __hash__ = None

            def __eq__(self, other):
                raise ZeroDivisionError

        future.add_done_callback(print)
        future.add_done_callback(len)
        with pytest.raises(ZeroDivisionError):
            future.remove_done_callback(Failing())
        assert future.remove_done_callback(print) == 1

    def test_a_callback_without_a_context(self, impl, loop):
        """`context=None` is what a subclass passes on that was given none: then it is that of the end."""
        variable, seen = contextvars.ContextVar("variable"), []
        future = impl.Future(loop=loop)
        variable.set("added")
        future.add_done_callback(lambda _: seen.append(variable.get()), context=None)
        variable.set("done")
        future.set_result(None)
        variable.set("later")
        turn(loop)
        assert seen == ["done"]

    def test_callbacks_attribute(self, future):
        assert not future._callbacks
        context = contextvars.copy_context()
        future.add_done_callback(print, context=context)
        future.add_done_callback(len, context=context)
        assert future._callbacks == [(print, context), (len, context)]
        future.set_result(None)
        assert not future._callbacks

    def test_context(self, future, loop):
        variable = contextvars.ContextVar("variable", default="default")
        context = contextvars.copy_context()
        context.run(variable.set, "given")
        seen = []
        future.add_done_callback(lambda _: seen.append(variable.get()), context=context)
        token = variable.set("when added")
        future.add_done_callback(lambda _: seen.append(variable.get()))
        variable.reset(token)
        future.set_result(None)
        turn(loop)
        assert seen == ["given", "when added"]

    def test_a_raising_callback_is_reported_and_the_others_run(self, future, loop, reports):
        called = []
        future.add_done_callback(lambda _: 1 / 0)
        future.add_done_callback(called.append)
        future.set_result(None)
        turn(loop)
        assert called == [future]
        (context,) = reports
        assert context["message"].startswith("Exception in callback ")
        assert isinstance(context["exception"], ZeroDivisionError)
        assert isinstance(context["handle"], asyncio.Handle)

    def test_scheduled_through_call_soon_of_the_loop(self, impl, loop):
        """Whoever replaces `call_soon` on a loop sees the callbacks of its futures."""
        scheduled = []
        original = loop.call_soon

        def call_soon(callback, *args, context=None):
            scheduled.append(callback)
            return original(callback, *args, context=context)

        loop.call_soon = call_soon
        future = impl.Future(loop=loop)
        future.add_done_callback(print)
        future.set_result(None)
        assert scheduled == [print]
        future.add_done_callback(len)
        assert scheduled == [print, len]
        del loop.call_soon
        loop.close()

    def test_on_a_loop_written_in_python(self, impl):
        """A future works on any object that gives call_soon and get_debug."""

        class TinyLoop:
            def __init__(self):
                self.ready = []

            def get_debug(self):
                return False

            def call_soon(self, callback, *args, context=None):
                self.ready.append((callback, args))

        loop = TinyLoop()
        future = impl.Future(loop=loop)
        future.add_done_callback(print)
        future.set_result(1)
        assert loop.ready == [(print, (future,))]


class TestAwait:
    def test_result(self, future, run, loop):
        async def main():
            loop.call_soon(future.set_result, 5)
            return await future

        assert run(main()) == 5

    def test_exception(self, future, run, loop):
        async def main():
            loop.call_soon(future.set_exception, ValueError("no"))
            await future

        with pytest.raises(ValueError, match=r"^no$"):
            run(main())

    def test_done_future_does_not_suspend(self, future, run, loop):
        async def main():
            future.set_result(1)
            called = []
            loop.call_soon(called.append, 1)
            assert await future == 1
            return list(called)

        assert run(main()) == []

    @pytest.mark.parametrize("result", [None, 1, (1, 2), StopIteration(3), ValueError("x"), []])
    def test_any_result_by_hand(self, future, result):
        """Driven by hand, an awaited future yields itself once and then ends with its result."""
        iterator = future.__await__()
        assert next(iterator) is future
        assert future._asyncio_future_blocking is True
        future._asyncio_future_blocking = False
        future.set_result(result)
        with pytest.raises(StopIteration) as stop:
            iterator.send(None)
        assert stop.value.value is result

    def test_second_send_without_a_result(self, future):
        iterator = iter(future)
        next(iterator)
        with pytest.raises(RuntimeError, match=r"^await wasn't used with future$"):
            next(iterator)

    def test_throw_and_close(self, future):
        iterator = future.__await__()
        next(iterator)
        with pytest.raises(ZeroDivisionError, match=r"^thrown$"):
            iterator.throw(ZeroDivisionError("thrown"))
        iterator = future.__await__()
        assert iterator.close() is None

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_throw_accepts_its_old_arguments(self, future):
        for arguments in [
            (KeyError,),
            (KeyError, KeyError("k")),
            (KeyError, "k"),
            (KeyError, KeyError("k"), None),
        ]:
            future._asyncio_future_blocking = False
            iterator = future.__await__()
            next(iterator)
            with pytest.raises(KeyError):
                iterator.throw(*arguments)
        iterator = future.__await__()
        with pytest.raises(TypeError):
            iterator.throw(list)
        with pytest.raises(TypeError):
            iterator.throw(KeyError("k"), KeyError("k"))

    def test_iterator_can_be_used_once(self, future):
        future.set_result(1)
        iterator = future.__await__()
        with pytest.raises(StopIteration) as stop:
            next(iterator)
        assert stop.value.value == 1
        with pytest.raises(StopIteration):
            next(iterator)

    def test_yield_from_in_a_generator_based_awaitable(self, future, run, loop):
        class Awaitable:
            def __await__(self):
                return (yield from future)

        async def main():
            loop.call_soon(future.set_result, "through")
            return await Awaitable()

        assert run(main()) == "through"

    def test_two_tasks_await_one_future(self, impl, future, run, loop):
        async def wait(name):
            return name, await future

        async def main():
            tasks = [loop.create_task(wait(name)) for name in "ab"]
            loop.call_later(0, future.set_result, 1)
            return await impl.gather(*tasks)

        assert run(main()) == [("a", 1), ("b", 1)]

    def test_blocking_flag(self, future):
        assert future._asyncio_future_blocking is False
        future._asyncio_future_blocking = True
        assert future._asyncio_future_blocking is True
        with pytest.raises((TypeError, AttributeError)):
            del future._asyncio_future_blocking
        future._asyncio_future_blocking = False


class TestRepr:
    def test_states(self, loop):
        future = loop.create_future()
        assert repr(future) == "<Future pending>"
        future.set_result([1, "two"])
        assert repr(future) == "<Future finished result=[1, 'two']>"
        future = loop.create_future()
        future.set_exception(ValueError("no"))
        assert repr(future) == "<Future finished exception=ValueError('no')>"
        future.exception()
        future = loop.create_future()
        future.cancel()
        assert repr(future) == "<Future cancelled>"

    def test_callbacks(self, loop):
        future = loop.create_future()
        future.add_done_callback(print)
        assert repr(future) == "<Future pending cb=[print()]>"
        future.add_done_callback(len)
        assert repr(future) == "<Future pending cb=[print(), len()]>"
        future.add_done_callback(max)
        assert repr(future) == "<Future pending cb=[print(), <1 more>, max()]>"
        future.add_done_callback(min)
        assert repr(future) == "<Future pending cb=[print(), <2 more>, min()]>"

    def test_long_results_are_shortened(self, loop):
        future = loop.create_future()
        future.set_result("x" * 1000)
        assert len(repr(future)) < 200

    def test_debug_shows_the_origin(self, impl, loop):
        loop.set_debug(True)
        future = impl.Future(loop=loop)
        line = sys._getframe().f_lineno - 1
        assert repr(future) == f"<Future pending created at {__file__}:{line}>"

    def test_itself_as_result(self, loop):
        future = loop.create_future()
        future.set_result(future)
        assert "..." in repr(future)


class TestDebugOrigin:
    def test_source_traceback(self, impl, loop):
        loop.set_debug(True)
        future = impl.Future(loop=loop)
        last = future._source_traceback[-1]
        assert last.name == "test_source_traceback"
        assert last.line == "future = impl.Future(loop=loop)"

    def test_create_future_names_its_caller(self, loop):
        loop.set_debug(True)
        names = [frame.name for frame in loop.create_future()._source_traceback[-2:]]
        assert "test_create_future_names_its_caller" in names

    def test_none_outside_debug_mode(self, future):
        assert future._source_traceback is None
