"""Row "Task": making, naming, inspecting and cancelling tasks, factories, contexts."""

import asyncio
import contextvars
import io
import sys

import pytest


async def forever(aio):
    await aio.get_running_loop().create_future()


def test_create_task_with_a_name_and_a_context(aio):
    variable = contextvars.ContextVar("variable", default="default")

    async def work():
        return variable.get(), aio.current_task().get_name()

    async def main():
        context = contextvars.copy_context()
        context.run(variable.set, "chosen")
        task = aio.create_task(work(), name="worker", context=context)
        if sys.version_info >= (3, 12):
            assert task.get_context() is context
        result = await task
        task.set_name("renamed")
        return result, task.get_name(), task.get_coro().cr_code is work.__code__

    assert aio.run(main()) == (("chosen", "worker"), "renamed", True)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
def test_create_task_eagerly(aio):
    async def work():
        return "at once"

    async def main():
        task = aio.create_task(work(), eager_start=True)
        return task.done(), await task

    assert aio.run(main()) == (True, "at once")


def test_stacks(aio):
    async def main():
        task = aio.create_task(forever(aio), name="stuck")
        await aio.sleep(0)
        frames = [frame.f_code.co_name for frame in task.get_stack()]
        output = io.StringIO()
        task.print_stack(file=output)
        task.cancel()
        return frames, output.getvalue()

    frames, printed = aio.run(main())
    assert frames == ["forever"]
    assert printed.startswith("Stack for <Task pending name='stuck'")


def test_current_task_and_all_tasks(aio):
    async def main():
        tasks = {aio.create_task(forever(aio)) for _ in range(3)}
        await aio.sleep(0)
        everything = aio.all_tasks()
        for task in tasks:
            task.cancel()
        return everything == tasks | {aio.current_task()}

    assert aio.run(main())


def test_cancel_with_a_message(aio):
    async def work(seen):
        try:
            await forever(aio)
        except aio.CancelledError as error:
            seen.append(error.args)
            raise

    async def main():
        seen = []
        task = aio.create_task(work(seen))
        await aio.sleep(0)
        task.cancel("shutting down")
        with pytest.raises(aio.CancelledError):
            await task
        return seen, task.cancelled()

    assert aio.run(main()) == ([("shutting down",)], True)


def test_cancelling_and_uncancel(aio):
    async def work():
        try:
            await forever(aio)
        except aio.CancelledError:
            task = aio.current_task()
            before = task.cancelling()
            return before, task.uncancel()

    async def main():
        task = aio.create_task(work())
        await aio.sleep(0)
        task.cancel()
        return await task

    assert aio.run(main()) == (1, 0)


def test_task_factory(aio):
    class Counted(asyncio.Task):
        made = 0

        def __init__(self, *arguments, **keywords):
            type(self).made += 1
            super().__init__(*arguments, **keywords)

    def factory(loop, coro, **keywords):
        return Counted(coro, loop=loop, **keywords)

    async def main():
        loop = aio.get_running_loop()
        loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory
        await aio.gather(*[aio.sleep(0) for _ in range(5)])
        return Counted.made

    assert aio.run(main()) == 5


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_eager_task_factory(aio):
    order = []

    async def work(name):
        order.append(f"{name} starts")
        await aio.sleep(0)
        order.append(f"{name} ends")

    async def main():
        aio.get_running_loop().set_task_factory(aio.eager_task_factory)
        task = aio.create_task(work("eager"))
        order.append("created")
        await task

    aio.run(main())
    assert order == ["eager starts", "created", "eager ends"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_create_eager_task_factory(aio):
    class Mine(asyncio.Task):
        """A task class of one's own."""

    async def main():
        aio.get_running_loop().set_task_factory(aio.create_eager_task_factory(Mine))
        task = aio.create_task(aio.sleep(0))
        await task
        return type(task) is Mine

    assert aio.run(main())


def test_context_variables_of_each_task(aio):
    request = contextvars.ContextVar("request")

    async def handle(number):
        request.set(number)
        for _ in range(5):
            await aio.sleep(0)
            assert request.get() == number
        return request.get()

    async def main():
        return await aio.gather(*[handle(number) for number in range(20)])

    assert aio.run(main()) == list(range(20))
