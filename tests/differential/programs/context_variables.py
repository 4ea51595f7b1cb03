"""Which value of a context variable is seen where."""

import asyncio
import contextvars

variable = contextvars.ContextVar("variable", default="default")
log = []


def note(label):
    log.append(f"{label}: {variable.get()}")


async def child(value):
    note(f"child {value} before")
    variable.set(value)
    await asyncio.sleep(0)
    note(f"child {value} after")
    asyncio.get_running_loop().call_soon(note, f"soon of {value}")
    await asyncio.sleep(0)


async def generator():
    variable.set("generator")
    yield 1
    note("generator resumed")


async def main():
    loop = asyncio.get_running_loop()
    variable.set("main")
    tasks = [asyncio.create_task(child(value)) for value in "ab"]
    variable.set("changed")
    future = loop.create_future()
    future.add_done_callback(lambda _: note("done callback"))
    variable.set("later")
    loop.call_soon(future.set_result, None)
    timer = loop.call_later(0, note, "timer")
    await asyncio.gather(*tasks)
    while not timer.cancelled() and timer._scheduled:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    async for _ in generator():
        note("in the loop over the generator")
    note("main at the end")
    shared = contextvars.copy_context()
    await loop.create_task(child("shared"), context=shared)
    log.append(f"shared: {shared[variable]}")
    log.append(await asyncio.to_thread(variable.get))
    loop.call_soon(note, "own context", context=contextvars.Context())
    await asyncio.sleep(0)


asyncio.run(main())
note("outside")
print(*log, sep="\n")
