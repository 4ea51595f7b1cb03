"""`call_later`, `call_at` and `sleep`."""

from benchmarks.contenders import Namespace
from benchmarks.micro.callbacks import nothing
from benchmarks.micro.catalogue import benchmark


@benchmark("call_later + cancel", count=20_000)
async def call_later_cancel(asyncio: Namespace, count: int) -> None:
    """Time-outs that never happen, as in every request handler."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        loop.call_later(60, nothing).cancel()


@benchmark("call_later + cancel among 1,000", count=20_000)
async def call_later_cancel_among_many(asyncio: Namespace, count: int) -> None:
    """The same while 1,000 other timers are pending."""
    loop = asyncio.get_running_loop()
    pending = [loop.call_later(60 + number / 100, nothing) for number in range(1_000)]
    for _ in range(count):
        loop.call_later(65, nothing).cancel()
    for handle in pending:
        handle.cancel()


@benchmark("call_later, fire", count=20_000)
async def call_later_fire(asyncio: Namespace, count: int) -> None:
    """Timers with different deadlines that all fire."""
    loop = asyncio.get_running_loop()
    fired = loop.create_future()
    for number in range(count - 1):
        loop.call_later(number * 1e-8, nothing)
    loop.call_later(count * 1e-8, fired.set_result, None)
    await fired


@benchmark("call_at, fire", count=20_000)
async def call_at_fire(asyncio: Namespace, count: int) -> None:
    """Timers that are due at once."""
    loop = asyncio.get_running_loop()
    fired = loop.create_future()
    now = loop.time()
    for _ in range(count - 1):
        loop.call_at(now, nothing)
    loop.call_at(now, fired.set_result, None)
    await fired


@benchmark("1,000,000 timers", count=1_000_000)
async def million(asyncio: Namespace, count: int) -> None:
    """Deadlines in no order within a second; every second timer is cancelled, the others fire."""
    loop = asyncio.get_running_loop()
    begin, last = loop.time(), 0.0
    handles = []
    for number in range(count):
        delay = number * 7919 % 1_000_003 * 1e-6
        handles.append(loop.call_at(begin + delay, nothing))
        last = max(last, delay)
    for handle in handles[::2]:
        handle.cancel()
    done = loop.create_future()
    loop.call_at(begin + last + 1e-3, done.set_result, None)
    await done


@benchmark("sleep(1 us)", count=3_000)
async def sleep_shortly(asyncio: Namespace, count: int) -> None:
    """A timer, a future and a park of the loop each time; a loop that wakes too early pays for no park."""
    for _ in range(count):
        await asyncio.sleep(1e-6)


@benchmark("loop.time()", count=50_000)
async def loop_time(asyncio: Namespace, count: int) -> None:
    """Reading the clock."""
    time = asyncio.get_running_loop().time
    for _ in range(count):
        time()
