"""What waits, locks and queues make of strange numbers."""

import asyncio
import asyncio.staggered
import math
from decimal import Decimal
from fractions import Fraction


class Index:
    def __index__(self):
        return 1


class Float:
    def __float__(self):
        return 0.0


NUMBERS = {
    "-1": -1,
    "0": 0,
    "1": 1,
    "False": False,
    "True": True,
    "0.0": 0.0,
    "-0.0": -0.0,
    "1.5": 1.5,
    "-1.5": -1.5,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "1e300": 1e300,
    "2**31": 2**31,
    "2**62": 2**62,
    "2**64": 2**64,
    "-2**70": -(2**70),
    "10**400": 10**400,
    "None": None,
    "'1'": "1",
    "b'1'": b"1",
    "[]": [],
    "Decimal(1)": Decimal(1),
    "Decimal(-1)": Decimal(-1),
    "Fraction(1, 2)": Fraction(1, 2),
    "Fraction(-1, 2)": Fraction(-1, 2),
    "Index()": Index(),
    "Float()": Float(),
}


def show(name, value):
    print(f"{name}: {value!r}".replace("__main__.", ""))


async def outcome(function, *args):
    """What a call gives, awaited if it can be."""
    try:
        result = function(*args)
        return await result if hasattr(result, "__await__") else result
    except (Exception, asyncio.CancelledError) as error:
        context = type(error.__cause__).__name__
        return f"{type(error).__name__}: {error} ({context})"


async def each(name, function, leave_out=()):
    for label, number in NUMBERS.items():
        if label not in leave_out:
            show(f"{name}({label})", await outcome(function, number))


LONG = {
    "inf",
    "1e300",
    "2**31",
    "2**62",
    "2**64",
    "10**400",
    "1",
    "True",
    "1.5",
    "Decimal(1)",
    "Fraction(1, 2)",
}
"""Nobody waits for that."""


async def soon(awaitable):
    """Let it go on for some turns, then see how far it has come."""
    task = asyncio.ensure_future(awaitable)
    for _ in range(6):
        await asyncio.sleep(0)
    if task.done():
        if task.cancelled():
            return "cancelled"
        return repr(task.exception() or task.result())
    task.cancel()
    await asyncio.wait([task])
    return "waits"


async def counters():
    def state(kind):
        def make(number):
            made = kind(number)
            return repr(made).partition("[")[2], made.locked(), getattr(made, "_value", None)

        return make

    await each("Semaphore", state(asyncio.Semaphore))
    await each("BoundedSemaphore", state(asyncio.BoundedSemaphore))

    async def acquire(number):
        semaphore = asyncio.Semaphore(number)
        got = await soon(semaphore.acquire())
        semaphore.release()
        return got, semaphore._value, await soon(semaphore.acquire()), semaphore._value

    await each("acquire of Semaphore", acquire)

    async def bounded(number):
        semaphore = asyncio.BoundedSemaphore(number)
        got = await soon(semaphore.acquire())
        semaphore.release()
        return got, await outcome(semaphore.release)

    await each("release of BoundedSemaphore", bounded)

    def barrier(number):
        made = asyncio.Barrier(number)
        return repr(made).partition("[")[2], made.parties, made.n_waiting

    await each("Barrier", barrier)

    async def wait(number):
        barrier = asyncio.Barrier(number)
        return await soon(barrier.wait()), barrier.n_waiting, barrier.broken

    await each("wait of Barrier", wait)


