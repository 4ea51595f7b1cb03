"""asyncio.tasks: tasks that start as they are made (new in 3.12)."""

import asyncio
import contextvars
import gc
import sys
import threading
import types
import weakref

import pytest

from tests.unit.programs import nothing

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")


@pytest.fixture
def eager(impl, loop):
    loop.set_task_factory(impl.eager_task_factory)
    return loop


async def suspend():
    await asyncio.sleep(0)
    return "after"


class TestEagerFactory:
    def test_runs_to_its_end_inside_create_task(self, eager, run):
        async def main():
            order = []

            async def work():
                order.append("work")
                return "result"

            task = eager.create_task(work())
            order.append("created")
            assert task.done()
            assert task.result() == "result"
            assert isinstance(task, asyncio.Task)
            return order

        assert run(main()) == ["work", "created"]

    def test_runs_to_its_first_suspension(self, eager, run):
        async def main():
            task = eager.create_task(suspend())
            assert not task.done()
            assert task in asyncio.all_tasks()
            return await task

        assert run(main()) == "after"

    def test_an_exception_is_kept_in_the_task(self, eager, run):
        async def fail():
            raise ValueError("no")

        async def main():
            task = eager.create_task(fail())
            assert task.done()
            with pytest.raises(ValueError, match=r"^no$"):
                await task

        run(main())

    def test_current_task_during_the_eager_step(self, eager, run):
        async def main():
            seen = []

            async def child():
                seen.append(asyncio.current_task())

            outer = asyncio.current_task()
            task = eager.create_task(child())
            assert seen == [task]
            return asyncio.current_task() is outer

        assert run(main())

    def test_all_tasks_during_the_eager_step(self, eager, run):
        async def main():
            seen = []

            async def child():
                seen.append(asyncio.current_task() in asyncio.all_tasks())
                await asyncio.sleep(0)
                seen.append(asyncio.current_task() in asyncio.all_tasks())

            await eager.create_task(child())
            return seen

        assert run(main()) == [True, True]

    def test_nested(self, eager, run):
        async def main():
            order = []

            async def node(name, depth):
                order.append(f"{name} in")
                if depth:
                    await eager.create_task(node(name + "'", depth - 1))
                order.append(f"{name} out")

            await eager.create_task(node("a", 2))
            return order

        assert run(main()) == ["a in", "a' in", "a'' in", "a'' out", "a' out", "a out"]

    def test_runs_in_a_copy_of_the_context(self, eager, run):
        variable = contextvars.ContextVar("variable", default="outer")

        async def child():
            variable.set("child")
            await asyncio.sleep(0)
            return variable.get()

        async def main():
            task = eager.create_task(child())
            assert variable.get() == "outer"
            return await task

        assert run(main()) == "child"

    def test_given_context(self, eager, run):
        variable = contextvars.ContextVar("variable", default="outer")
        context = contextvars.copy_context()

        async def child():
            variable.set("child")

        async def main():
            await eager.create_task(child(), context=context)

        run(main())
        assert context[variable] == "child"

    def test_names(self, impl, eager, run):
        async def named():
            return asyncio.current_task().get_name()

        async def main():
            task = eager.create_task(named(), name="given")
            assert task.get_name() == "given"
            return await task, (await eager.create_task(named())).startswith("Task-")

        name, numbered = run(main())
        assert numbered is True
        if sys.version_info >= (3, 13, 3) or not impl.is_stock:  # before, it was set after the eager step
            assert name == "given"

    def test_cancel_itself_in_the_eager_step(self, eager, run):
        async def child():
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        async def main():
            task = eager.create_task(child())
            with pytest.raises(asyncio.CancelledError):
                await task
            return task.cancelled()

        assert run(main())

    def test_cancel_after_the_eager_step(self, eager, run):
        async def main():
            task = eager.create_task(suspend())
            task.cancel("why")
            with pytest.raises(asyncio.CancelledError, match=r"^why$"):
                await task

        run(main())

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_exits_leave_create_task(self, eager, kind):
        async def fail():
            raise kind("out")

        seen = []

        async def main():
            try:
                eager.create_task(fail())
            except kind as error:
                seen.append(str(error))

        eager.run_until_complete(main())
        assert seen == ["out"]

    @pytest.mark.yibu_only(before=(3, 12, 2))  # stock crashes there
    def test_the_coroutine_of_a_finished_task_is_dropped(self, eager, run):
        async def main():
            task = eager.create_task(nothing())
            assert task.get_coro() is None
            assert "coro=" not in repr(task)
            suspended = eager.create_task(suspend())
            assert suspended.get_coro() is not None
            await suspended

        run(main())

    def test_a_finished_eager_task_is_freed_without_the_collector(self, eager, run):
        async def main():
            return weakref.ref(eager.create_task(nothing()))

        gc.collect()
        gc.disable()
        try:
            assert run(main())() is None
        finally:
            gc.enable()

    def test_done_callbacks_of_an_already_finished_task(self, eager, run):
        async def main():
            called = []
            eager.create_task(nothing()).add_done_callback(called.append)
            assert called == []
            await asyncio.sleep(0)
            return len(called)

        assert run(main()) == 1

    def test_gather_and_task_group(self, impl, eager, run):
        async def main():
            results = await impl.gather(suspend(), suspend())
            async with impl.TaskGroup() as group:
                tasks = [group.create_task(suspend()), group.create_task(nothing())]
            return results, [task.result() for task in tasks]

        assert run(main()) == (["after", "after"], ["after", None])

    def test_while_the_loop_is_not_running(self, eager):
        """Outside a running loop there is nothing to be eager on: the task starts when the loop runs."""
        started = []

        async def work():
            started.append(True)

        task = eager.create_task(work())
        assert started == []
        eager.run_until_complete(task)
        assert started == [True]


