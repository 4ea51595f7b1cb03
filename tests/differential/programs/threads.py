"""Threads: the executor, to_thread, calls into the loop from outside, and futures of both kinds."""

import asyncio
import concurrent.futures
import threading

log = []


async def double(number):
    await asyncio.sleep(0)
    return number * 2


async def fail():
    raise ValueError("in the loop")


def outside(loop):
    future = asyncio.run_coroutine_threadsafe(double(21), loop)
    log.append(future.result(10))
    try:
        asyncio.run_coroutine_threadsafe(fail(), loop).result(10)
    except ValueError as error:
        log.append(f"outside saw {error}")
    for number in range(3):
        loop.call_soon_threadsafe(log.append, f"from outside {number}")
    return threading.current_thread() is threading.main_thread()


async def main():
    loop = asyncio.get_running_loop()
    log.append(await asyncio.to_thread(outside, loop))
    log.append(await loop.run_in_executor(None, pow, 2, 10))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        log.append(await asyncio.gather(*[loop.run_in_executor(pool, pow, number, 2) for number in range(5)]))
        inner = pool.submit(int, "17")
        log.append(await asyncio.wrap_future(inner))
    try:
        await loop.run_in_executor(None, int, "not a number")
    except ValueError as error:
        log.append(str(error))


asyncio.run(main())
print(*log, sep="\n")
