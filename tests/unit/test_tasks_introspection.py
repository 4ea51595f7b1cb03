"""asyncio.tasks: what can be seen of a task: stacks, reprs, the lists of tasks, reports, weak references."""

import asyncio
import contextvars
import gc
import inspect
import io
import sys
import types
import weakref

import pytest

NEW_INIT_RULES = sys.version_info >= (3, 15)


async def nothing():
    """Ends at once."""


async def forever():
    """Waits until it is cancelled."""
    await asyncio.get_running_loop().create_future()


def turn(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


class TestIntrospection:
    def test_get_coro(self, loop):
        coroutine = nothing()
        task = loop.create_task(coroutine)
        assert task.get_coro() is coroutine
        assert task._coro is coroutine
        loop.run_until_complete(task)
        assert task.get_coro() is coroutine

    def test_current_task(self, impl, run, loop):
        async def main():
            return impl.current_task(), asyncio.current_task(loop)

        task = loop.create_task(main())
        assert run(task) == (task, task)
        assert asyncio.current_task(loop) is None

    def test_current_task_inside_callbacks_is_none(self, run, loop):
        seen = []

        async def main():
            loop.call_soon(lambda: seen.append(asyncio.current_task()))
            await asyncio.sleep(0)

        run(main())
        assert seen == [None]

    def test_current_task_alternates(self, impl, run, loop):
        seen = {}

        async def work(name):
            for _ in range(3):
                seen.setdefault(name, set()).add(impl.current_task().get_name())
                await impl.sleep(0)

        async def main():
            await impl.gather(*[loop.create_task(work(name), name=name) for name in "abc"])

        run(main())
        assert seen == {name: {name} for name in "abc"}

    def test_current_task_needs_a_running_loop(self, impl, loop):
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.current_task()
        assert impl.current_task(loop) is None

    def test_all_tasks(self, impl, run, loop):
        async def main():
            tasks = {loop.create_task(forever()) for _ in range(5)}
            tasks.add(impl.current_task())
            assert impl.all_tasks() == tasks
            assert asyncio.all_tasks(loop) == tasks
            for task in tasks - {impl.current_task()}:
                task.cancel()
            await impl.wait(tasks - {impl.current_task()})
            return impl.all_tasks() == {impl.current_task()}

        assert run(main())
        assert impl.all_tasks(loop) == set()

    def test_all_tasks_is_per_loop(self, impl, make_loop):
        one, two = make_loop(), make_loop()
        task = one.create_task(nothing())
        assert impl.all_tasks(one) == {task}
        assert impl.all_tasks(two) == set()
        one.run_until_complete(task)

    def test_all_tasks_needs_a_running_loop(self, impl):
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.all_tasks()

    def test_all_tasks_holds_no_reference(self, impl, loop):
        task = loop.create_task(nothing())
        loop.run_until_complete(task)
        reference = weakref.ref(task)
        del task
        gc.collect()
        assert reference() is None

    def test_get_stack_while_waiting(self, run, loop):
        async def main():
            task = loop.create_task(forever())
            await asyncio.sleep(0)
            (frame,) = task.get_stack()
            assert frame.f_code is forever.__code__
            assert task.get_stack(limit=0) == []
            task.cancel()

        run(main())

    def test_get_stack_of_a_failed_task(self, run, loop):
        async def inner():
            raise ValueError

        async def outer():
            await inner()

        async def main():
            task = loop.create_task(outer())
            with pytest.raises(ValueError):
                await task
            assert [frame.f_code.co_name for frame in task.get_stack()][-2:] == ["outer", "inner"]
            assert len(task.get_stack(limit=1)) == 1

        run(main())

    def test_get_stack_of_a_finished_task(self, run, loop):
        task = loop.create_task(nothing())
        run(task)
        assert task.get_stack() == []

    def test_print_stack(self, run, loop):
        async def main():
            task = loop.create_task(forever())
            await asyncio.sleep(0)
            output = io.StringIO()
            task.print_stack(file=output)
            lines = output.getvalue().splitlines()
            assert lines[0] == f"Stack for {task!r} (most recent call last):"
            assert lines[1].startswith(f'  File "{__file__}", line ')
            assert lines[2].strip() == "await asyncio.get_running_loop().create_future()"
            task.cancel()

        run(main())

    def test_print_stack_of_finished_and_failed_tasks(self, run, loop):
        async def fail():
            raise ValueError("no")

        finished, failed = loop.create_task(nothing()), loop.create_task(fail())
        run(finished)
        with pytest.raises(ValueError):
            run(failed)
        output = io.StringIO()
        finished.print_stack(file=output)
        failed.print_stack(limit=1, file=output)
        lines = output.getvalue().splitlines()
        assert lines[0] == f"No stack for {finished!r}"
        assert lines[1] == f"Traceback for {failed!r} (most recent call last):"
        assert lines[-1] == "ValueError: no"

    def test_print_stack_without_a_file(self, run, loop, capsys):
        task = loop.create_task(nothing())
        run(task)
        task.print_stack()
        assert capsys.readouterr().out == f"No stack for {task!r}\n"

    def test_fut_waiter(self, run, loop):
        async def wait(future):
            await future

        async def main():
            future = loop.create_future()
            task = loop.create_task(wait(future))
            assert task._fut_waiter is None
            await asyncio.sleep(0)
            assert task._fut_waiter is future
            future.set_result(None)
            await task
            assert task._fut_waiter is None

        run(main())

    def test_stock_instance_checks(self, impl, loop):
        task = loop.create_task(nothing())
        assert isinstance(task, asyncio.Task) and isinstance(task, asyncio.Future)
        assert isinstance(task, impl.Task) and isinstance(task, impl.Future)
        assert asyncio.isfuture(task)
        assert inspect.isawaitable(task)
        loop.run_until_complete(task)

    def test_generic_alias(self, impl):
        alias = impl.Task[int]
        assert isinstance(alias, types.GenericAlias)
        assert alias.__origin__ is impl.Task and alias.__args__ == (int,)


class TestRepr:
    def line(self, function):
        return function.__code__.co_firstlineno

    def test_pending_then_finished(self, loop):
        task = loop.create_task(nothing(), name="n")
        where = f"{__file__}:{self.line(nothing)}"
        assert repr(task) == f"<Task pending name='n' coro=<nothing() running at {where}>>"
        loop.run_until_complete(task)
        assert repr(task) == f"<Task finished name='n' coro=<nothing() done, defined at {where}> result=None>"

    def test_waiting(self, run, loop):
        async def main():
            task = loop.create_task(forever(), name="n")
            await asyncio.sleep(0)
            shown = repr(task)
            task.cancel()
            cancelling = repr(task)
            return shown, cancelling, await asyncio.wait([task])

        shown, cancelling, _ = run(main())
        line = self.line(forever) + 2
        assert shown.startswith(
            f"<Task pending name='n' coro=<forever() running at {__file__}:{line}> wait_for=<Future "
        )
        assert cancelling.startswith("<Task cancelling name='n' coro=<forever() running at ")

    def test_wait_for_shows_the_wakeup_callback(self, run, loop):
        async def main():
            task = loop.create_task(forever(), name="n")
            await asyncio.sleep(0)
            waiter = task._fut_waiter
            shown = repr(waiter)
            task.cancel()
            return shown

        assert run(main()).startswith("<Future pending cb=[")

    def test_exception(self, loop):
        async def fail():
            raise ValueError("no")

        task = loop.create_task(fail(), name="n")
        with pytest.raises(ValueError):
            loop.run_until_complete(task)
        name = "TestRepr.test_exception.<locals>.fail"
        assert repr(task) == (
            f"<Task finished name='n' coro=<{name}() done, defined at {__file__}:{self.line(fail)}> "
            "exception=ValueError('no')>"
        )

    def test_cancelled(self, loop):
        task = loop.create_task(nothing(), name="n")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        assert repr(task) == (
            f"<Task cancelled name='n' coro=<nothing() done, defined at {__file__}:{self.line(nothing)}>>"
        )

    def test_callbacks(self, loop):
        task = loop.create_task(nothing(), name="n")
        task.add_done_callback(print)
        assert repr(task).endswith(" cb=[print()]>")
        loop.run_until_complete(task)

    def test_debug_shows_the_origin(self, loop):
        loop.set_debug(True)
        task = loop.create_task(nothing(), name="n")
        line = sys._getframe().f_lineno - 1
        assert repr(task).endswith(f" created at {__file__}:{line}>")
        loop.run_until_complete(task)

    def test_subclass_name(self, impl, loop):
        class MyTask(impl.Task):
            pass

        task = MyTask(nothing(), loop=loop)
        assert repr(task).startswith("<MyTask pending name='Task-")
        loop.run_until_complete(task)


class TestReports:
    def test_exception_never_retrieved(self, loop, reports):
        async def fail():
            raise ValueError("lost")

        task = loop.create_task(fail())
        turn(loop)
        del task
        gc.collect()
        (context,) = reports
        assert set(context) == {"message", "exception", "future"}
        assert context["message"] == "Task exception was never retrieved"
        assert str(context["exception"]) == "lost"
        assert isinstance(context["future"], asyncio.Task)

    def test_destroyed_pending(self, make_loop):
        loop, reports = make_loop(), []
        loop.set_exception_handler(lambda _, context: reports.append((context["message"], set(context))))

        async def wait():
            await loop.create_future()

        task = loop.create_task(wait())
        turn(loop)
        del task
        gc.collect()
        assert reports == [("Task was destroyed but it is pending!", {"message", "task"})]

    def test_destroyed_pending_in_debug_mode(self, make_loop):
        loop, reports = make_loop(), []
        loop.set_debug(True)
        loop.set_exception_handler(lambda _, context: reports.append(context["source_traceback"][-1].name))

        async def wait():
            await loop.create_future()

        task = loop.create_task(wait())
        turn(loop)
        del task
        gc.collect()
        assert reports == ["test_destroyed_pending_in_debug_mode"]

    def test_destroyed_pending_can_be_silenced(self, make_loop):
        loop, reports = make_loop(), []
        loop.set_exception_handler(lambda _, context: reports.append(context))

        async def wait():
            await loop.create_future()

        task = loop.create_task(wait())
        turn(loop)
        task._log_destroy_pending = False
        del task
        gc.collect()
        assert reports == []

    def test_not_reported_when_awaited(self, run, loop):
        async def fail():
            raise ValueError("found")

        async def main():
            with pytest.raises(ValueError):
                await loop.create_task(fail())

        run(main())
        gc.collect()

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_the_handler_runs_in_the_context_of_the_task(self, loop):
        variable = contextvars.ContextVar("variable", default="outer")
        seen = []

        async def fail():
            variable.set("task")
            raise ValueError

        task = loop.create_task(fail())
        loop.set_exception_handler(lambda *_: seen.append(variable.get()))
        turn(loop)
        del task
        gc.collect()
        assert seen == ["task"]

    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
    def test_a_task_that_never_ran_on_a_closed_loop(self, make_loop):
        loop, reports = make_loop(), []
        loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
        task = loop.create_task(nothing())
        loop.close()
        del task
        gc.collect()
        assert reports == ["Task was destroyed but it is pending!"]


class TestMemory:
    def test_weak_reference(self, run, loop):
        task = loop.create_task(nothing())
        reference = weakref.ref(task)
        run(task)
        del task
        gc.collect()
        assert reference() is None

    def test_a_finished_task_is_freed_without_the_collector(self, run, loop):
        references = []

        async def main():
            task = loop.create_task(nothing())
            references.append(weakref.ref(task))
            await task

        gc.collect()
        gc.disable()
        try:
            run(main())
            turn(loop)
            assert references[0]() is None
        finally:
            gc.enable()

    def test_a_failed_task_is_freed_without_the_collector(self, run, loop):
        references = []

        async def fail():
            raise ValueError

        def start():
            task = loop.create_task(fail())
            references.append(weakref.ref(task))
            return task

        async def main():
            with pytest.raises(ValueError):
                await start()

        gc.collect()
        gc.disable()
        try:
            run(main())
            turn(loop)
            assert references[0]() is None
        finally:
            gc.enable()

    def test_a_suspended_task_in_a_cycle_is_collected(self, make_loop):
        loop = make_loop()
        loop.set_exception_handler(lambda *_: None)

        async def wait():
            await loop.create_future()

        task = loop.create_task(wait())
        reference = weakref.ref(task)
        turn(loop)
        del task
        gc.collect()
        assert reference() is None

    def test_the_coroutine_of_a_finished_task_keeps_no_frame(self, run, loop):
        class Held:
            """Something in the coroutine's frame."""

        async def main():
            held = Held()
            await asyncio.sleep(0)
            return weakref.ref(held)

        task = loop.create_task(main())
        assert run(task)() is None
