"""What debug mode adds: where things were made, slow callbacks, coroutines never awaited, refused threads."""

import asyncio
import gc
import logging
import sys
import threading
import warnings

logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
warnings.simplefilter("always")


async def never_awaited():
    """Made and forgotten."""


async def fail(depth):
    if depth:
        await fail(depth - 1)
    raise ValueError("deep")


def slow_callback():
    """Slow, because everything is above a limit below zero."""


def refused():
    try:
        loop.call_soon(print)
    except RuntimeError as error:
        print("refused:", error)


async def main():
    never_awaited()
    gc.collect()
    asyncio.create_task(fail(2), name="lost")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    loop.call_soon(lambda: 1 / 0)
    loop.slow_callback_duration = -1
    loop.call_soon(slow_callback)
    await asyncio.sleep(0)
    loop.slow_callback_duration = 1000
    thread = threading.Thread(target=refused)
    thread.start()
    thread.join()
    for attempt in (lambda: loop.call_soon(never_awaited), lambda: loop.call_later(1, 5)):
        try:
            attempt()
        except TypeError as error:
            print(type(error).__name__, str(error).split(" at 0x")[0])
    print(loop.get_debug(), sys.get_coroutine_origin_tracking_depth())
    print(asyncio.current_task())
    print(loop.call_later(1000, slow_callback))
    print(asyncio.Future())


loop = asyncio.new_event_loop()
loop.set_debug(True)
loop.slow_callback_duration = 1000
loop.run_until_complete(main())
loop.close()
print(sys.get_coroutine_origin_tracking_depth())
