"""asyncio.tasks: what a Task does as it runs: steps, results, exceptions, names, contexts, factories."""

import asyncio
import contextvars
import gc
import re
import sys
import types

import pytest

from tests.unit.programs import nothing, turn

NEW_INIT_RULES = sys.version_info >= (3, 15)


class TestRunning:
    def test_result(self, run, loop):
        async def main():
            return 42

        task = loop.create_task(main())
        assert run(task) == 42
        assert task.done() and not task.cancelled()
        assert task.result() == 42 and task.exception() is None

    def test_exception(self, run, loop):
        async def main():
            raise ValueError("no")

        task = loop.create_task(main())
        with pytest.raises(ValueError, match=r"^no$"):
            run(task)
        assert str(task.exception()) == "no"

    def test_first_step_waits_for_the_next_turn(self, loop):
        started = []

        async def main():
            started.append(True)

        task = loop.create_task(main())
        assert started == []
        turn(loop)
        assert started == [True]
        assert task.done()

    def test_tasks_start_in_the_order_of_creation(self, run, loop):
        order = []

        async def work(number):
            order.append(number)

        async def main():
            await asyncio.gather(*[loop.create_task(work(number)) for number in range(20)])

        run(main())
        assert order == list(range(20))

    def test_bare_yields_take_turns(self, impl, run, loop):
        order = []

        async def work(name):
            for number in range(3):
                order.append(f"{name}{number}")
                await impl.sleep(0)

        async def main():
            await impl.gather(work("a"), work("b"))

        run(main())
        assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]

    def test_yield_none_by_hand(self, run):
        @types.coroutine
        def bare():
            yield
            return "resumed"

        async def main():
            return await bare()

        assert run(main()) == "resumed"

    def test_generator_based_coroutine(self, run):
        @types.coroutine
        def main():
            yield
            return 1

        assert run(main()) == 1

    def test_awaitable_object(self, run):
        class Awaitable:
            def __await__(self):
                yield
                return 7

        async def main():
            return await Awaitable()

        assert run(main()) == 7
        assert run(Awaitable()) == 7

    def test_coroutine_like_object(self, impl, loop):
        """Anything registered as a collections.abc.Coroutine is a coroutine for a task."""
        import collections.abc

        class Like(collections.abc.Coroutine):
            def __init__(self):
                self.sent = []

            def send(self, value):
                self.sent.append(value)
                if len(self.sent) == 3:
                    raise StopIteration("ended")

            def throw(self, *arguments):
                raise arguments[0]

            def close(self):
                self.sent.append("closed")

            def __await__(self):
                return self

        like = Like()
        assert loop.run_until_complete(impl.Task(like, loop=loop)) == "ended"
        assert like.sent == [None, None, None]

    def test_wakes_with_the_exception_of_what_it_awaits(self, run, loop):
        seen = []

        async def main():
            future = loop.create_future()
            loop.call_soon(future.set_exception, KeyError("k"))
            try:
                await future
            except KeyError as error:
                seen.append(error.args)
            return "handled"

        assert run(main()) == "handled"
        assert seen == [("k",)]

    def test_await_chain_of_tasks(self, run, loop):
        async def leaf():
            return 1

        async def node(child):
            return await child + 1

        async def main():
            task = loop.create_task(leaf())
            for _ in range(50):
                task = loop.create_task(node(task))
            return await task

        assert run(main()) == 51

    def test_deep_coroutine_chain(self, run):
        async def down(depth):
            if depth:
                return await down(depth - 1) + 1
            await asyncio.sleep(0)
            return 0

        assert run(down(200)) == 200

    def test_stop_iteration_value_of_any_kind(self, run):
        async def returns(value):
            return value

        for value in (None, 0, (), (1, 2), StopIteration(3), ValueError("returned, not raised"), [None]):
            assert run(returns(value)) is value

    def test_stop_iteration_raised_in_a_coroutine(self, run):
        async def main():
            raise StopIteration(1)

        with pytest.raises(RuntimeError, match=r"^coroutine raised StopIteration$"):
            run(main())

    def test_step_runs_through_call_soon_of_the_loop(self, impl, loop):
        scheduled = []
        original = loop.call_soon

        def call_soon(callback, *args, context=None):
            scheduled.append(callback)
            return original(callback, *args, context=context)

        async def main():
            await impl.sleep(0)

        loop.call_soon = call_soon
        task = impl.Task(main(), loop=loop)
        assert len(scheduled) == 1
        del loop.call_soon
        loop.run_until_complete(task)

    def test_on_a_loop_written_in_python(self, impl):
        class TinyLoop:
            def __init__(self):
                self.ready = []

            def get_debug(self):
                return False

            def is_running(self):
                return True

            def call_soon(self, callback, *args, context=None):
                self.ready.append((callback, args, context))

            def run(self):
                asyncio._set_running_loop(self)
                try:
                    while self.ready:
                        callback, args, context = self.ready.pop(0)
                        context.run(callback, *args) if context else callback(*args)
                finally:
                    asyncio._set_running_loop(None)

        async def main():
            future = impl.Future(loop=loop)
            loop.call_soon(future.set_result, 3)
            return await future

        loop = TinyLoop()
        task = impl.Task(main(), loop=loop)
        loop.run()
        assert task.result() == 3


