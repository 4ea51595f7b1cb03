"""Row "queues": Queue, PriorityQueue, LifoQueue, bounds, join, shutdown."""

import sys

import pytest


def test_producer_and_consumer(aio):
    async def main():
        queue, received = aio.Queue(2), []

        async def produce():
            for number in range(10):
                await queue.put(number)
            await queue.put(None)

        async def consume():
            while (item := await queue.get()) is not None:
                received.append((item, queue.qsize() <= 2))

        await aio.gather(produce(), consume())
        return received

    assert aio.run(main()) == [(number, True) for number in range(10)]


def test_orders(aio):
    async def main():
        orders = []
        for kind in (aio.Queue, aio.PriorityQueue, aio.LifoQueue):
            queue = kind()
            for number in (3, 1, 2):
                queue.put_nowait(number)
            orders.append([await queue.get() for _ in range(3)])
        return orders

    assert aio.run(main()) == [[3, 1, 2], [1, 2, 3], [2, 1, 3]]


def test_full_and_empty(aio):
    async def main():
        queue = aio.Queue(1)
        assert queue.empty() and not queue.full() and queue.maxsize == 1
        with pytest.raises(aio.QueueEmpty):
            queue.get_nowait()
        queue.put_nowait(1)
        assert queue.full() and queue.qsize() == 1
        with pytest.raises(aio.QueueFull):
            queue.put_nowait(2)

    aio.run(main())


def test_join(aio):
    async def main():
        queue, done = aio.Queue(), []

        async def worker():
            while True:
                item = await queue.get()
                await aio.sleep(0)
                done.append(item)
                queue.task_done()

        workers = [aio.create_task(worker()) for _ in range(3)]
        for number in range(10):
            queue.put_nowait(number)
        await queue.join()
        for each in workers:
            each.cancel()
        with pytest.raises(ValueError, match=r"^task_done\(\) called too many times$"):
            queue.task_done()
        return sorted(done)

    assert aio.run(main()) == list(range(10))


def test_a_cancelled_get_loses_nothing(aio):
    async def main():
        queue = aio.Queue()
        getter = aio.create_task(queue.get())
        await aio.sleep(0)
        queue.put_nowait("item")
        getter.cancel()
        try:
            return await getter
        except aio.CancelledError:
            return await queue.get()

    assert aio.run(main()) == "item"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
def test_shutdown(aio):
    async def main():
        queue = aio.Queue(1)
        queue.put_nowait("last")
        putting = aio.create_task(queue.put("too late"))
        await aio.sleep(0)
        queue.shutdown()
        with pytest.raises(aio.QueueShutDown):
            await putting
        last = await queue.get()
        with pytest.raises(aio.QueueShutDown):
            await queue.get()
        with pytest.raises(aio.QueueShutDown):
            queue.put_nowait(1)
        return last

    assert aio.run(main()) == "last"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
def test_shutdown_immediately(aio):
    async def main():
        queue = aio.Queue()
        queue.put_nowait("dropped")
        joining = aio.create_task(queue.join())
        await aio.sleep(0)
        queue.shutdown(immediate=True)
        await joining
        with pytest.raises(aio.QueueShutDown):
            queue.get_nowait()

    aio.run(main())
