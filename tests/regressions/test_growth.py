"""A hundred thousand operations of each primitive leave nothing; who waits takes no more than on asyncio.

Each is measured in an interpreter of its own, after a warm-up: blocks allocated, objects of each type,
references to the objects handed in, resident memory.
"""

import json
import textwrap

import pytest

from tests.conftest import Implementation

FEW = 50
"""What may come and go by itself, such as a worker thread and what it holds."""

MANY = 1000
"""References that may: everybody has some to None."""

MEASURE = """
    import asyncio, collections, concurrent.futures, gc, json, os, sys, threading

    class Item:
        pass

    item, error, text = Item(), ValueError("an error"), "a text"
    handed_in = item, error, text, *(() if sys.version_info >= (3, 12) else (None, True, False))

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def state():
        gc.collect()
        error.__traceback__ = error.__context__ = None
        counts = [sys.getrefcount(each) for each in handed_in]
        types = collections.Counter(type(each).__qualname__ for each in gc.get_objects())
        return {"counts": counts, "blocks": sys.getallocatedblocks(), "resident": resident(), "types": types}

    async def cancel(make, count):
        for _ in range(count // 100):
            tasks = [asyncio.create_task(make()) for _ in range(100)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel(text)
            await asyncio.wait(tasks)
            for task in tasks:
                assert task.cancelled()
"""

MAIN = """
    async def main():
        await things()
        for _ in range(5):
            await batch(1000)
        before = state()
        for _ in range(10):
            await batch(10_000)
        print(json.dumps([before, state()]))

    aio.run(main())
"""

ROUNDS = {
    "tasks": "for _ in range(count): await asyncio.create_task(give())",
    "tasks that fail": """
        for _ in range(count):
            try:
                await asyncio.create_task(fail())
            except ValueError:
                pass
    """,
    "futures": """
        for _ in range(count):
            future = loop.create_future()
            future.add_done_callback(int)
            future.remove_done_callback(int)
            loop.call_soon(future.set_result, item)
            await future
    """,
    "sleep": "for _ in range(count): await asyncio.sleep(0, item)",
    "gather": "for _ in range(count // 2): await asyncio.gather(give(), give())",
    "gather failures": """
        for _ in range(count // 2): await asyncio.gather(give(), fail(), return_exceptions=True)
    """,
    "wait": "for _ in range(count): await asyncio.wait([asyncio.ensure_future(give())], timeout=1000)",
    "wait_for": "for _ in range(count): await asyncio.wait_for(give(), 1000)",
    "wait_for too late": """
        for _ in range(count):
            try:
                await asyncio.wait_for(loop.create_future(), 0)
            except TimeoutError:
                pass
    """,
    "as_completed": """
        for _ in range(count // 2):
            for each in asyncio.as_completed([give(), give()], timeout=1000):
                await each
    """,
    "shield": "for _ in range(count): await asyncio.shield(give())",
    "timeout": """
        for _ in range(count):
            async with asyncio.timeout(1000):
                await asyncio.sleep(0)
    """,
    "timeout that ends": """
        for _ in range(count):
            try:
                async with asyncio.timeout(0):
                    await loop.create_future()
            except TimeoutError:
                pass
    """,
    "TaskGroup": """
        for _ in range(count):
            async with asyncio.TaskGroup() as group:
                group.create_task(give(), name=text)
    """,
    "TaskGroup that fails": """
        for _ in range(count):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    group.create_task(forever())
            except ExceptionGroup:
                pass
    """,
    "Lock": """
        for _ in range(count):
            async with lock:
                pass
    """,
    "contended Lock": """
        async def often():
            for _ in range(count // 10):
                async with lock:
                    await asyncio.sleep(0)
        await asyncio.gather(*[often() for _ in range(10)])
    """,
    "Event": """
        for _ in range(count):
            waiting = asyncio.create_task(event.wait())
            await asyncio.sleep(0)
            event.set()
            await waiting
            await event.wait()
            event.clear()
    """,
    "Condition": """
        async def wait():
            async with condition:
                await condition.wait()
        for _ in range(count // 10):
            waiting = [asyncio.create_task(wait()) for _ in range(10)]
            await asyncio.sleep(0)
            async with condition:
                condition.notify_all()
            await asyncio.wait(waiting)
    """,
    "Semaphore": """
        async def often():
            for _ in range(count // 10):
                async with semaphore:
                    await asyncio.sleep(0)
        await asyncio.gather(*[often() for _ in range(10)])
    """,
    "Barrier": "for _ in range(count // 2): await asyncio.gather(barrier.wait(), barrier.wait())",
    "Queue": """
        for _ in range(count):
            queue.put_nowait(item)
            await queue.put(item)
            queue.get_nowait()
            await queue.get()
            queue.task_done()
            queue.task_done()
            await queue.join()
    """,
    "PriorityQueue": """
        for number in range(count):
            priorities.put_nowait((number % 7, number))
            await priorities.put((number % 5, number))
            priorities.get_nowait()
            await priorities.get()
    """,
    "producer and consumer": """
        async def produce():
            for _ in range(count):
                await small.put(item)
        async def consume():
            for _ in range(count):
                await small.get()
        await asyncio.gather(produce(), consume())
    """,
    "call_soon_threadsafe": """
        for _ in range(count):
            future = loop.create_future()
            loop.call_soon_threadsafe(future.set_result, item)
            await future
    """,
    "to_thread": "for _ in range(count // 10): await asyncio.to_thread(id, item)",
    "cancelled to_thread": """
        gate = threading.Lock()

        def pass_gate(item):
            with gate:
                return item

        for _ in range(count // 500):
            with gate:  # nothing is done before it is cancelled
                await cancel(lambda: asyncio.to_thread(pass_gate, item), 500)
            await asyncio.gather(*[asyncio.to_thread(int) for _ in range(20)])
    """,
    "wrap_future": """
        for _ in range(count):
            outer = concurrent.futures.Future()
            inner = asyncio.wrap_future(outer)
            outer.set_result(item)
            await inner
            await asyncio.sleep(0)  # since 3.14 `inner` was done at once
    """,
    "run_coroutine_threadsafe": """
        for _ in range(count):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(give(), loop))
    """,
}

