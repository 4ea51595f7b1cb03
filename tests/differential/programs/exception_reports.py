"""What is reported when nobody looks: failing callbacks, lost exceptions, lost tasks, failing handlers."""

import asyncio
import gc
import logging
import sys

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")


def failing_callback():
    raise ZeroDivisionError("in a callback")


async def failing_task():
    await asyncio.sleep(0)
    raise ValueError("in a task")


async def waiting_for_ever():
    await asyncio.get_running_loop().create_future()


def turn(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.call_soon(failing_callback)
loop.call_later(0, failing_callback)
turn(loop)
turn(loop)

task = loop.create_task(failing_task(), name="failing")
turn(loop)
turn(loop)
del task
gc.collect()

future = loop.create_future()
future.set_exception(KeyError("lost"))
del future
gc.collect()

task = loop.create_task(waiting_for_ever(), name="waiting")
turn(loop)
del task
gc.collect()

future = loop.create_future()
future.add_done_callback(lambda _: 1 / 0)
future.set_result(None)
turn(loop)

loop.call_exception_handler({"message": "made up", "zeta": 1, "alpha": "two"})
loop.call_exception_handler({"exception": OSError(2, "nothing there")})


def failing_handler(loop, context):
    raise RuntimeError("in the handler")


loop.set_exception_handler(failing_handler)
loop.call_soon(failing_callback)
turn(loop)

loop.set_exception_handler(lambda _, context: print("handler", sorted(context), context["message"]))
loop.call_soon(failing_callback)
turn(loop)
loop.close()