async def queues():
    def queue(kind):
        async def make(number):
            made = kind(number)
            facts = made.maxsize, made.full(), made.empty()
            put = await soon(made.put(1)), await outcome(made.put_nowait, 2)
            return facts, put, made.qsize(), made.full(), str(made).partition(" at ")[2].partition(" ")[2]

        return make

    for kind in asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue:
        await each(kind.__name__, queue(kind))

    async def notify(number):
        condition = asyncio.Condition()
        async with condition:
            waiters = [asyncio.ensure_future(condition.wait_for(lambda: True)) for _ in range(2)]
            await asyncio.sleep(0)
            said = await outcome(condition.notify, number)
        await asyncio.gather(*waiters)
        return said

    await each("notify", notify)

    async def notified(number):
        condition, woken = asyncio.Condition(), []

        async def waiter(name):
            async with condition:
                await condition.wait()
                woken.append(name)

        waiters = [asyncio.ensure_future(waiter(name)) for name in range(3)]
        await asyncio.sleep(0)
        async with condition:
            said = await outcome(condition.notify, number)
        for _ in range(6):
            await asyncio.sleep(0)
        for each_waiter in waiters:
            each_waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        return said, woken

    await each("notify of waiters", notified, leave_out=["2**62", "2**64", "2**31"])


async def waits():
    async def sleep(number):
        return await soon(asyncio.sleep(number, "slept"))

    # nan is refused on every Python by yibu, on some by asyncio.
    await each("sleep", sleep, leave_out=["nan"])

    async def wait_for(number):
        return await soon(asyncio.wait_for(asyncio.Event().wait(), number))

    await each("wait_for", wait_for, leave_out=["nan"])

    async def wait_for_ready(number):
        return await soon(asyncio.wait_for(asyncio.sleep(0, "ready"), number))

    await each("wait_for of what is nearly ready", wait_for_ready, leave_out=["nan", *LONG])

    async def wait(number):
        task = asyncio.ensure_future(asyncio.Event().wait())
        try:
            return (await soon(asyncio.wait([task], timeout=number))).count("pending")
        finally:
            task.cancel()
            await asyncio.wait([task])

    await each("wait", wait, leave_out=["nan"])

    async def timeout(number):
        async with asyncio.timeout(number) as limit:
            facts = limit.expired(), limit.when() is None
            await asyncio.sleep(0)
        return facts

    await each("timeout", timeout, leave_out=["nan", *LONG])

    async def timeout_at(number):
        async with asyncio.timeout_at(number) as limit:
            await asyncio.sleep(0)
        return limit.expired()

    await each("timeout_at", timeout_at, leave_out=["nan"])

    async def as_completed(number):
        task = asyncio.ensure_future(asyncio.Event().wait())
        try:
            for first in asyncio.as_completed([task], timeout=number):
                return await soon(first)
        finally:
            task.cancel()
            await asyncio.wait([task])

    # asyncio leaves a callback behind that fails, where the time limit is no number.
    numbers = {"-1", "0", "1", "True", "0.0", "inf", "-inf", "1e300", "2**64", "None", "Fraction(-1, 2)"}
    await each("as_completed", as_completed, leave_out=set(NUMBERS) - numbers)


async def timers():
    loop = asyncio.get_running_loop()

    async def later(number):
        ran = []
        handle = loop.call_later(number, ran.append, 1)
        when = type(handle.when()).__name__
        for _ in range(4):
            await asyncio.sleep(0)
        handle.cancel()
        return when, ran

    await each("call_later", later, leave_out=["nan"])

    async def at(number):
        ran = []
        handle = loop.call_at(number, ran.append, 1)
        when = handle.when()
        for _ in range(4):
            await asyncio.sleep(0)
        handle.cancel()
        return when, ran

    await each("call_at", at, leave_out=["nan", "'1'", "b'1'", "[]", "Index()", "Float()"])

    def duration(number):
        loop.slow_callback_duration = number
        return loop.slow_callback_duration is number or loop.slow_callback_duration == number

    await each("slow_callback_duration", duration)
    loop.slow_callback_duration = 0.1
    await each("shutdown_default_executor", loop.shutdown_default_executor, leave_out=["nan"])


def staggered():
    async def ok():
        return "ok"

    async def run(number):
        return (await asyncio.staggered.staggered_race([ok], number))[0]

    return each("staggered_race", run)


async def main():
    await counters()
    await queues()
    await waits()
    await timers()
    await staggered()


asyncio.run(main())
