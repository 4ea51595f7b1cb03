"""`yibu.ps()` names no deadlock where a time limit of a task that awaits it will end it."""

import asyncio
import functools
import sys

import pytest
import yibu

from tests.unit.stuck import tree_of

pytestmark = pytest.mark.yibu_only


@pytest.fixture(params=["native", "stock primitives"])
def aio(request):
    """What the tasks wait with: yibu's primitives, or the standard library's on yibu's loop."""
    return yibu if request.param == "native" else asyncio


class Circle:
    """Two coroutines that wait for each other's lock."""

    def __init__(self, aio):
        self.first, self.second = aio.Lock(), aio.Lock()

    async def _take(self, mine, other):
        async with mine:
            await asyncio.sleep(0)
            async with other:
                pass

    def one(self):
        return self._take(self.first, self.second)

    def two(self):
        return self._take(self.second, self.first)


def deadlocks(awaiting):
    """Run the function with a circle; the words of the deadlocks that are seen when all wait."""
    tree = tree_of(awaiting)
    assert sum(task.kind == "lock" for task in tree) == 2, "the circle was there"
    return [problem.words for problem in tree.problems if problem.kind == "deadlock"]


def test_wait_for_around_gather(aio):
    circle = Circle(aio)

    async def limited():
        await aio.wait_for(aio.gather(circle.one(), circle.two()), 100)

    assert not deadlocks(limited)


def test_wait_for_around_a_task(aio):
    """Up to 3.11, `wait_for()` makes a task of its own for each coroutine."""
    circle = Circle(aio)

    async def limited(coroutine):
        await aio.wait_for(asyncio.create_task(coroutine), 100)

    async def both():
        await aio.gather(limited(circle.one()), limited(circle.two()))

    assert not deadlocks(both)


def test_wait_for_around_a_coroutine(aio):
    circle = Circle(aio)

    async def both():
        await aio.gather(aio.wait_for(circle.one(), 100), circle.two())

    assert not deadlocks(both)


def test_timeout_around_a_group(aio):
    circle = Circle(aio)

    async def limited():
        async with aio.timeout(100), aio.TaskGroup() as group:
            group.create_task(circle.one())
            group.create_task(circle.two())

    assert not deadlocks(limited)


def test_timeout_around_a_group_whose_body_goes_on(aio):
    circle = Circle(aio)

    async def limited():
        async with aio.timeout(100), aio.TaskGroup() as group:
            group.create_task(circle.one())
            group.create_task(circle.two())
            await aio.Event().wait()

    assert not deadlocks(limited)


def test_wait_with_a_limit(aio):
    circle = Circle(aio)

    async def limited():
        await aio.wait([asyncio.create_task(circle.one()), asyncio.create_task(circle.two())], timeout=100)

    assert not deadlocks(limited)


def test_limit_over_a_task_between(aio):
    circle = Circle(aio)

    async def between():
        await aio.gather(circle.one(), circle.two())

    async def limited():
        async with aio.timeout(100):
            await asyncio.create_task(between())

    assert not deadlocks(limited)


def test_without_a_limit_it_is_a_deadlock(aio):
    circle = Circle(aio)

    async def unlimited():
        async with aio.timeout(None), aio.TaskGroup() as group:
            group.create_task(circle.one())
            group.create_task(circle.two())

    async def waiting():
        await aio.wait([asyncio.create_task(circle.one()), asyncio.create_task(circle.two())])

    assert len(deadlocks(unlimited)) == 1
    circle = Circle(aio)
    assert len(deadlocks(waiting)) == 1


def test_what_is_shielded_from_the_limit_is_a_deadlock(aio):
    circle = Circle(aio)

    async def limited():
        tasks = [asyncio.create_task(circle.one()), asyncio.create_task(circle.two())]
        async with aio.timeout(100):
            await aio.shield(tasks[0])

    assert len(deadlocks(limited)) == 1


@pytest.mark.parametrize("how", ["the method", "a function", "a partial function"])
def test_a_timer_that_cancels_a_task(aio, how):
    circle = Circle(aio)

    async def limited():
        task, other = asyncio.create_task(circle.one()), asyncio.create_task(circle.two())
        cancel = {
            "the method": task.cancel,
            "a function": lambda: (task.cancel(), None),
            "a partial function": functools.partial(asyncio.Task.cancel, task),
        }[how]
        timer = asyncio.get_running_loop().call_later(100, cancel)
        try:
            await aio.gather(task, other)
        finally:
            timer.cancel()

    assert not deadlocks(limited)


def test_a_timer_that_is_cancelled(aio):
    circle = Circle(aio)

    async def unlimited():
        task, other = asyncio.create_task(circle.one()), asyncio.create_task(circle.two())
        asyncio.get_running_loop().call_later(100, task.cancel).cancel()
        await aio.gather(task, other)

    assert len(deadlocks(unlimited)) == 1


def test_as_completed_with_a_limit(aio):
    """It frees those that it waits for as `wait()` does: whoever has waited goes on and may cancel them."""
    if aio is asyncio and sys.version_info < (3, 13):
        pytest.skip("asyncio's own as_completed() has no object that would tell who waits for what")
    circle = Circle(aio)

    async def limited():
        for one in aio.as_completed([circle.one(), circle.two()], timeout=100):
            await one

    assert not deadlocks(limited)
