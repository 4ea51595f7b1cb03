"""Row "patterns": producer-consumer, publish-subscribe, callbacks as coroutines, pipelines, rate limits."""

import threading


def test_producers_and_consumers(aio):
    async def main():
        queue, results = aio.Queue(5), []

        async def produce(name):
            for number in range(20):
                await queue.put((name, number))

        async def consume():
            while True:
                results.append(await queue.get())
                queue.task_done()

        consumers = [aio.create_task(consume()) for _ in range(3)]
        await aio.gather(*[produce(name) for name in "abc"])
        await queue.join()
        for consumer in consumers:
            consumer.cancel()
        await aio.gather(*consumers, return_exceptions=True)
        return sorted(results)

    assert aio.run(main()) == sorted((name, number) for name in "abc" for number in range(20))


def test_publish_and_subscribe(aio):
    class Hub:
        def __init__(self):
            self.subscribers = set()

        def publish(self, message):
            for queue in self.subscribers:
                queue.put_nowait(message)

        async def subscribe(self, count):
            queue = aio.Queue()
            self.subscribers.add(queue)
            try:
                return [await queue.get() for _ in range(count)]
            finally:
                self.subscribers.discard(queue)

    async def main():
        hub = Hub()
        listeners = [aio.create_task(hub.subscribe(count)) for count in (1, 3, 2)]
        await aio.sleep(0)
        for message in ("one", "two", "three"):
            hub.publish(message)
            await aio.sleep(0)
        return await aio.gather(*listeners), len(hub.subscribers)

    assert aio.run(main()) == ([["one"], ["one", "two", "three"], ["one", "two"]], 0)


def test_a_callback_interface_as_a_coroutine(aio):
    def fetch(key, on_success, on_error):
        """An interface with callbacks, called from a thread of its own."""
        work = (lambda: on_success(key.upper())) if key.isalpha() else (lambda: on_error(KeyError(key)))
        threading.Thread(target=work).start()

    async def fetch_async(key):
        loop = aio.get_running_loop()
        future = loop.create_future()
        fetch(
            key,
            lambda value: loop.call_soon_threadsafe(future.set_result, value),
            lambda error: loop.call_soon_threadsafe(future.set_exception, error),
        )
        return await future

    async def main():
        return await aio.gather(fetch_async("key"), fetch_async("1"), return_exceptions=True)

    value, error = aio.run(main())
    assert value == "KEY"
    assert repr(error) == "KeyError('1')"


def test_a_pipeline(aio):
    async def numbers(count):
        for number in range(count):
            await aio.sleep(0)
            yield number

    async def even(source):
        async for number in source:
            if number % 2 == 0:
                yield number

    async def squared(source):
        async for number in source:
            yield number**2

    async def main():
        return [number async for number in squared(even(numbers(10)))]

    assert aio.run(main()) == [0, 4, 16, 36, 64]


def test_rate_limiting_by_semaphore(aio):
    async def main():
        limit, running, most = aio.Semaphore(4), 0, 0

        async def request(number):
            nonlocal running, most
            async with limit:
                running += 1
                most = max(most, running)
                await aio.sleep(0.0001)
                running -= 1
            return number

        return await aio.gather(*[request(number) for number in range(40)]), most

    assert aio.run(main()) == (list(range(40)), 4)
