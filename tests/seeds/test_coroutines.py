"""Row "coroutines": async def, awaitables, async with, async for, async generators and comprehensions."""

import gc


def test_async_def_and_await(aio):
    async def add(a, b):
        await aio.sleep(0)
        return a + b

    async def main():
        return await add(await add(1, 2), 3)

    assert aio.run(main()) == 6


def test_any_awaitable(aio):
    class Answer:
        def __await__(self):
            yield from aio.sleep(0).__await__()
            return 42

    async def main():
        return await Answer(), await aio.ensure_future(Answer())

    assert aio.run(main()) == (42, 42)


def test_async_with(aio):
    events = []

    class Connection:
        async def __aenter__(self):
            await aio.sleep(0)
            events.append("open")
            return self

        async def __aexit__(self, kind, error, traceback):
            await aio.sleep(0)
            events.append(f"close {kind.__name__ if kind else None}")
            return kind is KeyError

    async def main():
        async with Connection() as outer, Connection() as inner:
            events.append(outer is not inner)
        async with Connection():
            raise KeyError("swallowed")

    aio.run(main())
    assert events == ["open", "open", True, "close None", "close None", "open", "close KeyError"]


def test_async_for(aio):
    class Countdown:
        def __init__(self, start):
            self.left = start

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            await aio.sleep(0)
            return self.left

    async def main():
        seen = []
        async for number in Countdown(4):
            seen.append(number)
        seen.append("else")
        return seen

    assert aio.run(main()) == [3, 2, 1, 0, "else"]


def test_async_generators(aio):
    async def ticker(count):
        for number in range(count):
            received = yield number
            await aio.sleep(0)
            if received is not None:
                yield f"received {received}"

    async def main():
        plain = [item async for item in ticker(3)]
        generator = ticker(2)
        first = await anext(generator)
        answer = await generator.asend("hello")
        rest = [item async for item in generator]
        return plain, first, answer, rest

    assert aio.run(main()) == ([0, 1, 2], 0, "received hello", [1])


def test_async_generators_are_finalised(aio):
    closed = []

    async def resource(name):
        try:
            while True:
                yield name
        finally:
            await aio.sleep(0)
            closed.append(name)

    async def main():
        async for _ in resource("dropped"):
            break
        gc.collect()
        while not closed:
            await aio.sleep(0)
        kept.append(resource("left open"))
        await anext(kept[0])

    kept = []
    aio.run(main())
    assert closed == ["dropped", "left open"]


def test_async_comprehensions(aio):
    async def numbers():
        for number in range(5):
            await aio.sleep(0)
            yield number

    async def square(number):
        await aio.sleep(0)
        return number**2

    async def main():
        a_list = [number async for number in numbers() if number % 2]
        a_set = {await square(number) for number in (1, 2, 2)}
        a_dict = {number: await square(number) async for number in numbers()}
        lazily = (number async for number in numbers())
        return a_list, a_set, a_dict, [number async for number in lazily]

    assert aio.run(main()) == ([1, 3], {1, 4}, {n: n**2 for n in range(5)}, list(range(5)))


def test_a_coroutine_driven_by_hand(aio):
    async def inner():
        return "inner"

    async def outer():
        return await inner() + " and outer"

    coroutine = outer()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        assert stop.value == "inner and outer"
    else:
        raise AssertionError("nothing in it suspends")
