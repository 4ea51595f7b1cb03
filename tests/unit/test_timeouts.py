"""`timeout`, `timeout_at`, `Timeout`: on the implementation's loop, and with loops and tasks of others."""

import asyncio
import contextlib
import contextvars
import gc
import inspect
import sys
import weakref

import pytest

from tests.unit.programs import forever

searches_contexts = pytest.mark.skipif(
    not hasattr(asyncio.Timeout, "_insert_timeout_error"), reason="came with Python 3.13"
)


class Failure(Exception):
    pass


class TestObject:
    def test_states(self, impl, drive):
        async def main():
            seen = []
            limit = impl.timeout(3600)
            seen.append((repr(limit), limit._state.value, limit.expired()))
            async with limit as entered:
                assert entered is limit
                assert limit._task is asyncio.current_task()
                assert limit._timeout_handler is not None
                seen.append((repr(limit), limit._state.value, limit.expired()))
            assert limit._timeout_handler is None
            seen.append((repr(limit), limit._state.value, limit.expired()))
            return seen, round(limit.when(), 3)

        seen, when = drive(main())
        assert seen == [
            ("<Timeout [created]>", "created", False),
            (f"<Timeout [active] when={when}>", "active", False),
            ("<Timeout [finished]>", "finished", False),
        ]

    def test_states_of_one_that_expires(self, impl, drive):
        async def main():
            seen = []
            with pytest.raises(TimeoutError):
                async with impl.timeout(0) as limit:
                    try:
                        await forever()
                    finally:
                        seen.append((repr(limit), limit._state, limit.expired(), limit._timeout_handler))
            seen.append((repr(limit), limit._state, limit.expired(), limit._timeout_handler))
            return seen

        states = asyncio.timeouts._State
        assert drive(main()) == [
            ("<Timeout [expiring]>", states.EXPIRING, True, None),
            ("<Timeout [expired]>", states.EXPIRED, True, None),
        ]

    def test_deadlines_are_kept_as_given(self, impl, drive):
        async def main():
            loop = asyncio.get_running_loop()
            assert impl.timeout(None).when() is None
            assert impl.timeout_at(None).when() is None
            assert repr(impl.timeout_at(None)) == "<Timeout [created]>"
            deadline = loop.time() + 5
            limit = impl.timeout_at(deadline)
            assert limit.when() is deadline
            before = loop.time()
            limit = impl.timeout(5)
            assert before + 5 <= limit.when() <= loop.time() + 5
            assert limit.when() is limit.when()
            assert limit._when == limit.when()
            async with impl.timeout_at(10**12) as limit:
                assert limit.when() == 10**12
                assert repr(limit) == "<Timeout [active] when=1000000000000>"
            async with impl.timeout_at(None) as limit:
                assert repr(limit) == "<Timeout [active] when=None>"

        drive(main())

    def test_it_is_asyncio_s_class(self, impl):
        limit = impl.Timeout(None)
        assert isinstance(limit, asyncio.Timeout)
        assert isinstance(limit, impl.Timeout)
        assert type(limit).__name__ == "Timeout"
        limit.attribute = 1
        assert vars(limit)["attribute"] == 1
        assert weakref.ref(limit)() is limit

    def test_signatures(self, impl):
        assert list(inspect.signature(impl.timeout).parameters) == ["delay"]
        assert list(inspect.signature(impl.timeout_at).parameters) == ["when"]
        assert not inspect.iscoroutinefunction(impl.timeout)
        assert list(inspect.signature(impl.Timeout).parameters) == ["when"]

    @pytest.mark.parametrize(
        ("arguments", "keywords", "text"),
        [
            ((), {}, r"timeout\(\) missing 1 required positional argument: 'delay'"),
            ((1, 2), {}, r"timeout\(\) takes 1 positional argument but 2 were given"),
            ((), {"when": 1}, r"timeout\(\) got an unexpected keyword argument 'when'"),
            (("1",), {}, r"unsupported operand type\(s\) for \+: 'float' and 'str'"),
        ],
    )
    def test_misuse(self, impl, drive, arguments, keywords, text):
        async def main():
            with pytest.raises(TypeError, match=text):
                impl.timeout(*arguments, **keywords)

        drive(main())

    def test_outside_a_loop(self, impl):
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.timeout(1)
        limit = impl.timeout_at(1)
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            limit.__aenter__().send(None)

    def test_outside_a_task(self, impl, drive):
        async def main():
            loop = asyncio.get_running_loop()
            outcome = loop.create_future()

            def callback():
                with pytest.raises(RuntimeError) as raised:
                    impl.timeout(1).__aenter__().send(None)
                outcome.set_result(str(raised.value))

            loop.call_soon(callback)
            return await outcome

        assert drive(main()) == "Timeout should be used inside a task"

    def test_it_is_entered_once(self, impl, drive):
        async def main():
            limit = impl.timeout(3600)
            async with limit:
                with pytest.raises(RuntimeError, match=r"^Timeout has already been entered$"):
                    await limit.__aenter__()
            with pytest.raises(RuntimeError, match=r"^Timeout has already been entered$"):
                async with limit:
                    pass
            with pytest.raises(AssertionError):
                await limit.__aexit__(None, None, None)
            with pytest.raises(AssertionError):
                await impl.timeout(1).__aexit__(None, None, None)

        drive(main())

    def test_nothing_happens_before_the_coroutines_are_awaited(self, impl, drive):
        async def main():
            limit = impl.timeout(3600)
            coroutine = limit.__aenter__()
            assert inspect.isawaitable(coroutine)
            assert asyncio.iscoroutine(coroutine)
            assert limit._state.value == "created"
            assert await coroutine is limit
            ending = limit.__aexit__(None, None, None)
            assert limit._state.value == "active"
            assert await ending is None

        drive(main())

    def test_subclasses_may_replace_reschedule(self, impl, drive):
        class Limit(impl.Timeout):
            def reschedule(self, when):
                rescheduled.append(when)
                super().reschedule(when)

        async def main():
            async with Limit(None):
                pass
            deadline = asyncio.get_running_loop().time() + 3600
            async with Limit(deadline):
                pass
            return deadline

        rescheduled = []
        assert [None, drive(main())] == rescheduled


