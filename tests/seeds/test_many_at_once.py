"""Row "many at once": gather, wait, as_completed, shield, sleep."""

import sys

import pytest


async def work(aio, name, turns, error=None):
    for _ in range(turns):
        await aio.sleep(0)
    if error:
        raise error
    return name


def test_gather(aio):
    async def main():
        return await aio.gather(work(aio, "a", 3), work(aio, "b", 1), *(work(aio, n, n) for n in (2, 1)))

    assert aio.run(main()) == ["a", "b", 2, 1]


def test_gather_return_exceptions(aio):
    async def main():
        error = ValueError("no")
        results = await aio.gather(work(aio, "a", 1), work(aio, "b", 1, error), return_exceptions=True)
        return results == ["a", error]

    assert aio.run(main())


def test_gather_lets_the_others_run_when_one_fails(aio):
    async def main():
        slow = aio.create_task(work(aio, "slow", 5))
        with pytest.raises(ValueError):
            await aio.gather(slow, work(aio, "bad", 1, ValueError()))
        assert not slow.cancelled()
        return await slow

    assert aio.run(main()) == "slow"


def test_wait_in_all_three_modes(aio):
    async def main():
        counts = []
        for mode in (aio.FIRST_COMPLETED, aio.FIRST_EXCEPTION, aio.ALL_COMPLETED):
            tasks = [
                aio.create_task(work(aio, "slow", 9)),
                aio.create_task(work(aio, "quick", 1)),
                aio.create_task(work(aio, "bad", 4, ValueError())),
            ]
            done, pending = await aio.wait(tasks, return_when=mode)
            counts.append((len(done), len(pending)))
            await aio.gather(*tasks, return_exceptions=True)
        return counts

    assert aio.run(main()) == [(1, 2), (2, 1), (3, 0)]


def test_wait_with_a_timeout(aio):
    async def main():
        never = aio.create_task(aio.sleep(1000))
        done, pending = await aio.wait([never], timeout=0.001)
        never.cancel()
        return len(done), pending == {never}

    assert aio.run(main()) == (0, True)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_wait_for_a_generator_of_tasks(aio):
    async def main():
        done, _ = await aio.wait(aio.create_task(work(aio, number, number)) for number in range(4))
        return sorted(task.result() for task in done)

    assert aio.run(main()) == [0, 1, 2, 3]


def test_as_completed(aio):
    async def main():
        return [await next_one for next_one in aio.as_completed([work(aio, n, n) for n in (5, 1, 3)])]

    assert aio.run(main()) == [1, 3, 5]


def test_as_completed_with_a_timeout(aio):
    async def main():
        results = []
        with pytest.raises(TimeoutError):
            for next_one in aio.as_completed([work(aio, "quick", 1), aio.sleep(1000)], timeout=0.005):
                results.append(await next_one)
        return results

    assert aio.run(main()) == ["quick"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
def test_as_completed_as_an_async_iterator(aio):
    async def main():
        tasks = [aio.create_task(work(aio, number, number)) for number in (3, 1)]
        return [(task in tasks, task.result()) async for task in aio.as_completed(tasks)]

    assert aio.run(main()) == [(True, 1), (True, 3)]


def test_shield(aio):
    async def main():
        inner = aio.create_task(work(aio, "survives", 5))
        outer = aio.create_task(aio.wait_for(aio.shield(inner), 1000))
        await aio.sleep(0)
        await aio.sleep(0)
        outer.cancel()
        with pytest.raises(aio.CancelledError):
            await outer
        return await inner

    assert aio.run(main()) == "survives"


def test_sleep(aio):
    async def main():
        loop = aio.get_running_loop()
        start = loop.time()
        result = await aio.sleep(0.002, "result")
        return result, loop.time() - start >= 0.002, await aio.sleep(0, "zero"), await aio.sleep(-1, "past")

    assert aio.run(main()) == ("result", True, "zero", "past")


def test_ten_thousand_tasks(aio):
    async def main():
        return sum(await aio.gather(*[work(aio, number, number % 3) for number in range(10_000)]))

    assert aio.run(main()) == sum(range(10_000))
