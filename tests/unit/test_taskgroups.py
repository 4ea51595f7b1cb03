"""`TaskGroup`: who is cancelled when, what is raised, what subclasses may change, what is left behind."""

import asyncio
import contextvars
import gc
import inspect
import sys
import weakref

import pytest

from tests.unit.programs import assert_no_growth, failing, forever, value


class TestWaiting:
    def test_for_all(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                tasks = [group.create_task(value(number)) for number in range(3)]
                assert not any(task.done() for task in tasks)
            return [task.result() for task in tasks]

        assert on.run_until_complete(main()) == [0, 1, 2]

    def test_for_none(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                assert isinstance(group, asyncio.TaskGroup)
            return "left"

        assert on.run_until_complete(main()) == "left"

    def test_an_empty_group_does_not_give_way(self, impl, on):
        log = []

        async def main():
            on.call_soon(log.append, "a turn")
            async with impl.TaskGroup():
                pass
            return list(log)

        assert on.run_until_complete(main()) == []

    def test_tasks_made_by_tasks(self, impl, on):
        log = []

        async def main():
            async def spawn(depth):
                await asyncio.sleep(0)
                log.append(depth)
                if depth:
                    group.create_task(spawn(depth - 1))

            async with impl.TaskGroup() as group:
                group.create_task(spawn(3))

        on.run_until_complete(main())
        assert log == [3, 2, 1, 0]

    def test_the_waiter_follows_the_last_task_in_turn(self, impl, on):
        log = []

        async def last():
            await asyncio.sleep(0)
            on.call_soon(log.append, "soon")

        async def main():
            async with impl.TaskGroup() as group:
                task = group.create_task(last())
                task.add_done_callback(lambda _: log.append("callback"))
            log.append("left")

        on.run_until_complete(main())
        assert log == ["soon", "callback", "left"]


class TestCreateTask:
    def test_keywords(self, impl, on):
        variable = contextvars.ContextVar("variable", default="outside")

        async def read():
            return variable.get()

        async def main():
            context = contextvars.copy_context()
            context.run(variable.set, "inside")
            async with impl.TaskGroup() as group:
                named = group.create_task(read(), name="the name", context=context)
                plain = group.create_task(coro=read())
            return named.get_name(), named.result(), plain.result()

        assert on.run_until_complete(main()) == ("the name", "inside", "outside")

    def test_misuse(self, impl, on):
        async def main():
            coroutine = value(1)
            async with impl.TaskGroup() as group:
                with pytest.raises(
                    TypeError, match=r"create_task\(\) missing 1 required positional argument"
                ):
                    group.create_task()
                with pytest.raises(
                    TypeError, match=r"create_task\(\) takes 2 positional arguments but 3 were"
                ):
                    group.create_task(coroutine, "name")
                with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
                    group.create_task(coroutine, nonsense=1)
                group.create_task(coroutine)

        on.run_until_complete(main())

    def test_a_group_that_was_not_entered(self, impl, on):
        self.refused(impl.TaskGroup(), "^TaskGroup <TaskGroup> has not been entered$")

    def test_a_group_that_was_left(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                pass
            self.refused(group, "^TaskGroup <TaskGroup entered> is finished$")

        on.run_until_complete(main())

    def test_a_group_that_fails(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                failure = group.create_task(failing(ValueError()))
                while not failure.done():
                    await asyncio.sleep(0)
                try:
                    await asyncio.sleep(1)
                finally:
                    self.refused(group, "^TaskGroup <TaskGroup errors=1 cancelling> is shutting down$")

        with pytest.raises(ExceptionGroup):
            on.run_until_complete(main())

    @staticmethod
    def refused(group, text):
        coroutine = value(1)
        with pytest.raises(RuntimeError, match=text):
            group.create_task(coroutine)
        if sys.version_info >= (3, 13):
            assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
        coroutine.close()

    def test_task_factory(self, impl, on):
        calls = []

        def factory(loop, coroutine, **keywords):
            calls.append(keywords)
            return impl.Task(coroutine, loop=loop, **keywords)

        async def main():
            on.set_task_factory(factory)
            async with impl.TaskGroup() as group:
                task = group.create_task(value(1), name="named")
                assert task.get_name() == "named"
                assert type(task) is impl.Task

        on.run_until_complete(main())
        assert len(calls) == 1

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_eager_tasks(self, impl, loop, run):
        async def at_once():
            return 1

        async def main():
            loop.set_task_factory(impl.eager_task_factory)
            async with impl.TaskGroup() as group:
                assert group.create_task(at_once()).done()
                waiting = group.create_task(value(2))
                assert not waiting.done()
            return waiting.result()

        assert run(main()) == 2

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
    def test_eager_start(self, impl, on):
        async def at_once():
            return asyncio.current_task().get_name()

        async def main():
            async with impl.TaskGroup() as group:
                return group.create_task(at_once(), eager_start=True, name="eager").result()

        assert on.run_until_complete(main()) == "eager"

    def test_stock_tasks(self, impl, on):
        def factory(loop, coroutine, **keywords):
            return asyncio.tasks._PyTask(coroutine, loop=loop, **keywords)

        async def main():
            on.set_task_factory(factory)
            async with impl.TaskGroup() as group:
                tasks = [group.create_task(value(number)) for number in range(3)]
            with pytest.raises(ExceptionGroup):
                async with impl.TaskGroup() as group:
                    waiting = group.create_task(forever())
                    group.create_task(failing(ValueError()))
            assert waiting.cancelled()
            return [task.result() for task in tasks]

        assert on.run_until_complete(main()) == [0, 1, 2]

    def test_replaced_create_task(self, impl, loop, run):
        made, create_task = [], loop.create_task

        def replaced(coroutine, **keywords):
            made.append(coroutine)
            return create_task(coroutine, **keywords)

        async def main():
            loop.create_task = replaced
            async with impl.TaskGroup() as group:
                group.create_task(value(1))

        run(main())
        assert len(made) == 1


class TestEntering:
    def test_twice(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                with pytest.raises(
                    RuntimeError, match=r"^TaskGroup <TaskGroup entered> has already been entered$"
                ):
                    await group.__aenter__()

        on.run_until_complete(main())

    def test_outside_of_a_task(self, impl, on):
        group = impl.TaskGroup()

        def enter():
            with pytest.raises(
                RuntimeError, match=r"^TaskGroup <TaskGroup> cannot determine the parent task$"
            ):
                group.__aenter__().send(None)
            on.stop()

        on.call_soon(enter)
        on.run_forever()

    def test_without_a_loop(self, impl):
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.TaskGroup().__aenter__().send(None)

    def test_nothing_runs_before_it_is_awaited(self, impl, on):
        async def main():
            group = impl.TaskGroup()
            entering = group.__aenter__()
            assert asyncio.iscoroutine(entering)
            assert not group._entered
            assert await entering is group
            leaving = group.__aexit__(None, None, None)
            assert not group._exiting
            await leaving
            assert group._exiting

        on.run_until_complete(main())


class TestFailure:
    def test_of_one(self, impl, on):
        async def main():
            error = ValueError("one")
            with pytest.raises(ExceptionGroup) as caught:
                async with impl.TaskGroup() as group:
                    waiting = group.create_task(forever())
                    group.create_task(failing(error))
            assert caught.value.args == ("unhandled errors in a TaskGroup", [error])
            assert str(caught.value) == "unhandled errors in a TaskGroup (1 sub-exception)"
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__
            assert waiting.cancelled()
            assert group._errors is None
            # Cancelled while it waited for the others; before 3.13 stock does not take that back.
            if sys.version_info >= (3, 13) or not impl.is_stock:
                assert asyncio.current_task().cancelling() == 0

        on.run_until_complete(main())

    def test_of_the_body(self, impl, on):
        async def main():
            error = KeyError("body")
            with pytest.raises(ExceptionGroup) as caught:
                async with impl.TaskGroup() as group:
                    waiting = group.create_task(forever())
                    raise error
            assert caught.value.exceptions == (error,)
            assert caught.value.__context__ is error
            assert waiting.cancelled()

        on.run_until_complete(main())

    def test_of_body_and_tasks(self, impl, on):
        async def clean_up():
            try:
                await forever()
            finally:
                raise OSError("while cleaning up")

        async def main():
            with pytest.raises(ExceptionGroup) as caught:
                async with impl.TaskGroup() as group:
                    group.create_task(clean_up())
                    await asyncio.sleep(0)
                    raise ValueError("body")
            assert [type(error) for error in caught.value.exceptions] == [OSError, ValueError]

        on.run_until_complete(main())

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
    def test_that_ends_the_program(self, impl, loop, run, kind):
        """It leaves the loop at once; running on, it comes out of the group alone."""

        async def exits():
            await asyncio.sleep(0)
            raise kind

        async def main():
            async with impl.TaskGroup() as group:
                group.create_task(exits())
                group.create_task(failing(ValueError()))

        task = loop.create_task(main())
        with pytest.raises(kind):
            run(task)
        with pytest.raises(kind):
            run(task)

    def test_base_exceptions(self, impl, on):
        class Grave(BaseException):
            """Neither an Exception nor one that ends the program."""

        async def main():
            with pytest.raises(BaseExceptionGroup) as caught:
                async with impl.TaskGroup() as group:
                    group.create_task(failing(Grave()))
            assert not isinstance(caught.value, ExceptionGroup)

        on.run_until_complete(main())

    def test_the_body_is_cancelled(self, impl, on):
        async def main():
            with pytest.raises(ExceptionGroup):
                async with impl.TaskGroup() as group:
                    group.create_task(failing(ValueError()))
                    with pytest.raises(asyncio.CancelledError):
                        await forever()
                    assert asyncio.current_task().cancelling() == 1
                    assert group._parent_cancel_requested
            await asyncio.sleep(0)
            assert asyncio.current_task().cancelling() == 0

        on.run_until_complete(main())

    def test_after_the_parent_ended(self, impl, on, reports):
        """A group that nobody leaves, because its parent forgot to."""

        async def parent(group):
            await group.__aenter__()
            return group.create_task(failing(ValueError("left alone")))

        async def main():
            group = impl.TaskGroup()
            task = await asyncio.ensure_future(parent(group))
            while not task.done():
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            return task

        task = on.run_until_complete(main())
        (report,) = reports
        assert report["message"].startswith(
            f"Task {task!r} has errored out but its parent task <Task finished "
        )
        assert report["message"].endswith("is already completed")
        assert report["task"] is task
        assert report["exception"] is task.exception()
        reports.clear()


class TestCancellation:
    def test_from_outside_in_the_body(self, impl, on):
        tasks = []

        async def main():
            async with impl.TaskGroup() as group:
                tasks.append(group.create_task(forever()))
                await forever()

        self.cancel(on, main(), "body")
        assert tasks[0].cancelled()

    def test_from_outside_while_leaving(self, impl, on):
        tasks = []

        async def main():
            async with impl.TaskGroup() as group:
                tasks.append(group.create_task(forever()))

        self.cancel(on, main(), "leaving")
        assert tasks[0].cancelled()

    @staticmethod
    def cancel(on, coroutine, message):
        async def run():
            task = asyncio.ensure_future(coroutine)
            for _ in range(3):
                await asyncio.sleep(0)
            task.cancel(message)
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert caught.value.args == (message,)
            assert task.cancelled()
            assert task.cancelling() == 1

        on.run_until_complete(run())

    def test_again_and_again_while_leaving(self, impl, on):
        async def slow():
            for _ in range(3):
                try:
                    await forever()
                except asyncio.CancelledError:
                    continue
            return "gave in"

        async def body(group):
            async with group:
                return group.create_task(slow())

        async def main():
            group = impl.TaskGroup()
            task = asyncio.ensure_future(body(group))
            for _ in range(10):
                await asyncio.sleep(0)
                task.cancel()
                for child in list(group._tasks):
                    child.cancel()
                if task.done():
                    break
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not group._tasks

        on.run_until_complete(main())

    @pytest.mark.yibu_only(before=(3, 13))  # stock loses the cancellation
    def test_from_outside_while_a_task_fails(self, impl, on):
        """Both count: the errors are raised, and the cancellation strikes at the next await."""

        async def main():
            task = asyncio.current_task()
            try:
                async with impl.TaskGroup() as group:
                    group.create_task(failing(ValueError()))
                    try:
                        await forever()
                    finally:
                        task.cancel()
            except* ValueError:
                pass
            assert task.cancelling() == 1
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(0)
            task.uncancel()

        on.run_until_complete(main())

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
    @pytest.mark.yibu_only(before=(3, 13, 2))  # stock cancels the task that has just made the one that failed
    @pytest.mark.parametrize("awaits", [False, True])
    def test_of_eager_tasks_stays_inside(self, impl, loop, run, awaits):
        async def main():
            loop.set_task_factory(impl.eager_task_factory)
            error = ValueError("eager")
            with pytest.raises(ExceptionGroup) as caught:
                async with impl.TaskGroup() as group:
                    group.create_task(failing(error))
                    if awaits:
                        await forever()
            assert caught.value.exceptions == (error,)
            assert asyncio.current_task().cancelling() == 0
            await asyncio.sleep(0)

        run(main())

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
    @pytest.mark.yibu_only(before=(3, 14, 6))  # stock may wait for the second task for ever
    def test_of_an_eager_task_that_another_one_made(self, impl, loop, run):
        async def main():
            loop.set_task_factory(impl.eager_task_factory)
            error = ValueError("third")

            async def second(group):
                group.create_task(failing(error))
                await forever()

            with pytest.raises(ExceptionGroup) as caught:
                async with impl.TaskGroup() as group:
                    task = group.create_task(second(group))
            assert caught.value.exceptions == (error,)
            assert task.cancelled()

        run(main())

    def test_that_the_body_swallows(self, impl, on):
        async def main():
            with pytest.raises(ExceptionGroup):
                async with impl.TaskGroup() as group:
                    group.create_task(failing(ValueError()))
                    with pytest.raises(asyncio.CancelledError):
                        await forever()
            return asyncio.current_task().cancelling()

        assert on.run_until_complete(main()) == 0

    def test_of_one_task_does_no_harm(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                doomed = group.create_task(forever())
                other = group.create_task(value(1))
                await asyncio.sleep(0)
                doomed.cancel()
            return doomed.cancelled(), other.result()

        assert on.run_until_complete(main()) == (True, 1)

    @pytest.mark.yibu_only(before=(3, 13))  # stock takes it for a failure
    def test_subclass_of_cancelled_error(self, impl, on):
        class Special(asyncio.CancelledError):
            """Raised by hand."""

        async def main():
            with pytest.raises(Special):
                async with impl.TaskGroup():
                    raise Special

        on.run_until_complete(main())

    def test_closing_while_leaving(self, impl, on):
        async def body():
            async with impl.TaskGroup() as group:
                group.create_task(forever())

        async def main():
            coroutine = body()
            future = coroutine.send(None)
            coroutine.close()
            assert future._asyncio_future_blocking

        on.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 15), reason="new in 3.15")
class TestCancel:
    def test_inside(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                task = group.create_task(forever())
                group.cancel()
                group.cancel()
                await forever()
            assert asyncio.current_task().cancelling() == 0
            return task.cancelled()

        assert on.run_until_complete(main())

    def test_before_it_is_entered(self, impl, on):
        async def main():
            group = impl.TaskGroup()
            group.cancel()
            async with group:
                await forever()
            return "left"

        assert on.run_until_complete(main()) == "left"

    def test_after_it_was_left(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                pass
            group.cancel()
            await asyncio.sleep(0)

        on.run_until_complete(main())

    def test_by_a_task(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                on.call_soon(group.cancel)
                tasks = [group.create_task(forever()) for _ in range(3)]
            return [task.cancelled() for task in tasks]

        assert on.run_until_complete(main()) == [True] * 3


class TestSubclass:
    def test_create_task(self, impl, on):
        class Group(impl.TaskGroup):
            def __init__(self, limit):
                super().__init__()
                self.limit = limit

            def create_task(self, coro, *, name=None, context=None):
                self.limit -= 1
                return super().create_task(coro, name=f"limited {name}", context=context)

        async def main():
            async with Group(5) as group:
                task = group.create_task(value(1), name="one")
            return group.limit, task.get_name()

        assert on.run_until_complete(main()) == (4, "limited one")

    def test_entering_and_leaving(self, impl, on):
        log = []

        class Group(impl.TaskGroup):
            async def __aenter__(self):
                log.append("entering")
                return await super().__aenter__()

            async def __aexit__(self, *exception):
                log.append("leaving")
                return await super().__aexit__(*exception)

        async def main():
            async with Group() as group:
                group.create_task(value(1))

        on.run_until_complete(main())
        assert log == ["entering", "leaving"]

    def test_private_methods(self, impl, on):
        """Not for the public to override; but whoever does so is heard."""
        log = []

        class Group(impl.TaskGroup):
            def _on_task_done(self, task):
                log.append("done")
                super()._on_task_done(task)

            def _abort(self):
                log.append("abort")
                super()._abort()

            def _is_base_error(self, exc):
                log.append("base?")
                return super()._is_base_error(exc)

        async def main():
            with pytest.raises(ExceptionGroup):
                async with Group() as group:
                    group.create_task(failing(ValueError()))

        on.run_until_complete(main())
        assert log == ["done", "base?", "abort"]


class TestAttributes:
    def test_all(self, impl, on):
        async def main():
            group = impl.TaskGroup()
            assert (group._entered, group._exiting, group._aborting) == (False, False, False)
            assert group._loop is group._parent_task is group._base_error is group._on_completed_fut is None
            assert group._tasks == set()
            assert group._errors == []
            async with group:
                task = group.create_task(value(1))
                assert group._tasks == {task}
                assert group._loop is on
                assert group._parent_task is asyncio.current_task()
                assert (group._entered, group._parent_cancel_requested) == (True, False)

        on.run_until_complete(main())

    def test_repr(self, impl, on):
        async def main():
            group = impl.TaskGroup()
            assert repr(group) == "<TaskGroup>"
            async with group:
                assert repr(group) == "<TaskGroup entered>"
                group.create_task(value(1))
                group.create_task(value(2))
                assert repr(group) == "<TaskGroup tasks=2 entered>"
                group._abort()
                assert repr(group) == "<TaskGroup tasks=2 cancelling>"

        on.run_until_complete(main())

    def test_they_can_be_written(self, impl):
        group = impl.TaskGroup()
        group._aborting = True
        group._parent_task = group
        group.note = "mine"
        assert (group._aborting, group._parent_task, group.note) == (True, group, "mine")

    def test_no_arguments(self, impl):
        with pytest.raises(
            TypeError, match=r"__init__\(\) takes 1 positional argument but 2 were given|takes no"
        ):
            impl.TaskGroup(1)

    def test_the_callback_has_a_name(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                task = group.create_task(value(1))
                assert "cb=[TaskGroup._on_task_done()]" in repr(task)

        on.run_until_complete(main())


class TestMemory:
    def test_groups_and_errors_are_released(self, impl, on):
        class Error(Exception):
            """Can be referred to weakly."""

        references = []

        async def fail():
            error = Error()
            references.append(weakref.ref(error))
            raise error

        async def main():
            try:
                async with impl.TaskGroup() as group:
                    references.append(weakref.ref(group))
                    group.create_task(fail())
            except* Error:
                pass

        on.run_until_complete(main())
        gc.collect()
        assert [reference() for reference in references] == [None, None]

    @pytest.mark.parametrize("fails", [False, True])
    def test_growth(self, impl, on, fails):
        async def main(count):
            for _ in range(count):
                try:
                    async with impl.TaskGroup() as group:
                        group.create_task(value(1))
                        group.create_task(failing(ValueError()) if fails else value(2))
                except* ValueError:
                    pass

        assert_no_growth(on, main)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
class TestCallGraph:
    def test_the_parent_awaits_the_tasks(self, impl, on):
        async def main():
            async with impl.TaskGroup() as group:
                task = group.create_task(value(1))
                assert task._asyncio_awaited_by == {asyncio.current_task()}
            assert not task._asyncio_awaited_by

        on.run_until_complete(main())
