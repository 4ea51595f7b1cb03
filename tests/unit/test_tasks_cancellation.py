"""asyncio.tasks: cancellation, how it is counted, where it lands, and what overrides it."""

import asyncio
import contextlib
import gc

import pytest

from tests.unit.programs import forever, turn


class TestCancel:
    def test_before_the_first_step(self, loop):
        started = []

        async def main():
            started.append(True)

        task = loop.create_task(main())
        assert task.cancel() is True
        assert not task.cancelled()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        assert task.cancelled() and task.done()
        assert started == []

    def test_while_waiting(self, run, loop):
        where = []

        async def work():
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                where.append("at the await")
                raise

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            waiter = task._fut_waiter
            task.cancel()
            assert waiter.cancelled()
            assert not task.cancelled()
            with pytest.raises(asyncio.CancelledError):
                await task
            return task.cancelled()

        assert run(main())
        assert where == ["at the await"]

    def test_at_a_bare_yield(self, run, loop):
        async def work():
            await asyncio.sleep(0)

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())

    def test_itself(self, run):
        async def main():
            asyncio.current_task().cancel()
            assert asyncio.current_task().cancelling() == 1
            await asyncio.sleep(0)

        with pytest.raises(asyncio.CancelledError):
            run(main())

    def test_itself_just_before_the_end(self, loop):
        async def main():
            asyncio.current_task().cancel("too late to be seen")
            return 1

        task = loop.create_task(main())
        with pytest.raises(asyncio.CancelledError, match=r"^too late to be seen$"):
            loop.run_until_complete(task)
        assert task.cancelled()

    def test_after_the_end(self, loop):
        async def main():
            return 1

        task = loop.create_task(main())
        loop.run_until_complete(task)
        assert task.cancel() is False
        assert task.cancelling() == 0

    def test_swallowed(self, run, loop):
        async def work():
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                return "swallowed"

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            return await task, task.cancelled()

        assert run(main()) == ("swallowed", False)

    def test_replaced_by_another_exception(self, run, loop):
        async def work():
            try:
                await loop.create_future()
            finally:
                raise ValueError("instead")

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(ValueError, match=r"^instead$") as caught:
                await task
            return task.cancelled(), type(caught.value.__context__)

        assert run(main()) == (False, asyncio.CancelledError)

    def test_finally_may_await(self, run, loop):
        steps = []

        async def work():
            try:
                await loop.create_future()
            finally:
                await asyncio.sleep(0)
                steps.append("cleaned up")

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

        assert run(main())
        assert steps == ["cleaned up"]

    def test_reaches_the_innermost_await_of_a_chain_of_tasks(self, run, loop):
        order = []

        async def link(name, child):
            try:
                await child
            except asyncio.CancelledError:
                order.append(name)
                raise

        async def main():
            inner = loop.create_task(link("inner", loop.create_future()))
            middle = loop.create_task(link("middle", inner))
            outer = loop.create_task(link("outer", middle))
            for _ in range(3):
                await asyncio.sleep(0)
            outer.cancel()
            await asyncio.wait([outer])
            return inner.cancelled(), middle.cancelled(), outer.cancelled()

        assert run(main()) == (True, True, True)
        assert order == ["inner", "middle", "outer"]

    def test_a_done_future_wins_over_nothing_but_must_cancel_waits(self, run, loop):
        """Cancelled in the turn in which its future finished, the task sees it at that await."""

        async def work(future):
            return await future

        async def main():
            future = loop.create_future()
            task = loop.create_task(work(future))
            await asyncio.sleep(0)
            future.set_result(1)
            assert task.cancel() is True
            assert task._must_cancel is True
            await asyncio.wait([task])
            return task.cancelled()

        assert run(main())

    def test_a_future_that_refuses_to_be_cancelled(self, impl, run, loop):
        class Refusing(impl.Future):
            def cancel(self, msg=None):
                return False

        async def work(future):
            try:
                await future
            except asyncio.CancelledError:
                return "cancelled at the await, later"

        async def main():
            future = Refusing(loop=loop)
            task = loop.create_task(work(future))
            await asyncio.sleep(0)
            assert task.cancel() is True
            assert task._must_cancel is True
            future.set_result(1)
            return await task

        assert run(main()) == "cancelled at the await, later"

    def test_twice_in_one_turn(self, run, loop):
        hits = []

        async def work():
            for _ in range(2):
                try:
                    await loop.create_future()
                except asyncio.CancelledError:
                    hits.append(asyncio.current_task().cancelling())
                    if len(hits) == 2:
                        raise

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            task.cancel()
            await asyncio.sleep(0)
            assert hits == [2]
            task.cancel()
            await asyncio.wait([task])
            return hits

        assert run(main()) == [2, 3]

    def test_from_another_task_and_awaited_through_it(self, run, loop):
        """A task that awaits a cancelled task gets CancelledError, and is itself not asked to cancel."""

        async def main():
            task = loop.create_task(forever())
            await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return asyncio.current_task().cancelling()

        assert run(main()) == 0


