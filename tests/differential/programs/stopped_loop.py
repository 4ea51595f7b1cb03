"""A loop that is stopped, run again, and closed with work left on it."""

import asyncio

log = []
loop = asyncio.new_event_loop()


async def work():
    for step in range(6):
        log.append(f"step {step}")
        await asyncio.sleep(0)
    return "done"


task = loop.create_task(work(), name="work")
for turn in range(3):
    loop.call_soon(loop.stop)
    loop.run_forever()
    log.append(f"stopped {turn}, running {loop.is_running()}, {task._state}")
try:
    loop.call_soon(loop.stop)
    loop.run_until_complete(loop.create_future())
except RuntimeError as error:
    log.append(str(error))
log.append(loop.run_until_complete(task))
loop.stop()
loop.run_forever()
loop.call_soon(log.append, "never")
loop.call_later(1, log.append, "never")
loop.close()
loop.close()
for attempt in (loop.run_forever, lambda: loop.call_soon(print), lambda: loop.create_future().done()):
    try:
        log.append(attempt())
    except RuntimeError as error:
        log.append(str(error))
print(*log, sep="\n")
print(loop)