class TestReschedule:
    def test_later_sooner_and_never(self, impl, drive):
        async def main():
            loop = asyncio.get_running_loop()
            async with impl.timeout(0) as limit:
                limit.reschedule(None)
                assert limit.when() is None
                assert limit._timeout_handler is None
                for _ in range(3):
                    await asyncio.sleep(0)
            assert not limit.expired()
            async with impl.timeout(0) as limit:
                limit.reschedule(loop.time() + 3600)
                for _ in range(3):
                    await asyncio.sleep(0)
            assert not limit.expired()
            with pytest.raises(TimeoutError):
                async with impl.timeout(None) as limit:
                    limit.reschedule(loop.time())
                    await forever()
            assert limit.expired()

        drive(main())

    def test_only_while_it_is_active(self, impl, drive):
        async def main():
            limit = impl.timeout(3600)
            with pytest.raises(RuntimeError, match=r"^Timeout has not been entered$"):
                limit.reschedule(None)
            async with limit:
                pass
            with pytest.raises(RuntimeError, match=r"^Cannot change state of finished Timeout$"):
                limit.reschedule(None)
            with pytest.raises(TimeoutError):
                async with impl.timeout(0) as limit:
                    try:
                        await forever()
                    finally:
                        with pytest.raises(RuntimeError, match=r"^Cannot change state of expiring Timeout$"):
                            limit.reschedule(None)
            with pytest.raises(RuntimeError, match=r"^Cannot change state of expired Timeout$"):
                limit.reschedule(1)

        drive(main())


