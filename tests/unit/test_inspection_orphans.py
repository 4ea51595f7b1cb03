"""`yibu.ps()` says that nobody holds a lock, or that a deadlock is certain, only where no other code could
end the waiting."""

import asyncio
import threading

import pytest
import yibu
from yibu.inspection import snapshot

from tests.unit.stuck import tree_of

pytestmark = [pytest.mark.yibu_only, pytest.mark.usefixtures("without_threads_of_the_tests")]


@pytest.fixture(params=["native", "stock primitives"])
def aio(request):
    """What the tasks wait with: yibu's primitives, or the standard library's on yibu's loop."""
    return yibu if request.param == "native" else asyncio


def start(coroutine):
    return asyncio.get_running_loop().create_task(coroutine, name=coroutine.__name__)


def orphaned(tree):
    return [problem.words for problem in tree.problems if problem.kind == "orphaned lock"]


async def wait_for(lock):
    async with lock:
        pass


class TestOrphanedLocks:
    def test_a_task_that_ended_without_release(self, aio):
        async def outer():
            lock = aio.Lock()
            await start(lock.acquire())
            await wait_for(lock)

        (words,) = orphaned(tree_of(outer, "outer"))
        assert words.startswith("'outer' waits for a Lock that no living task holds")

    def test_not_one_that_a_timer_releases(self, aio):
        async def outer():
            lock = aio.Lock()
            await start(lock.acquire())
            asyncio.get_running_loop().call_later(100, lock.release)
            await wait_for(lock)

        assert not orphaned(tree_of(outer))

    def test_not_one_that_another_task_releases(self, aio):
        async def outer():
            lock = aio.Lock()

            async def releaser():
                await asyncio.sleep(100)
                lock.release()

            await start(lock.acquire())
            await asyncio.gather(start(releaser()), start(wait_for(lock)))

        assert not orphaned(tree_of(outer))

    def test_not_one_that_a_thread_releases(self, aio):
        ended = threading.Event()

        def release(loop, lock):
            if not ended.wait(100):
                loop.call_soon_threadsafe(lock.release)

        async def outer():
            lock = aio.Lock()
            await start(lock.acquire())
            arguments = (asyncio.get_running_loop(), lock)
            threading.Thread(target=release, args=arguments, daemon=True).start()
            try:
                await wait_for(lock)
            finally:
                ended.set()

        assert not orphaned(tree_of(outer))

    def test_not_one_that_is_handed_over(self, aio):
        async def main():
            lock = aio.Lock()
            await lock.acquire()
            tasks = [start(wait_for(lock)) for _ in range(3)]
            await asyncio.sleep(0)
            lock.release()
            tree = yibu.ps()
            await asyncio.gather(*tasks)
            return tree

        assert not orphaned(yibu.run(main()))

    def test_not_one_of_a_task_that_runs(self, aio):
        async def main():
            lock = aio.Lock()
            async with lock:
                task = start(wait_for(lock))
                await asyncio.sleep(0)
                tree = yibu.ps()
            await task
            return tree

        assert not orphaned(yibu.run(main()))

    def test_not_one_that_tasks_take_in_turn_while_it_is_looked_at(self, aio):
        """Another thread sees the tasks at different moments, and some as they run."""
        trees = []

        async def main():
            lock = aio.Lock()

            async def worker():
                while looker.is_alive():
                    async with lock:
                        await asyncio.sleep(0)

            def look():
                for _ in range(3):
                    trees.append(snapshot.take(lambda: None))

            looker = threading.Thread(target=look)
            looker.start()
            await asyncio.gather(*(worker() for _ in range(10)))

        yibu.run(main())
        assert len(trees) == 3
        assert not any(map(orphaned, trees))


class TestCertainty:
    @staticmethod
    def circle(aio):
        first, second = aio.Lock(), aio.Lock()

        async def both(outer, inner):
            async with outer:
                await asyncio.sleep(0)
                async with inner:
                    pass

        return [start(both(first, second)), start(both(second, first))]

    def certain(self, function):
        return [problem.certain for problem in tree_of(function).problems if problem.kind == "deadlock"]

    def test_a_circle_is_certain(self, aio):
        async def outer():
            await asyncio.gather(*self.circle(aio))

        assert self.certain(outer) == [True]

    def test_not_if_a_task_that_goes_on_may_cancel_it(self, aio):
        async def outer():
            tasks = self.circle(aio)
            await asyncio.sleep(100)
            for task in tasks:
                task.cancel()

        assert self.certain(outer) == [False]

    def test_not_if_a_task_that_goes_on_may_cancel_all_tasks(self, aio):
        async def supervise():
            await asyncio.sleep(100)
            for task in asyncio.all_tasks():
                task.cancel()

        async def outer():
            await asyncio.gather(*self.circle(aio), start(supervise()))

        assert self.certain(outer) == [False]
