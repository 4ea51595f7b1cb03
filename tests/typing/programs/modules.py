"""asyncio's modules as yibu's, and what yibu has beyond asyncio."""

import asyncio as stock
import contextlib
import sys

import yibu
from yibu.events import AbstractEventLoop, Handle
from yibu.exceptions import CancelledError, InvalidStateError
from yibu.futures import Future
from yibu.locks import Lock
from yibu.queues import Queue, QueueEmpty
from yibu.streams import StreamReader, StreamWriter
from yibu.subprocess import DEVNULL, PIPE, Process
from yibu.taskgroups import TaskGroup
from yibu.tasks import Task
from yibu.timeouts import Timeout

if sys.version_info >= (3, 14):
    from yibu.graph import format_call_graph

    print(format_call_graph())


def passed_between_both(task: stock.Task[int], future: Future[str]) -> tuple[Task[int], stock.Future[str]]:
    """A native task is a task of asyncio to everybody, and the other way round."""
    return task, future


async def main() -> None:
    queue: Queue[int] = yibu.Queue()
    with contextlib.suppress(QueueEmpty, CancelledError, InvalidStateError):
        queue.get_nowait()
    process: Process = await yibu.create_subprocess_exec("true", stdin=PIPE, stdout=DEVNULL)
    await process.wait()
    names = (AbstractEventLoop, Handle, Lock, StreamReader, StreamWriter, TaskGroup, Timeout)
    print(names, yibu.log.logger, yibu.constants.DEBUG_STACK_DEPTH)


def ways_to_run() -> None:
    yibu.install()
    yibu.install(patch=False)
    yibu.uninstall()
    yibu.allow_nested()
    loop: yibu.EventLoop = yibu.new_event_loop()
    loop.close()
    version: str = yibu.__version__
    print(version)
    yibu.run(main())
    if sys.version_info >= (3, 12):
        stock.run(main(), loop_factory=yibu.new_event_loop)
        yibu.run(main(), loop_factory=yibu.new_event_loop)