class TestEagerStart:
    def test_eager_start_of_the_constructor(self, impl, run, loop):
        async def main():
            task = impl.Task(nothing(), loop=loop, eager_start=True)
            assert task.done()
            lazy = impl.Task(nothing(), loop=loop, eager_start=False)
            assert not lazy.done()
            await lazy

        run(main())

    def test_factories_share_the_code_by_which_libraries_recognise_them(self, impl):
        class MyTask(impl.Task):
            """A task that says which kind it is."""

        factories = impl.eager_task_factory, impl.create_eager_task_factory(MyTask)
        assert {type(factory) for factory in factories} == {types.FunctionType}
        assert {factory.__code__ for factory in factories} == {asyncio.eager_task_factory.__code__}

    def test_a_factory_whose_code_was_replaced_is_called(self, impl, run, loop):
        """As tracers do it."""

        def around(custom_task_constructor):
            def lazy(loop, coro, **_keywords):
                return custom_task_constructor(coro, loop=loop)

            return lazy

        factory = impl.create_eager_task_factory(impl.Task)
        loop.set_task_factory(factory)

        async def main():
            first = loop.create_task(nothing())
            factory.__code__ = around(None).__code__
            second = loop.create_task(nothing())
            state = first.done(), second.done()
            await second
            return state

        assert run(main()) == (True, False)

    @pytest.mark.yibu_only(before=(3, 14))  # stock runs it, in place of the task that the loop runs
    @pytest.mark.parametrize("by", ["constructor", "factory"])
    def test_in_another_thread(self, impl, run, loop, by):
        async def never():
            ran.append(True)

        def make():
            coroutine = never()
            try:
                if by == "constructor":
                    impl.Task(coroutine, loop=loop, eager_start=True)
                else:
                    loop.create_task(coroutine)
            except RuntimeError as error:
                refused.append(str(error))
            finally:
                coroutine.close()

        async def main():
            thread = threading.Thread(target=make)
            thread.start()
            thread.join()
            return asyncio.current_task()

        ran, refused = [], []
        if by == "factory":
            main_task = impl.Task(main(), loop=loop)
            loop.set_task_factory(impl.eager_task_factory)
            assert loop.run_until_complete(main_task) is main_task
        else:
            task = loop.create_task(main())
            assert loop.run_until_complete(task) is task
        assert ran == []
        (text,) = refused
        assert text.endswith("is not the running loop")

    def test_own_task_class(self, impl, run, loop):
        class MyTask(impl.Task):
            """A task that says which kind it is."""

        loop.set_task_factory(impl.create_eager_task_factory(MyTask))

        async def main():
            task = loop.create_task(nothing())
            return type(task) is MyTask, task.done()

        assert run(main()) == (True, True)

    def test_a_constructor_that_is_a_function(self, impl, run, loop):
        given = []

        def construct(coro, *, eager_start, **kwargs):
            given.append((eager_start, kwargs["loop"] is loop))
            return impl.Task(coro, eager_start=eager_start, **kwargs)

        loop.set_task_factory(impl.create_eager_task_factory(construct))

        async def main():
            await loop.create_task(nothing())

        run(main())
        assert given[-1] == (True, True)

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
    @pytest.mark.parametrize("through", ["loop", "function"])
    def test_eager_start_of_create_task(self, impl, run, loop, through):
        create_task = loop.create_task if through == "loop" else impl.create_task

        async def main():
            eager, lazy = create_task(nothing(), eager_start=True), create_task(nothing(), eager_start=False)
            state = eager.done(), lazy.done()
            await lazy
            return state

        assert run(main()) == (True, False)

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
    def test_a_factory_gets_only_the_keywords_that_were_given(self, impl, run, loop):
        given = []

        def factory(loop, coro, **kwargs):
            given.append(kwargs)
            return impl.Task(coro, loop=loop, **kwargs)

        loop.set_task_factory(factory)

        async def main():
            await loop.create_task(nothing())
            await loop.create_task(nothing(), name="n", eager_start=True)

        run(main())
        assert given[1:] == [{}, {"name": "n", "eager_start": True}]