class TestExpiry:
    def test_the_error_tells_of_the_cancellation(self, impl, drive):
        async def main():
            with pytest.raises(TimeoutError) as raised:
                async with impl.timeout(0):
                    await forever()
            error = raised.value
            assert (type(error), error.args) == (TimeoutError, ())
            assert type(error.__cause__) is asyncio.CancelledError
            assert error.__context__ is error.__cause__
            assert asyncio.current_task().cancelling() == 0

        drive(main())

    def test_the_error_s_context_is_what_is_being_handled(self, impl, drive):
        async def main():
            limit = impl.timeout(0)
            await limit.__aenter__()
            try:
                await forever()
            except asyncio.CancelledError as error:
                cancelled = error
            with pytest.raises(TimeoutError) as raised:
                await limit.__aexit__(type(cancelled), cancelled, None)
            assert raised.value.__cause__ is cancelled
            assert raised.value.__context__ is None
            assert raised.value.__suppress_context__

        drive(main())

    @pytest.mark.parametrize("delay", [0, -1, 0.0, False, 0.001])
    def test_turns(self, impl, drive, delay):
        async def main():
            loop = asyncio.get_running_loop()
            order = []
            loop.call_soon(order.append, "before")
            with pytest.raises(TimeoutError):
                async with impl.timeout(delay):
                    loop.call_soon(order.append, "after")
                    await forever()
            return order

        assert drive(main()) == ["before", "after"]

    def test_a_passed_deadline_takes_its_place_among_the_callbacks(self, impl, drive):
        async def main():
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            order = []
            future.add_done_callback(lambda _: order.append("cancelled"))
            loop.call_soon(order.append, "first")
            with pytest.raises(TimeoutError):
                async with impl.timeout_at(loop.time()):
                    loop.call_soon(order.append, "second")
                    await future
            return order

        assert drive(main()) == ["first", "second", "cancelled"]

    def test_a_body_that_does_not_wait_is_not_limited(self, impl, drive):
        async def main():
            async with impl.timeout(-1) as limit:
                pass
            assert not limit.expired()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert asyncio.current_task().cancelling() == 0

        drive(main())

    def test_a_body_that_swallows_the_cancellation(self, impl, drive):
        async def main():
            async with impl.timeout(0) as limit:
                with contextlib.suppress(asyncio.CancelledError):
                    await forever()
            assert limit.expired()
            assert asyncio.current_task().cancelling() == 0

        drive(main())

    def test_nested_limits(self, impl, drive):
        async def main():
            with pytest.raises(TimeoutError):
                async with impl.timeout(0) as outer:
                    async with impl.timeout(3600) as inner:
                        await forever()
            assert outer.expired()
            assert not inner.expired()
            async with impl.timeout(3600) as outer:
                with pytest.raises(TimeoutError):
                    async with impl.timeout(0) as inner:
                        await forever()
            assert not outer.expired()
            assert inner.expired()

        drive(main())

    def test_both_limits_at_once(self, impl, drive):
        async def main():
            with pytest.raises(TimeoutError):
                async with impl.timeout(0) as outer:
                    with pytest.raises(asyncio.CancelledError):
                        async with impl.timeout(0) as inner:
                            await forever()
                    raise asyncio.CancelledError
            assert outer.expired()
            assert inner.expired()
            assert asyncio.current_task().cancelling() == 0

        drive(main())

    def test_cancelled_by_somebody_else(self, impl, drive):
        async def main():
            async def limited(limit):
                async with limit:
                    await forever()

            loop = asyncio.get_running_loop()
            for delay in (3600, 0):
                limit = impl.timeout(delay)
                task = loop.create_task(limited(limit))
                await asyncio.sleep(0)
                task.cancel("enough")
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert task.cancelling() == 1
                assert limit.expired() == (delay == 0)
                assert limit._timeout_handler is None

        drive(main())

    def test_cancelled_before_it_is_entered(self, impl, drive):
        async def main():
            task = asyncio.current_task()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            with pytest.raises(TimeoutError):
                async with impl.timeout(0):
                    await forever()
            assert task.cancelling() == 1
            task.uncancel()

        drive(main())

    def test_other_exceptions_pass(self, impl, drive):
        async def main():
            with pytest.raises(Failure) as raised:
                async with impl.timeout(0) as limit:
                    try:
                        await forever()
                    except asyncio.CancelledError:
                        raise Failure from None
            assert limit.expired()
            return raised.value

        assert type(drive(main())) is Failure

    @searches_contexts
    def test_a_timeout_error_among_the_contexts(self, impl, drive):
        async def main():
            with pytest.raises(ZeroDivisionError) as raised:
                async with impl.timeout(0):
                    try:
                        try:
                            await forever()
                        finally:
                            raise Failure
                    finally:
                        raise ZeroDivisionError
            failure = raised.value.__context__
            assert type(failure) is Failure
            timeout = failure.__context__
            assert type(timeout) is TimeoutError
            assert type(timeout.__cause__) is asyncio.CancelledError
            assert timeout.__context__ is timeout.__cause__

        drive(main())

    @searches_contexts
    def test_a_timeout_error_in_each_part_of_a_group(self, impl, drive):
        async def main():
            with pytest.raises(ExceptionGroup) as raised:
                async with impl.timeout(0):
                    parts = [Failure()]
                    try:
                        await forever()
                    except asyncio.CancelledError:
                        for _ in range(2):
                            try:
                                raise Failure
                            except Failure as error:
                                parts.append(error)
                    raise ExceptionGroup("several", parts)
            contexts = [type(part.__context__) for part in raised.value.exceptions]
            assert contexts == [type(None), TimeoutError, TimeoutError]

        drive(main())

    @searches_contexts
    def test_subclasses_of_cancelled_error(self, impl, drive):
        class Cancelled(asyncio.CancelledError):
            pass

        async def main():
            with pytest.raises(TimeoutError) as raised:
                async with impl.timeout(0):
                    try:
                        await forever()
                    except asyncio.CancelledError:
                        raise Cancelled from None
            assert type(raised.value.__cause__) is Cancelled

        drive(main())

    def test_the_task_s_cancel_is_called(self, impl, make_loop):
        """Of tasks that are not the implementation's own, by name."""

        class Task(impl.Task):
            def cancel(self, *args, **keywords):
                calls.append(("cancel", args, keywords))
                return super().cancel(*args, **keywords)

            def cancelling(self):
                calls.append("cancelling")
                return super().cancelling()

            def uncancel(self):
                calls.append("uncancel")
                return super().uncancel()

        async def main():
            with pytest.raises(TimeoutError):
                async with impl.timeout(0):
                    await forever()

        calls = []
        loop = make_loop()
        loop.run_until_complete(Task(main(), loop=loop))
        assert calls == ["cancelling", ("cancel", (), {}), "uncancel"]

    def test_no_task_is_current_when_it_expires(self, impl, make_loop):
        class Task(impl.Task):
            def cancel(self, *args, **keywords):
                seen.append(asyncio.current_task())
                return super().cancel(*args, **keywords)

        async def main():
            async with impl.timeout(0):
                await forever()

        seen = []
        loop = make_loop()
        with pytest.raises(TimeoutError):
            loop.run_until_complete(Task(main(), loop=loop))
        assert seen == [None]

    def test_inside_an_eager_task(self, impl, make_loop):
        if sys.version_info < (3, 12):
            pytest.skip("eager tasks came with Python 3.12")

        async def limited():
            task = asyncio.current_task()
            async with impl.timeout(3600) as limit:
                assert limit._task is task
            with pytest.raises(TimeoutError):
                async with impl.timeout(0) as limit:
                    assert limit._task is task
                    await forever()

        async def main():
            for factory in impl.eager_task_factory, asyncio.eager_task_factory:
                task = factory(asyncio.get_running_loop(), limited())
                assert not task.done()
                async with impl.timeout(3600) as limit:
                    assert limit._task is asyncio.current_task()
                await task

        make_loop().run_until_complete(main())

    def test_context_variables_stay(self, impl, drive):
        variable = contextvars.ContextVar("variable")

        async def main():
            async with impl.timeout(3600):
                variable.set("inside")
            assert variable.get() == "inside"

        drive(main())


