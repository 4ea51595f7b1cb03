"""Methods that a program has replaced on one task or one future: asyncio's functions call them by name.

aiotools shields a piece of code from cancellation like that, without a task of its own.
"""

import asyncio

import pytest


def spy(future, *names):
    """Have the object's own methods note that they are called."""
    calls = []

    def replace(name, method):
        def noting(*args, **keywords):
            calls.append(name)
            return method(*args, **keywords)

        setattr(future, name, noting)

    for name in names:
        replace(name, getattr(future, name))
    return calls


async def for_ever():
    await asyncio.get_running_loop().create_future()


class TestCancellation:
    def test_by_a_time_limit(self, impl, run):
        async def main():
            calls = spy(impl.current_task(), "cancelling", "cancel", "uncancel")
            with pytest.raises(TimeoutError):
                async with impl.timeout(0):
                    await for_ever()
            return calls

        assert run(main()) == ["cancelling", "cancel", "uncancel"]

    def test_that_a_task_puts_off(self, impl, run):
        """The limit is exceeded, and the body runs to its end."""

        async def main():
            task = impl.current_task()
            deferred = []
            task.cancel = lambda message=None: deferred.append(message)
            task.uncancel = lambda: 0
            async with impl.timeout(0):
                await impl.sleep(0)
                await impl.sleep(0.01)
            del task.cancel, task.uncancel
            return deferred, task.cancelling()

        assert run(main()) == ([None], 0)

    def test_by_a_group(self, impl, run):
        async def fail():
            raise ValueError

        async def main():
            parent = spy(impl.current_task(), "cancel", "uncancel")
            with pytest.raises(ExceptionGroup):
                async with impl.TaskGroup() as group:
                    child = spy(group.create_task(for_ever()), "cancel")
                    group.create_task(fail())
                    await for_ever()
            return parent, child

        assert run(main()) == (["cancel", "uncancel"], ["cancel"])

    @pytest.mark.parametrize("kind", ["task", "future"])
    @pytest.mark.parametrize("way", ["await", "gather", "wait_for"])
    def test_of_what_is_awaited(self, impl, run, kind, way):
        async def main():
            awaited = impl.create_task(for_ever()) if kind == "task" else make_future()
            await impl.sleep(0)
            calls = spy(awaited, "cancel")
            if way == "await":
                task = impl.create_task(wait_for(awaited))
            elif way == "gather":
                task = impl.gather(awaited)
            else:
                task = impl.create_task(impl.wait_for(awaited, 60))
            await impl.sleep(0)
            task.cancel()
            with pytest.raises(impl.CancelledError):
                await task
            return calls

        def make_future():
            return impl.get_running_loop().create_future()

        async def wait_for(awaited):
            await awaited

        assert run(main()) == ["cancel"]

    def test_at_the_end_of_the_run(self, impl):
        calls = []

        async def main():
            calls.append(spy(impl.create_task(for_ever()), "cancel"))

        impl.run(main())
        assert calls == [["cancel"]]


class TestOutcome:
    @pytest.mark.parametrize("way", ["gather", "shield", "run_until_complete"])
    def test_is_what_the_object_says(self, impl, loop, run, way):
        future = loop.create_future()
        future.result = lambda: "the program's"
        if way == "run_until_complete":
            loop.call_soon(future.set_result, "its own")
            assert loop.run_until_complete(future) == "the program's"
            return

        async def main():
            loop.call_soon(future.set_result, "its own")
            if way == "gather":
                return (await impl.gather(future))[0]
            return await impl.shield(future)

        assert run(main()) == "the program's"

    def test_callbacks_are_given_to_the_object(self, impl, loop, run):
        future = loop.create_future()
        calls = spy(future, "add_done_callback", "remove_done_callback")

        async def main():
            await impl.wait([future], timeout=0)
            loop.call_soon(future.set_result, None)
            await impl.wait([future])

        run(main())
        assert calls == ["add_done_callback", "remove_done_callback"] * 2

    def test_other_attributes_change_nothing(self, impl, loop, run):
        async def main():
            task = impl.create_task(impl.sleep(0, "result"))
            task.label = "what a tracer leaves there"
            done, _ = await impl.wait([task])
            return [each.result() for each in done], await impl.gather(task)

        assert run(main()) == (["result"], ["result"])
