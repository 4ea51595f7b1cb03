"""Other threads: `call_soon_threadsafe`, executors, coroutines submitted from outside."""

import socket
import threading

from benchmarks.contenders import Namespace
from benchmarks.micro.callbacks import nothing
from benchmarks.micro.catalogue import benchmark


@benchmark("call_soon_threadsafe, same thread", count=10_000)
async def same_thread(asyncio: Namespace, count: int) -> None:
    """Called where it need not have been."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    for _ in range(count - 1):
        loop.call_soon_threadsafe(nothing)
    loop.call_soon_threadsafe(done.set_result, None)
    await done


@benchmark("call_soon_threadsafe, burst", count=10_000)
async def burst(asyncio: Namespace, count: int) -> None:
    """Another thread schedules callbacks as fast as it can."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def schedules() -> None:
        for _ in range(count - 1):
            loop.call_soon_threadsafe(nothing)
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=schedules)
    thread.start()
    await done
    thread.join()


@benchmark("call_soon_threadsafe, round trip", count=1_000)
async def round_trip(asyncio: Namespace, count: int) -> None:
    """Another thread waits for each of its callbacks."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def schedules() -> None:
        ran = threading.Lock()
        ran.acquire()
        for _ in range(count):
            loop.call_soon_threadsafe(ran.release)
            ran.acquire()
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=schedules)
    thread.start()
    await done
    thread.join()


@benchmark("run_in_executor, round trip", count=500)
async def executor_round_trip(asyncio: Namespace, count: int) -> None:
    """One job at a time in the default executor."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.run_in_executor(None, nothing)


@benchmark("run_in_executor, batch", count=1_000)
async def executor_batch(asyncio: Namespace, count: int) -> None:
    """All jobs at once in the default executor."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, nothing) for _ in range(count)))


@benchmark("to_thread, round trip", count=500)
async def to_thread(asyncio: Namespace, count: int) -> None:
    """The same with the context copied along."""
    for _ in range(count):
        await asyncio.to_thread(nothing)


@benchmark("getaddrinfo, numeric", count=500)
async def getaddrinfo(asyncio: Namespace, count: int) -> None:
    """What every loop sends to its executor, or answers itself."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)


@benchmark("getaddrinfo, localhost", count=300)
async def getaddrinfo_of_a_name(asyncio: Namespace, count: int) -> None:
    """A name that the resolver finds in a file."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)


@benchmark("run_coroutine_threadsafe, round trip", count=500)
async def submit_coroutine(asyncio: Namespace, count: int) -> None:
    """Another thread waits for coroutines that it submits."""
    loop = asyncio.get_running_loop()

    done = loop.create_future()

    async def answer() -> None:
        pass

    def submits() -> None:
        for _ in range(count):
            asyncio.run_coroutine_threadsafe(answer(), loop).result()
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=submits)
    thread.start()
    await done
    thread.join()