class TestBadAwaits:
    """What a coroutine yields to its task must be None or a future of its loop; errors come at the await."""

    @staticmethod
    def yielding(value):
        class Yields:
            def __await__(self):
                yield value

        return Yields()

    @staticmethod
    async def yielding_itself(future):
        await future

    def catch(self, run, awaitable):
        async def main():
            try:
                await awaitable
            except BaseException as error:
                return error

        return run(main())

    @pytest.mark.parametrize("value", [1, "text", object, (), 1.5])
    def test_bad_yield(self, run, value):
        error = self.catch(run, self.yielding(value))
        assert type(error) is RuntimeError
        assert str(error) == f"Task got bad yield: {value!r}"

    def test_generator(self, run):
        def generator():
            yield

        value = generator()
        error = self.catch(run, self.yielding(value))
        assert type(error) is RuntimeError
        text = "yield was used instead of yield from for generator in task <Task pending .*> with "
        assert re.fullmatch(text + re.escape(repr(value)), str(error))

    def test_future_without_the_blocking_flag(self, run, loop):
        future = loop.create_future()

        with pytest.raises(RuntimeError) as caught:
            run(self.yielding(future))
        assert re.fullmatch(
            f"yield was used instead of yield from in task <Task pending .*> with {future!r}",
            str(caught.value),
        )

    def test_future_of_another_loop(self, impl, run, make_loop):
        foreign = impl.Future(loop=make_loop())
        with pytest.raises(RuntimeError) as caught:
            run(self.yielding_itself(foreign))
        assert re.fullmatch(
            "Task <Task pending .*> got Future <Future pending> attached to a different loop",
            str(caught.value),
        )

    def test_itself(self, run):
        async def main():
            await asyncio.current_task()

        with pytest.raises(RuntimeError, match=r"^Task cannot await on itself: <Task pending .*>$"):
            run(main())

    def test_not_awaitable(self, run):
        error = self.catch(run, self.yielding(None))
        assert error is None

        async def main():
            await 1

        with pytest.raises(
            TypeError, match=r"int can't be used in 'await' expression|'int' object can't be awaited"
        ):
            run(main())

    def test_add_done_callback_that_fails(self, make_loop):
        """The failure is not the coroutine's: it is reported, and the task stays where it is."""
        loop, reports = make_loop(), []
        loop.set_exception_handler(lambda _, context: reports.append(context))

        class Broken:
            _asyncio_future_blocking = True

            def __await__(self):
                yield self

            def get_loop(self):
                return loop

            def add_done_callback(self, callback, *, context=None):
                raise ZeroDivisionError("broken")

        task = loop.create_task(self.yielding_itself(Broken()))
        turn(loop)
        turn(loop)
        assert [type(context["exception"]) for context in reports] == [ZeroDivisionError]
        assert not task.done()
        task._log_destroy_pending = False


class TestBaseExceptions:
    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_leaves_the_loop_and_stays_in_the_task(self, loop, kind):
        async def fail():
            raise kind("out")

        task = loop.create_task(fail())
        with pytest.raises(kind, match=r"^out$"):
            loop.run_forever()
        assert type(task.exception()) is kind
        assert not loop.is_running()
        assert loop.run_until_complete(asyncio.sleep(0, "still works")) == "still works"

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_from_run_until_complete(self, loop, kind):
        async def fail():
            raise kind

        with pytest.raises(kind):
            loop.run_until_complete(fail())
        gc.collect()
        assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_from_a_callback(self, loop, kind):
        called = []

        def fail():
            raise kind

        loop.call_soon(fail)
        loop.call_soon(called.append, "next")
        with pytest.raises(kind):
            loop.run_forever()
        assert called == []
        turn(loop)
        assert called == ["next"]

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_from_a_timer(self, loop, kind):
        def fail():
            raise kind

        loop.call_later(0, fail)
        with pytest.raises(kind):
            loop.run_forever()

    def test_generator_exit_is_an_ordinary_failure(self, run):
        async def fail():
            raise GeneratorExit

        with pytest.raises(GeneratorExit):
            run(fail())

    def test_own_base_exception_stays_in_the_task(self, run, loop):
        class Own(BaseException):
            """Neither an Exception nor one of those that leave the loop."""

        async def fail():
            raise Own("kept")

        async def main():
            task = loop.create_task(fail())
            with pytest.raises(Own, match=r"^kept$"):
                await task
            return "went on"

        assert run(main()) == "went on"


