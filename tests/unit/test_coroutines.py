"""asyncio.coroutines: the coroutines that a loop's own methods give are coroutines wherever one is taken."""

import asyncio
import functools
import gc
import inspect
import socket
import threading
import weakref

import pytest


@pytest.fixture
def pair():
    one, two = socket.socketpair()
    one.setblocking(False)
    two.setblocking(False)
    yield one, two
    one.close()
    two.close()


def numeric(loop):
    """A coroutine that ends, of the kind that the loop makes itself."""
    return loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)


ANSWER = ("127.0.0.1", "80")


async def iterated(coroutine):
    return [await future for future in coroutine.__await__()]


WRAPS = {
    "create_task": lambda loop, coroutine: loop.create_task(coroutine),
    "ensure_future": lambda loop, coroutine: asyncio.ensure_future(coroutine),
    "wait_for": lambda loop, coroutine: asyncio.wait_for(coroutine, 10),
    "shield": lambda loop, coroutine: asyncio.shield(coroutine),
    "as_completed": lambda loop, coroutine: next(iter(asyncio.as_completed([coroutine]))),
}


class TestWhereverOneIsTaken:
    def test_is_a_coroutine(self, impl, loop):
        coroutine = numeric(loop)
        assert asyncio.iscoroutine(coroutine) and impl.iscoroutine(coroutine)
        assert inspect.isawaitable(coroutine)
        assert not asyncio.isfuture(coroutine)
        assert loop.run_until_complete(coroutine) == ANSWER

    @pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
    def test_wrapped(self, loop, run, wrap):
        async def main():
            return await wrap(loop, numeric(loop))

        assert run(main()) == ANSWER

    @pytest.mark.parametrize(
        "wrap",
        [*WRAPS.values(), lambda loop, coroutine: iterated(coroutine)],
        ids=[*WRAPS, "__await__"],
    )
    def test_special_methods(self, impl, loop, run, wrap):
        """What is called by hand that `async with` calls."""

        async def main():
            lock = impl.Lock()
            await wrap(loop, lock.__aenter__())
            assert lock.locked()
            await wrap(loop, lock.__aexit__(None, None, None))
            assert not lock.locked()

        run(main())

    def test_gathered(self, loop, run):
        async def main():
            return await asyncio.gather(*[numeric(loop) for _ in range(10)])

        assert run(main()) == [ANSWER] * 10

    def test_in_a_task_group(self, loop, run):
        async def main():
            async with asyncio.TaskGroup() as group:
                task = group.create_task(numeric(loop), name="named")
            return task.result(), task.get_name()

        assert run(main()) == (ANSWER, "named")

    def test_from_another_thread(self, loop, run):
        def work():
            return asyncio.run_coroutine_threadsafe(numeric(loop), loop).result(10)

        async def main():
            return await asyncio.to_thread(work)

        assert run(main()) == ANSWER

    def test_as_the_main_coroutine(self, loop):
        assert loop.run_until_complete(numeric(loop)) == ANSWER