WAITS = {
    "future": "loop.create_future()",
    "sleep": "asyncio.sleep(1000)",
    "gather": "asyncio.gather(loop.create_future(), loop.create_future())",
    "wait": "asyncio.wait([loop.create_future()], timeout=1000)",
    "wait_for": "asyncio.wait_for(forever(), 1000)",
    "as_completed": "next(iter(asyncio.as_completed([loop.create_future()])))",
    "shield": "asyncio.shield(loop.create_future())",
    "timeout": "limited()",
    "TaskGroup": "grouped()",
    "Lock": "held.acquire()",
    "Event": "event.wait()",
    "Condition": "notified()",
    "Semaphore": "used_up.acquire()",
    "Barrier": "barrier_of_many.wait()",
    "Queue.get": "queue.get()",
    "Queue.put": "full.put(item)",
    "Queue.join": "full.join()",
}

SETTING = """
    async def give():
        await asyncio.sleep(0)
        return item

    async def fail():
        await asyncio.sleep(0)
        raise ValueError(item)

    async def forever():
        await asyncio.get_running_loop().create_future()

    async def limited():
        async with asyncio.timeout(1000):
            await forever()

    async def grouped():
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())

    async def notified():
        async with condition:
            await condition.wait()

    async def things():
        global loop, lock, held, event, condition, semaphore, used_up, barrier, barrier_of_many
        global queue, small, full, priorities
        loop = asyncio.get_running_loop()
        lock, held, event, condition = asyncio.Lock(), asyncio.Lock(), asyncio.Event(), asyncio.Condition()
        semaphore, used_up = asyncio.Semaphore(2), asyncio.Semaphore(0)
        barrier, barrier_of_many = asyncio.Barrier(2), asyncio.Barrier(1_000_000)
        queue, small, full = asyncio.Queue(), asyncio.Queue(1), asyncio.Queue(1)
        priorities = asyncio.PriorityQueue()
        full.put_nowait(item)
        await held.acquire()
"""


def source(*parts):
    """Put parts of a program together; `asyncio` is the implementation."""
    text = "\n".join(textwrap.dedent(part) for part in parts)
    return text.replace("import asyncio, ", "asyncio = aio\nimport ", 1)


def check(impl, batch):
    """Run a batch many times and compare what there is before and after."""
    finished = impl.run_source(source(MEASURE, SETTING, batch, MAIN))
    assert finished.stderr == ""
    before, after = json.loads(finished.stdout)
    grown = {name: count - before["types"].get(name, 0) for name, count in after["types"].items()}
    assert {name: growth for name, growth in grown.items() if growth > FEW} == {}
    counts = [now - then for now, then in zip(after["counts"], before["counts"], strict=True)]
    assert all(abs(growth) < MANY for growth in counts), counts
    assert after["blocks"] - before["blocks"] < 10 * FEW
    # Stock leaves garbage in cycles, which the collector of 3.14 lets pile up.
    assert after["resident"] - before["resident"] < (8 << 20 if impl.is_stock else 3 << 20)


@pytest.mark.parametrize("what", ROUNDS)
def test_operations_leave_nothing(impl, what):
    body = textwrap.indent(textwrap.dedent(ROUNDS[what]), "    ")
    check(impl, f"async def batch(count):\n{body}")


@pytest.mark.parametrize("what", WAITS)
def test_cancelled_waits_leave_nothing(impl, what):
    check(
        impl,
        f"""
    async def wait():
        await {WAITS[what]}

    async def batch(count):
        await cancel(wait, count)
    """,
    )


def bytes_per_task(impl, what):
    """Return how much memory one of many tasks that wait takes."""
    waiting = """
    async def wait():
        await WHAT

    async def main():
        await things()
        tasks = [asyncio.create_task(wait()) for _ in range(1000)]
        await asyncio.sleep(0)
        gc.collect()
        before = resident()
        tasks += [asyncio.create_task(wait()) for _ in range(20_000)]
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        print((resident() - before) // 20_000)
        os._exit(0)

    sys.stdout.reconfigure(line_buffering=True)
    aio.run(main())
    """
    finished = impl.run_source(source(MEASURE, SETTING, waiting.replace("WHAT", WAITS[what])))
    assert finished.stderr == ""
    return int(finished.stdout)


@pytest.mark.yibu_only
@pytest.mark.parametrize("what", WAITS)
def test_waiting_tasks_are_not_larger_than_those_of_asyncio(impl, what):
    stock, native = bytes_per_task(Implementation("asyncio"), what), bytes_per_task(impl, what)
    print(what, stock, native)
    assert native <= stock * 1.02
