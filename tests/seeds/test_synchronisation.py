"""Row "synchronisation": Lock, Event, Condition, semaphores, Barrier."""

import pytest


def test_lock_is_fair(aio):
    async def main():
        lock, order = aio.Lock(), []

        async def work(number):
            async with lock:
                order.append(number)
                await aio.sleep(0)

        await aio.gather(*[work(number) for number in range(10)])
        return order, lock.locked()

    assert aio.run(main()) == (list(range(10)), False)


def test_event(aio):
    async def main():
        event = aio.Event()
        waiting = [aio.create_task(event.wait()) for _ in range(3)]
        await aio.sleep(0)
        assert not event.is_set()
        event.set()
        results = await aio.gather(*waiting)
        event.clear()
        return results, event.is_set()

    assert aio.run(main()) == ([True] * 3, False)


def test_condition(aio):
    async def main():
        condition, ready, woken = aio.Condition(), [], []

        async def work(name):
            async with condition:
                await condition.wait()
                woken.append(name)

        async def conditional():
            async with condition:
                await condition.wait_for(lambda: ready)
                woken.append("conditional")

        tasks = [aio.create_task(work(name)) for name in "abcd"]
        await aio.sleep(0)
        counts = []
        for notify in (condition.notify, lambda: condition.notify(2), condition.notify_all):
            async with condition:
                notify()
            for _ in range(8):
                await aio.sleep(0)
            counts.append(len(woken))
        await aio.gather(*tasks)
        last = aio.create_task(conditional())
        await aio.sleep(0)
        ready.append(True)
        async with condition:
            condition.notify_all()
        await last
        return counts, woken

    assert aio.run(main()) == ([1, 3, 4], ["a", "b", "c", "d", "conditional"])


def test_semaphore(aio):
    async def main():
        semaphore, inside, most = aio.Semaphore(3), 0, 0

        async def work():
            nonlocal inside, most
            async with semaphore:
                inside += 1
                most = max(most, inside)
                await aio.sleep(0)
                inside -= 1

        await aio.gather(*[work() for _ in range(20)])
        return most, semaphore.locked()

    assert aio.run(main()) == (3, False)


def test_bounded_semaphore(aio):
    async def main():
        semaphore = aio.BoundedSemaphore(1)
        async with semaphore:
            assert semaphore.locked()
        with pytest.raises(ValueError, match=r"^BoundedSemaphore released too many times$"):
            semaphore.release()

    aio.run(main())


def test_barrier(aio):
    async def main():
        barrier, order = aio.Barrier(3), []

        async def work(number):
            order.append(f"{number} waits")
            place = await barrier.wait()
            order.append("past")
            return place

        places = await aio.gather(*[work(number) for number in range(3)])
        return sorted(places), order[:3], barrier.n_waiting

    assert aio.run(main()) == ([0, 1, 2], ["0 waits", "1 waits", "2 waits"], 0)


def test_broken_barrier(aio):
    async def main():
        barrier = aio.Barrier(2)
        waiting = aio.create_task(barrier.wait())
        await aio.sleep(0)
        await barrier.abort()
        with pytest.raises(aio.BrokenBarrierError):
            await waiting
        broken = barrier.broken
        await barrier.reset()
        return broken, barrier.broken, await aio.gather(barrier.wait(), barrier.wait())

    broken, again, places = aio.run(main())
    assert (broken, again, sorted(places)) == (True, False, [0, 1])


def test_a_cancelled_waiter_gives_its_turn_away(aio):
    async def main():
        lock = aio.Lock()
        await lock.acquire()
        first, second = (aio.create_task(lock.acquire()) for _ in range(2))
        await aio.sleep(0)
        lock.release()
        first.cancel()
        assert await second is True
        return first.cancelled()

    assert aio.run(main())