class TestMessages:
    @pytest.mark.parametrize("cancel", [lambda t: t.cancel("why"), lambda t: t.cancel(msg="why")])
    def test_at_the_await_and_outside(self, run, loop, cancel):
        seen = []

        async def work():
            try:
                await loop.create_future()
            except asyncio.CancelledError as error:
                seen.append(error.args)
                raise

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            cancel(task)
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.args

        assert run(main()) == ("why",)
        assert seen == [("why",)]

    def test_no_message(self, run, loop):
        async def main():
            task = loop.create_task(forever())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.args

        assert run(main()) == ()

    def test_message_of_a_task_that_never_started(self, run, loop):
        async def main():
            task = loop.create_task(forever())
            task.cancel("early")
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.args

        assert run(main()) == ("early",)

    def test_any_object_is_a_message(self, run, loop):
        message = {"any": "object"}

        async def main():
            task = loop.create_task(forever())
            await asyncio.sleep(0)
            task.cancel(msg=message)
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.args[0]

        assert run(main()) is message

    def test_last_message_wins_while_it_has_not_been_delivered(self, run, loop):
        async def main():
            task = loop.create_task(forever())
            task.cancel("first")
            task.cancel("second")
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.args

        assert run(main()) == ("second",)

    def test_the_same_error_object_reaches_the_awaiter_once(self, run, loop):
        """The error that ended the task is the one raised first; a later result() makes a new one."""
        raised = []

        async def work():
            try:
                await loop.create_future()
            except asyncio.CancelledError as error:
                raised.append(error)
                raise

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel("why")
            try:
                await task
            except asyncio.CancelledError as error:
                raised.append(error)
            with pytest.raises(asyncio.CancelledError) as again:
                task.result()
            raised.append(again.value)

        run(main())
        assert raised[0] is raised[1]
        assert raised[2] is not raised[0]


class TestCounting:
    def test_cancelling_counts_requests(self, run, loop):
        async def main():
            task = loop.create_task(forever())
            counts = [task.cancelling()]
            for _ in range(3):
                task.cancel()
                counts.append(task.cancelling())
            await asyncio.wait([task])
            return counts

        assert run(main()) == [0, 1, 2, 3]

    @pytest.mark.yibu_only(before=(3, 13))  # stock raises what was taken back
    def test_uncancel_counts_down_and_stops_at_zero(self, run, loop):
        async def main():
            task = asyncio.current_task()
            task.cancel()
            task.cancel()
            counts = [task.uncancel(), task.uncancel(), task.uncancel()]
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                counts.append("raised")
            return counts

        assert run(main()) == [1, 0, 0]

    def test_uncancel_after_delivery(self, run, loop):
        async def work():
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                assert asyncio.current_task().uncancel() == 0
            await asyncio.sleep(0)
            return "went on"

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            return await task, task.cancelling(), task.cancelled()

        assert run(main()) == ("went on", 0, False)

    def test_count_stays_after_the_end(self, run, loop):
        async def main():
            task = loop.create_task(forever())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelling(), task.cancel(), task.cancelling()

        assert run(main()) == (1, False, 1)


class TestStubborn:
    def test_cancelled_again_and_again(self, run, loop):
        hits = []

        async def work():
            while len(hits) < 5:
                try:
                    await loop.create_future()
                except asyncio.CancelledError:
                    hits.append(1)
            return "done"

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)
            return task.result()

        assert run(main()) == "done"

    def test_cancel_inside_the_handler_of_a_cancellation(self, run, loop):
        async def work():
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                asyncio.current_task().cancel("again")
                await asyncio.sleep(0)

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel("first")
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.args, task.cancelling()

        assert run(main()) == (("again",), 2)


class TestErrorContext:
    def test_context_of_the_cancelled_error(self, run, loop):
        """What was being handled where the task awaited is the context of the error that its awaiter sees."""

        async def work():
            try:
                raise ValueError("handled")
            except ValueError:
                await loop.create_future()

        async def main():
            task = loop.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return type(caught.value.__context__)

        assert run(main()) is ValueError

    def test_no_reference_cycle_is_left(self, run, loop):
        async def main():
            task = loop.create_task(forever())
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        gc.collect()
        run(main())
        turn(loop)
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            leaked = [
                thing for thing in gc.garbage if isinstance(thing, (asyncio.Future, asyncio.CancelledError))
            ]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert leaked == []