class TestMemory:
    def test_nothing_stays(self, impl, make_loop):
        """Neither limits that were left nor those that expired are kept by the loop or by each other."""

        async def main():
            references = []
            for _ in range(3):
                async with impl.timeout(3600) as limit:
                    limit.reschedule(asyncio.get_running_loop().time() + 7200)
                references.append(weakref.ref(limit))
                with pytest.raises(TimeoutError):
                    async with impl.timeout(0) as limit:
                        await forever()
                references.append(weakref.ref(limit))
            limit = None
            return references

        loop = make_loop()
        references = loop.run_until_complete(main())
        gc.collect()
        assert [reference() for reference in references] == [None] * 6

    def test_many_cancelled_alarms_leave_the_heap(self, impl, make_loop):
        async def main():
            limits = weakref.WeakSet()
            for _ in range(2000):
                async with impl.timeout(3600) as limit:
                    limits.add(limit)
            limit = None
            return len(limits)

        assert make_loop().run_until_complete(main()) == 0

    def test_a_loop_closed_with_an_active_limit(self, impl):
        async def limited():
            async with impl.timeout(3600):
                await forever()

        loop = impl.new_event_loop()
        task = loop.create_task(limited())
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False
        reference = weakref.ref(task)
        loop.close()
        del loop, task
        gc.collect()
        assert reference() is None
