"""Row "structure": TaskGroup, exception groups, cancelling a group."""

import asyncio

import pytest


async def fail(aio, error):
    await aio.sleep(0)
    raise error


def test_results(aio):
    async def main():
        async with aio.TaskGroup() as group:
            tasks = [group.create_task(aio.sleep(0, number), name=f"n{number}") for number in range(3)]
        return [(task.get_name(), task.result()) for task in tasks]

    assert aio.run(main()) == [("n0", 0), ("n1", 1), ("n2", 2)]


def test_a_failure_cancels_the_siblings(aio):
    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            async with aio.TaskGroup() as group:
                sibling = group.create_task(aio.sleep(1000))
                group.create_task(fail(aio, ValueError("first")))
                group.create_task(fail(aio, KeyError("second")))
        return sibling.cancelled(), [repr(error) for error in caught.value.exceptions]

    assert aio.run(main()) == (True, ["ValueError('first')", "KeyError('second')"])


def test_except_star(aio):
    async def main():
        handled = []
        try:
            async with aio.TaskGroup() as group:
                group.create_task(fail(aio, ValueError(1)))
                group.create_task(fail(aio, OSError(2)))
        except* ValueError as errors:
            handled.append(("values", len(errors.exceptions)))
        except* OSError as errors:
            handled.append(("system", len(errors.exceptions)))
        return handled

    assert aio.run(main()) == [("values", 1), ("system", 1)]


def test_nested_groups(aio):
    async def main():
        order = []

        async def step(name):
            await aio.sleep(0)
            order.append(name)

        async with aio.TaskGroup() as outer:
            outer.create_task(step("outer"))
            async with aio.TaskGroup() as inner:
                inner.create_task(step("inner"))
            order.append("inner group done")
        return order

    assert aio.run(main()) == ["outer", "inner", "inner group done"]


def test_cancelling_the_parent_cancels_the_children(aio):
    async def main():
        children = []

        async def parent():
            async with aio.TaskGroup() as group:
                children.extend(group.create_task(aio.sleep(1000)) for _ in range(3))

        task = aio.create_task(parent())
        await aio.sleep(0)
        await aio.sleep(0)
        task.cancel()
        with pytest.raises(aio.CancelledError):
            await task
        return [child.cancelled() for child in children]

    assert aio.run(main()) == [True] * 3


@pytest.mark.skipif(
    not hasattr(asyncio.TaskGroup, "cancel"), reason="this Python's groups cannot be cancelled"
)
def test_cancel_of_a_group(aio):
    async def main():
        async with aio.TaskGroup() as group:
            tasks = [group.create_task(aio.sleep(1000)) for _ in range(3)]
            await aio.sleep(0)
            group.cancel()
        return [task.cancelled() for task in tasks]

    assert aio.run(main()) == [True] * 3
