"""Libraries that take a loop apart, or make one of their own of it."""

import sys

import pytest


def test_nest_asyncio(run):
    run(
        "nest_asyncio",
        """
        import asyncio
        import nest_asyncio

        async def inner(value):
            await asyncio.sleep(0.001)
            return value

        async def main():
            nest_asyncio.apply()
            loop = asyncio.get_running_loop()
            background = asyncio.create_task(inner("background"))
            assert loop.run_until_complete(inner(1)) == 1
            assert loop.run_until_complete(asyncio.create_task(inner(2))) == 2
            assert asyncio.run(inner(3)) == 3
            assert await inner(4) == 4
            assert await asyncio.gather(inner(5), inner(6)) == [5, 6]
            assert await asyncio.to_thread(lambda: 7) == 7

            async def deep(depth):
                return depth if depth == 0 else loop.run_until_complete(deep(depth - 1)) + 1

            assert await deep(5) == 5
            assert await background == "background"

        asyncio.run(main())
        """,
    )


def test_looptime(run):
    run(
        "looptime",
        """
        import asyncio, time
        import looptime

        async def main():
            loop = asyncio.get_running_loop()
            before = loop.time()
            await asyncio.sleep(3600)
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 600)
            except TimeoutError:
                pass
            return loop.time() - before

        for loop in looptime.new_event_loop(), looptime.patch_event_loop(asyncio.new_event_loop()):
            started = time.monotonic()
            assert 4199 < loop.run_until_complete(main()) < 4201
            assert time.monotonic() - started < 30
            loop.close()
        """,
    )


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="trio-asyncio needs event loop policies of before 3.14"
)
def test_trio_asyncio(run):
    run(
        "trio trio_asyncio",
        """
        import asyncio
        import trio, trio_asyncio

        async def on_asyncio():
            await asyncio.sleep(0.001)
            queue = asyncio.Queue()
            getter = asyncio.create_task(queue.get())
            await queue.put(3)
            async with asyncio.timeout(20), asyncio.Lock():
                others = asyncio.sleep(0.001, 1), asyncio.to_thread(lambda: 2)
                return await getter, await asyncio.gather(*others)

        async def main():
            async with trio_asyncio.open_loop():
                assert await trio_asyncio.aio_as_trio(on_asyncio)() == (3, [1, 2])

        trio.run(main)
        """,
    )
