"""Timers are never early, whatever else the loop does, and cancelled ones leave nothing behind."""

import asyncio
import random
import time

import pytest

RESOLUTION = time.get_clock_info("monotonic").resolution


def test_never_early(loop, run):
    """Every timer of a mixed crowd fires at or after its deadline by the loop's own clock."""
    source = random.Random(3)
    lateness = []

    async def main():
        for _ in range(300):
            deadline = loop.time() + source.uniform(0, 0.004)
            loop.call_at(deadline, lambda deadline=deadline: lateness.append(loop.time() - deadline))
            if source.random() < 0.5:
                await asyncio.sleep(source.choice((0, 0, 0.0001, 0.0007)))
        while len(lateness) < 300:
            await asyncio.sleep(0.0005)

    run(main())
    assert min(lateness) >= -RESOLUTION


def test_sleep_is_never_short(loop, run):
    async def nap(delay):
        start = loop.time()
        await asyncio.sleep(delay)
        return loop.time() - start - delay

    async def main():
        return min(await asyncio.gather(*[nap(number / 1e5) for number in range(1, 400)]))

    assert run(main()) >= -1e-9


def test_far_and_near_timers_together(loop, run):
    order = []

    async def main():
        far = [loop.call_later(delay, order.append, "far") for delay in (86_400, 1e9, 1e15, float("inf"))]
        for delay in (0.003, 0.001, 0.002):
            loop.call_later(delay, order.append, delay)
        while len(order) < 3:
            await asyncio.sleep(0.001)
        for timer in far:
            timer.cancel()

    run(main())
    assert order == [0.001, 0.002, 0.003]


def test_wakes_for_a_timer_made_by_another_thread(loop, run):
    import threading

    async def main():
        done = loop.create_future()
        make = threading.Thread(
            target=loop.call_soon_threadsafe, args=(loop.call_later, 0.001, done.set_result, "done")
        )
        loop.call_later(1000, done.cancel)
        loop.call_soon(make.start)
        result = await done
        make.join()
        return result

    assert run(main()) == "done"


@pytest.mark.parametrize("way", ["cancelled at once", "cancelled later", "timeouts"])
def test_a_million_cancelled_timers_give_their_memory_back(impl, way):
    """Resident memory after a million cancelled timers is near what it was; it never held a million."""
    program = f"""
        import asyncio, gc, os
        way = {way!r}

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        async def batch(loop, count):
            if way == "cancelled at once":
                for _ in range(count):
                    loop.call_later(1000, int).cancel()
            elif way == "cancelled later":
                timers = [loop.call_later(1000, int) for _ in range(count)]
                await aio.sleep(0)
                for timer in timers:
                    timer.cancel()
            else:
                for _ in range(count // 10):
                    async with asyncio.timeout(1000):
                        pass
            await aio.sleep(0)

        async def main():
            loop = aio.get_running_loop()
            await batch(loop, 50_000)
            gc.collect()
            before = most = resident()
            for _ in range(20):
                await batch(loop, 50_000)
                most = max(most, resident())
            gc.collect()
            print(resident() - before, most - before)

        aio.run(main())
    """
    finished = impl.run_source(program)
    assert finished.stderr == ""
    left, most = map(int, finished.stdout.split())
    assert left < 12 << 20
    assert most < 48 << 20


def test_cancelled_timers_do_not_hold_their_callbacks(loop, run):
    import gc
    import weakref

    class Callback:
        def __call__(self):
            """Never called."""

    async def main():
        references = []
        for _ in range(1000):
            callback = Callback()
            references.append(weakref.ref(callback))
            loop.call_later(1000, callback).cancel()
            del callback
        await asyncio.sleep(0)
        gc.collect()
        return sum(reference() is not None for reference in references)

    assert run(main()) == 0