class TestNames:
    def test_default_names_count(self, run, loop):
        async def main():
            one, two = loop.create_task(nothing()), loop.create_task(nothing())
            await one, await two
            return one.get_name(), two.get_name()

        one, two = run(main())
        assert one.startswith("Task-") and two.startswith("Task-")
        assert int(two[5:]) == int(one[5:]) + 1

    @pytest.mark.parametrize(("given", "name"), [("name", "name"), (5, "5"), (("a",), "('a',)"), ("", "")])
    def test_given_names_become_strings(self, impl, loop, given, name):
        task = impl.Task(nothing(), loop=loop, name=given)
        assert task.get_name() == name
        loop.run_until_complete(task)

    def test_none_gives_a_default_name(self, loop):
        task = loop.create_task(nothing(), name=None)
        assert task.get_name().startswith("Task-")
        loop.run_until_complete(task)

    def test_set_name(self, loop):
        task = loop.create_task(nothing(), name="before")
        assert task.set_name(7) is None
        assert task.get_name() == "7"
        loop.run_until_complete(task)
        task.set_name("after the end")
        assert task.get_name() == "after the end"

    def test_numbers_of_tasks_beside_those_of_asyncio_s_servers(self, impl, run):
        """Looking up a host and each connection of a server are tasks of asyncio's."""

        def number():
            task = asyncio.create_task(nothing())
            return int(task.get_name().removeprefix("Task-"))

        async def main():
            before = number()
            server = await impl.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
            started = number()
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            await reader.read()
            connected = number()
            writer.close()
            server.close()
            return started - before, connected - started

        assert run(main()) == (2, 2)

    def test_a_name_that_cannot_be_made(self, impl, loop):
        class Nameless:
            def __str__(self):
                raise ZeroDivisionError

        coroutine = nothing()
        with pytest.raises(ZeroDivisionError):
            impl.Task(coroutine, loop=loop, name=Nameless())
        coroutine.close()


class TestContexts:
    variable = contextvars.ContextVar("variable", default="default")

    def test_a_task_runs_in_a_copy(self, run, loop):
        async def child():
            seen = self.variable.get()
            self.variable.set("child")
            await asyncio.sleep(0)
            return seen, self.variable.get()

        async def main():
            self.variable.set("main")
            task = loop.create_task(child())
            self.variable.set("changed after creation")
            assert await task == ("main", "child")
            return self.variable.get()

        assert run(main()) == "changed after creation"
        assert self.variable.get() == "default"

    def test_given_context_is_used_itself(self, impl, loop):
        async def child():
            self.variable.set("child")

        context = contextvars.copy_context()
        loop.run_until_complete(loop.create_task(child(), context=context))
        assert context[self.variable] == "child"
        assert self.variable.get() == "default"
        loop.run_until_complete(impl.Task(child(), loop=loop, context=context))

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_get_context(self, loop):
        context = contextvars.copy_context()
        task = loop.create_task(nothing(), context=context)
        assert task.get_context() is context
        assert loop.run_until_complete(task) is None
        assert task.get_context() is context

    def test_callbacks_of_what_it_awaits_run_in_its_context(self, run, loop):
        async def child():
            self.variable.set("child")
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future
            return self.variable.get()

        async def main():
            return await loop.create_task(child()), self.variable.get()

        assert run(main()) == ("child", "default")

    def test_done_callbacks_run_in_the_context_that_added_them(self, run, loop):
        seen = []

        async def child():
            self.variable.set("child")

        async def main():
            self.variable.set("main")
            task = loop.create_task(child())
            task.add_done_callback(lambda _: seen.append(self.variable.get()))
            await task
            await asyncio.sleep(0)

        run(main())
        assert seen == ["main"]

    def test_to_thread_and_callbacks_inherit(self, run, loop):
        seen = []

        async def main():
            self.variable.set("main")
            loop.call_soon(lambda: seen.append(self.variable.get()))
            seen.append(await asyncio.to_thread(self.variable.get))
            await asyncio.sleep(0)

        run(main())
        assert sorted(seen) == ["main", "main"]


