"""What `asyncio.run` does when main ends: tasks, generators, executor, loop, in this order."""

import asyncio
import atexit
import threading

log = []


async def background(name, reluctant=False):
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        log.append(f"{name} cancelled")
        if reluctant:
            for _ in range(3):
                await asyncio.sleep(0)
            log.append(f"{name} gave in")
        raise
    finally:
        log.append(f"{name} ends, loop runs: {asyncio.get_running_loop().is_running()}")


async def failing():
    try:
        await asyncio.sleep(1000)
    finally:
        raise ValueError("while cancelled")


async def generator():
    try:
        yield 1
    finally:
        log.append("generator closed")


def in_thread():
    started.set()
    release.wait(10)
    in_thread_done.set()


started, release, in_thread_done = (threading.Event() for _ in range(3))


async def main():
    global kept, loop  # noqa: PLW0603
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: log.append((context["message"], repr(context["exception"])))
    )
    loop.run_in_executor(None, in_thread)
    started.wait(10)
    kept = generator()
    await anext(kept)
    tasks = [asyncio.create_task(background("quick"), name="quick")]
    tasks.append(asyncio.create_task(background("reluctant", True), name="reluctant"))
    tasks.append(asyncio.create_task(failing(), name="failing"))
    await asyncio.sleep(0)
    loop.call_soon(release.set)
    log.append("main returns")
    return "result"


print(asyncio.run(main()))
print(loop.is_closed())
atexit.register(lambda: print("at exit"))
print(in_thread_done.is_set())
place = log.index("generator closed")  # the tasks before it are cancelled in the order of a set
print(*log[:1], *sorted(log[1:place], key=str), *log[place:], sep="\n")