class TestProtocol:
    @pytest.mark.parametrize("make", ["event", "sleep", "lookup"])
    def test_awaited_while_another_task_awaits_it(self, impl, loop, run, make):
        async def main():
            coroutine = {
                "event": lambda: impl.Event().wait(),
                "sleep": lambda: impl.sleep(100),
                "lookup": lambda: loop.getaddrinfo("localhost", 80),
            }[make]()
            task = impl.create_task(coroutine)
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match=r"^coroutine is being awaited already$"):
                await coroutine
            task.cancel()
            await asyncio.wait([task])

        run(main())

    def test_awaited_twice(self, loop, run):
        async def main():
            coroutine = numeric(loop)
            await coroutine
            with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
                await coroutine

        run(main())

    def test_cancelled_while_it_waits(self, loop, run, pair):
        async def main():
            task = loop.create_task(loop.sock_recv(pair[0], 10))
            for _ in range(3):
                await asyncio.sleep(0)
            task.cancel("why")
            with pytest.raises(asyncio.CancelledError, match=r"^why$"):
                await task
            pair[1].send(b"kept")
            return await loop.sock_recv(pair[0], 10)

        assert run(main()) == b"kept"

    def test_closed_before_it_starts(self, loop):
        coroutine = numeric(loop)
        assert coroutine.close() is None
        with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
            coroutine.send(None)

    @pytest.mark.yibu_only  # stock leaves the reader where it is
    def test_closed_while_it_waits(self, loop, run, pair):
        async def main():
            coroutine = loop.sock_recv(pair[0], 10)
            future = coroutine.send(None)
            assert asyncio.isfuture(future)
            coroutine.close()
            await asyncio.sleep(0)
            return loop.remove_reader(pair[0])

        assert run(main()) is False

    def test_thrown_into_before_it_starts(self, loop):
        coroutine = numeric(loop)
        with pytest.raises(KeyError, match=r"^'thrown'$"):
            coroutine.throw(KeyError("thrown"))

    @pytest.mark.yibu_only  # stock leaves the reader where it is
    def test_thrown_into_while_it_waits(self, loop, run, pair):
        async def main():
            coroutine = loop.sock_recv(pair[0], 10)
            coroutine.send(None)
            with pytest.raises(KeyError, match=r"^'thrown'$"):
                coroutine.throw(KeyError("thrown"))
            await asyncio.sleep(0)
            return loop.remove_reader(pair[0])

        assert run(main()) is False

    def test_sending_a_value_first(self, loop):
        coroutine = numeric(loop)
        with pytest.raises(TypeError, match=r"can't send non-None value to a just-started coroutine"):
            coroutine.send(1)
        coroutine.close()

    def test_names(self, loop):
        coroutine = numeric(loop)
        assert coroutine.__name__ == "getnameinfo"
        assert coroutine.__qualname__.endswith(".getnameinfo")
        assert "getnameinfo" in repr(coroutine)
        coroutine.close()

    def test_in_the_repr_of_its_task(self, loop):
        task = loop.create_task(numeric(loop), name="n")
        assert repr(task).startswith("<Task pending name='n' coro=<")
        assert "getnameinfo()" in repr(task)
        loop.run_until_complete(task)
        assert "result=('127.0.0.1', '80')" in repr(task)
        assert task.get_stack() == []

    def test_never_awaited(self, loop):
        coroutine = numeric(loop)
        with pytest.warns(RuntimeWarning, match=r"^coroutine '.*getnameinfo' was never awaited"):
            del coroutine
            gc.collect()

    def test_a_method_that_was_never_called_is_collected_in_a_cycle(self, impl, recwarn):
        """What `async with` has bound, and not called when its coroutine is dropped, is no coroutine yet."""
        cycle = [impl.Lock().__aexit__]
        cycle.append(cycle)
        del cycle
        gc.collect()
        assert not recwarn.list

    def test_errors_keep_their_type(self, loop, run):
        async def main():
            with pytest.raises(socket.gaierror):
                await loop.getnameinfo(("no such host.invalid", 80), 0)

        run(main())

    @pytest.mark.yibu_only  # stock leaves the reader where it is
    def test_dropped_while_it_waits(self, loop, run, pair):
        """A suspended coroutine that is dropped takes its registration with it."""

        async def main():
            coroutine = loop.sock_recv(pair[0], 10)
            coroutine.send(None)
            del coroutine
            gc.collect()
            await asyncio.sleep(0)
            return loop.remove_reader(pair[0])

        assert run(main()) is False

    @pytest.mark.parametrize("ends", ["returns", "is closed", "is cancelled"])
    @pytest.mark.parametrize(
        ("make", "begin"),
        [
            (lambda impl: impl.Queue(), lambda queue: queue.get()),
            (lambda impl: impl.Queue(1), lambda queue: queue.join()),
            (lambda impl: impl.Event(), lambda event: event.wait()),
            (lambda impl: impl.Lock(), lambda lock: lock.acquire()),
            (lambda impl: impl.Semaphore(0), lambda semaphore: semaphore.acquire()),
            (lambda impl: impl.Barrier(2), lambda barrier: barrier.wait()),
            (lambda impl: impl.StreamReader(), lambda reader: reader.readline()),
            (lambda impl: impl.StreamReader(), lambda reader: reader.readexactly(1)),
            (lambda impl: impl.StreamReader(), lambda reader: reader.readuntil(b"x")),
        ],
        ids=[
            *("Queue.get", "Queue.join", "Event.wait", "Lock.acquire", "Semaphore.acquire", "Barrier.wait"),
            *("StreamReader.readline", "StreamReader.readexactly", "StreamReader.readuntil"),
        ],
    )
    def test_an_ended_one_keeps_nothing_alive(self, impl, run, make, begin, ends):
        end = {
            impl.Queue: lambda queue: queue.put_nowait(1),
            impl.Event: lambda event: event.set(),
            impl.Semaphore: lambda semaphore: semaphore.release(),
            impl.StreamReader: lambda reader: reader.feed_data(b"x\n"),
        }

        async def main():
            owner = make(impl)
            gone = weakref.ref(owner)
            coroutine = begin(owner)
            task = asyncio.ensure_future(coroutine)
            await asyncio.sleep(0)
            if ends == "is cancelled":
                task.cancel()
            elif ends == "is closed" and not task.done():
                coroutine.close()
                task.cancel()
            elif isinstance(owner, impl.Barrier):
                await owner.wait()
            elif type(owner) in end:
                end[type(owner)](owner)
            await asyncio.wait([task])
            assert task.cancelled() or ends != "is cancelled" or task.result() in (True, None)
            del task
            del owner
            await asyncio.sleep(0)
            assert gone() is None
            return coroutine

        gc.disable()
        try:
            run(main())
        finally:
            gc.enable()

    def test_an_ended_put_keeps_no_item(self, impl, run):
        class Item:
            pass

        async def main():
            queue, item = impl.Queue(), Item()
            gone = weakref.ref(item)
            coroutine = queue.put(item)
            await coroutine
            queue.get_nowait()
            del item
            assert gone() is None

        run(main())

    def test_a_method_is_called_again_when_its_coroutine_has_ended(self, impl, run):
        async def main():
            lock = impl.Lock()
            enter, leave = lock.__aenter__, lock.__aexit__
            del lock
            for _ in range(3):
                await enter()
                await leave(None, None, None)
            enter = functools.partial(enter)
            await enter()
            await leave(None, None, None)
            await enter()

        run(main())

    def test_in_many_threads(self, make_loop):
        results = []

        def work(loop):
            results.append(loop.run_until_complete(numeric(loop)))

        threads = [threading.Thread(target=work, args=(make_loop(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [ANSWER] * 4