class TestConstruction:
    def test_without_a_loop_takes_the_running_one(self, impl, run, loop):
        async def main():
            task = impl.Task(nothing())
            await task
            return task.get_loop()

        assert run(main()) is loop

    def test_create_task_function(self, impl, run):
        async def main():
            task = impl.create_task(nothing(), name="named")
            assert type(task) is impl.Task
            await task
            return task.get_name()

        assert run(main()) == "named"

    def test_create_task_method_gives_the_native_class(self, impl, loop):
        task = loop.create_task(nothing())
        assert type(task) is impl.Task
        loop.run_until_complete(task)

    def test_set_result_and_set_exception_are_refused(self, loop):
        task = loop.create_task(nothing())
        with pytest.raises(RuntimeError, match=r"^Task does not support set_result operation$"):
            task.set_result(1)
        with pytest.raises(RuntimeError, match=r"^Task does not support set_exception operation$"):
            task.set_exception(ValueError())
        loop.run_until_complete(task)

    def test_set_result_of_the_future_class_works(self, impl, loop, reports):
        """Forced from outside, the task is done; the step that comes then is reported, and no more."""
        task = loop.create_task(nothing())
        impl.Future.set_result(task, "forced")
        assert loop.run_until_complete(task) == "forced"
        turn(loop)
        (context,) = reports
        assert isinstance(context["exception"], asyncio.InvalidStateError)
        assert "step(): already done: " in str(context["exception"])
        task.get_coro().close()

    def test_subclass_with_its_own_init(self, impl, loop):
        class MyTask(impl.Task):
            def __init__(self, coro, *, tag, **kwargs):
                self.tag = tag
                super().__init__(coro, **kwargs)

        task = MyTask(nothing(), tag="t", loop=loop)
        assert task.tag == "t"
        assert loop.run_until_complete(task) is None

    def test_subclass_with_overridden_cancel(self, impl, run, loop):
        class Stubborn(impl.Task):
            def cancel(self, msg=None):
                return False

        async def main():
            task = Stubborn(nothing(), loop=loop)
            assert task.cancel() is False
            return await task

        assert run(main()) is None

    @pytest.mark.skipif(NEW_INIT_RULES, reason="3.15 refuses it")
    def test_init_again(self, impl, loop):
        """Initialising again must neither crash nor leak; the last coroutine runs."""
        first, second = nothing(), nothing()
        task = impl.Task(first, loop=loop)
        task._log_destroy_pending = False
        task.__init__(second, loop=loop)
        loop.run_until_complete(task)
        turn(loop)
        first.close()
        second.close()

    def test_attributes_that_cannot_go(self, loop):
        task = loop.create_task(nothing())
        with pytest.raises(AttributeError):
            del task._log_destroy_pending
        assert task._log_destroy_pending is True
        assert task._must_cancel is False
        loop.run_until_complete(task)


class TestTaskFactory:
    def test_factory_makes_the_tasks(self, impl, run, loop):
        made = []

        def factory(loop, coro, **kwargs):
            task = impl.Task(coro, loop=loop, **kwargs)
            made.append(task)
            return task

        async def main():
            task = loop.create_task(nothing())
            await task
            return task

        loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory
        assert run(main()) in made
        assert len(made) == 2
        loop.set_task_factory(None)
        assert loop.get_task_factory() is None
        run(nothing())
        assert len(made) == 2

    def test_factory_gets_name_and_context(self, impl, loop):
        given = []

        def factory(loop, coro, **kwargs):
            given.append(set(kwargs))
            return impl.Task(coro, loop=loop, **kwargs)

        loop.set_task_factory(factory)
        context = contextvars.copy_context()
        task = loop.create_task(nothing(), name="given", context=context)
        assert task.get_name() == "given"
        loop.run_until_complete(task)
        expected = {"context"} if sys.version_info < (3, 13) else None
        if sys.version_info >= (3, 14):
            expected = {"name", "context"}
        assert expected is None or given == [expected]

    def test_factory_without_keywords(self, impl, loop):
        """A factory that takes only a loop and a coroutine is served while nothing else is asked for."""
        loop.set_task_factory(lambda loop, coro: impl.Task(coro, loop=loop))
        task = loop.create_task(nothing())
        assert loop.run_until_complete(task) is None

    def test_what_the_factory_makes_is_what_create_task_gives(self, loop):
        made = loop.create_future()
        made.set_name = lambda name: None
        coroutines = []

        def factory(loop, coro, **kwargs):
            coroutines.append(coro)
            return made

        loop.set_task_factory(factory)
        assert loop.create_task(nothing()) is made
        coroutines.pop().close()
        loop.set_task_factory(None)

    def test_a_factory_that_raises(self, loop):
        def factory(loop, coro, **kwargs):
            coro.close()
            raise ZeroDivisionError("factory")

        loop.set_task_factory(factory)
        with pytest.raises(ZeroDivisionError, match=r"^factory$"):
            loop.create_task(nothing())
        loop.set_task_factory(None)
