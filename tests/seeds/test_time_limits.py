"""Row "time limits": wait_for, timeout, timeout_at, Timeout."""

import pytest


def test_wait_for(aio):
    async def main():
        assert await aio.wait_for(aio.sleep(0, "in time"), 1000) == "in time"
        assert await aio.wait_for(aio.sleep(0, "no limit"), None) == "no limit"
        with pytest.raises(TimeoutError):
            await aio.wait_for(aio.sleep(1000), 0.001)
        cancelled = []

        async def cleaning():
            try:
                await aio.sleep(1000)
            finally:
                cancelled.append(True)

        with pytest.raises(aio.TimeoutError):
            await aio.wait_for(cleaning(), 0.001)
        return cancelled

    assert aio.run(main()) == [True]


def test_timeout(aio):
    async def main():
        async with aio.timeout(1000) as unused:
            await aio.sleep(0)
        with pytest.raises(TimeoutError):
            async with aio.timeout(0.001) as used:
                await aio.sleep(1000)
        return unused.expired(), used.expired(), aio.current_task().cancelling()

    assert aio.run(main()) == (False, True, 0)


def test_timeout_at(aio):
    async def main():
        deadline = aio.get_running_loop().time() + 0.001
        with pytest.raises(TimeoutError):
            async with aio.timeout_at(deadline) as limit:
                assert limit.when() == deadline
                await aio.sleep(1000)
        return aio.get_running_loop().time() >= deadline

    assert aio.run(main())


def test_reschedule(aio):
    async def main():
        loop = aio.get_running_loop()
        async with aio.timeout(0.001) as limit:
            limit.reschedule(loop.time() + 1000)
            await aio.sleep(0.003)
        with pytest.raises(TimeoutError):
            async with aio.timeout(None) as late:
                assert late.when() is None
                late.reschedule(loop.time())
                await aio.sleep(1000)
        return limit.expired(), late.expired()

    assert aio.run(main()) == (False, True)


def test_nested_timeouts(aio):
    async def main():
        expired = []
        try:
            async with aio.timeout(0.001) as outer:
                try:
                    async with aio.timeout(1000) as inner:
                        await aio.sleep(1000)
                finally:
                    expired.append(inner.expired())
        except TimeoutError:
            expired.append(outer.expired())
        return expired

    assert aio.run(main()) == [False, True]


def test_no_limit_fires_early(aio):
    async def main():
        loop = aio.get_running_loop()

        async def limited(delay):
            start = loop.time()
            try:
                async with aio.timeout(delay):
                    await aio.sleep(1000)
            except TimeoutError:
                return loop.time() - start - delay

        return min(await aio.gather(*[limited(number / 10_000) for number in range(1, 100)]))

    assert aio.run(main()) > -1e-6
