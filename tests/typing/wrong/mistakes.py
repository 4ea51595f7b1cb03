"""Mistakes that a type checker must find: one in each line that says so."""

import yibu as asyncio
from yibu.subprocess import Process


async def answer() -> int:
    return 1


async def mistakes(process: Process, loop: asyncio.EventLoop) -> None:
    task: asyncio.Task[str] = asyncio.create_task(answer())  # wrong: a task of int
    future: asyncio.Future[str] = asyncio.Future()
    future.set_result(1)  # wrong: no str
    loop.call_soon(len, 1)  # wrong: an int has no length
    handle: asyncio.TimerHandle = loop.call_soon(print)  # wrong: no timer
    text: str = await process.wait()  # wrong: the exit code is a number
    loop.run_until_completed(task)  # wrong: no such method
    asyncio.nonsense()  # wrong: no such function
    print(handle, text)
