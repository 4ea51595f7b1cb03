"""Which tasks `yibu.ps()` calls lost: those that only themselves and what will wake them refer to."""

import asyncio
import socket
import weakref

import pytest
import yibu

from tests.unit.stuck import tree_of
from tests.unit.tls import server_context

pytestmark = pytest.mark.yibu_only


def start(coroutine, name="one"):
    return asyncio.get_running_loop().create_task(coroutine, name=name)


def lost(function):
    """The words about tasks that are lost when all tasks wait."""
    return [problem.words for problem in tree_of(function, "outer").problems if problem.kind == "lost"]


BY_LOOP = "nothing refers to task 'one', and nobody waits for it: errors stay unseen"
BY_OBJECT = f"{BY_LOOP}, and the garbage collector may destroy the task"


async def under_a_limit():
    async with asyncio.timeout(100):
        await asyncio.sleep(100)


class Service:
    """It refers to its task, whose coroutine refers to it."""

    def __init__(self):
        self.task = start(self.run())

    async def run(self):
        await asyncio.sleep(100)


class TestLost:
    def test_what_the_loop_keeps(self):
        async def outer():
            start(asyncio.sleep(100))
            await asyncio.sleep(100)

        assert lost(outer) == [BY_LOOP]

    def test_what_waits_for_an_object_of_its_own(self):
        async def waits():
            await asyncio.Queue().get()

        async def outer():
            start(waits())
            await asyncio.sleep(100)

        assert lost(outer) == [BY_OBJECT]

    @pytest.mark.parametrize("coroutine", [under_a_limit, lambda: asyncio.wait_for(asyncio.sleep(100), 100)])
    def test_what_its_own_time_limit_refers_to(self, coroutine):
        async def outer():
            start(coroutine())
            await asyncio.sleep(100)

        assert lost(outer) == [BY_LOOP]

    def test_what_only_an_object_of_its_own_refers_to(self):
        async def outer():
            Service()
            await asyncio.sleep(100)

        assert lost(outer) == [BY_LOOP]


class Keeper:
    pass


class TestKept:
    def test_by_the_object_that_wakes_it(self):
        class Lifespan:
            def __init__(self):
                self.queue = asyncio.Queue()

            async def main(self):
                await self.queue.get()

        async def outer():
            lifespan = Lifespan()
            start(lifespan.main())
            await asyncio.sleep(100)
            return lifespan

        assert not lost(outer)

    def test_by_the_future_that_it_awaits(self):
        async def waits(future):
            await future

        async def outer():
            future = asyncio.get_running_loop().create_future()
            start(waits(future))
            await asyncio.sleep(100)
            return future

        assert not lost(outer)

    def test_by_a_set(self):
        async def outer():
            tasks = set()
            task = start(asyncio.sleep(100))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            del task
            await asyncio.sleep(100)

        assert not lost(outer)

    def test_by_an_object_that_it_has(self):
        async def outer():
            service = Service()
            await asyncio.sleep(100)
            return service

        assert not lost(outer)

    def test_by_a_timer_that_cancels_it(self):
        async def outer():
            keeper = Keeper()
            keeper.task = start(asyncio.sleep(100))
            asyncio.get_running_loop().call_later(100, keeper.task.cancel)
            weakly = weakref.ref(keeper)
            del keeper
            await asyncio.sleep(100)
            return weakly

        assert not lost(outer)

    def test_asyncio_s_own(self):
        """Each TLS connection that a server accepts has a task until the handshake is over."""

        async def outer():
            server = await asyncio.start_server(lambda *_streams: None, "127.0.0.1", 0, ssl=server_context())
            with socket.create_connection(server.sockets[0].getsockname()):
                while len(tree := yibu.ps()) < 2:
                    await asyncio.sleep(0.001)
            server.close()
            return tree

        with yibu.Runner(loop_factory=yibu.new_event_loop) as runner:
            tree = runner.run(outer())
        assert len(tree) == 2 and not tree.problems
