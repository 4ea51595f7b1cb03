"""The interpreter ends while loops are in use, or are used for the first time; and what else it can do.

Before Python 3.14 it ended other threads by unwinding their stacks, and with them the process.
"""

import sys
import textwrap

import pytest


def test_over_a_loop_in_a_daemon_thread(impl):
    process = impl.run_source("""
        import threading

        def again():
            running.set()
            loop.call_soon(again)

        running = threading.Event()
        loop = aio.new_event_loop()
        loop.call_soon(again)
        threading.Thread(target=loop.run_forever, daemon=True).start()
        running.wait()
    """)
    assert (process.stderr, process.returncode) == ("", 0)


def test_over_a_job_of_the_default_executor(impl):
    """Control-C does not wait for jobs."""
    process = impl.run_source("""
        import concurrent.futures.thread
        import os
        import signal

        def job():
            while not concurrent.futures.thread._shutdown:
                os.sched_yield()
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass

        loop = aio.new_event_loop()
        loop.run_in_executor(None, job)
    """)
    assert "KeyboardInterrupt" in process.stderr
    assert process.returncode == 0


LAST = """
    class Last:
        def __del__(self, aio=aio, work=work, print=print):
            loop = aio.new_event_loop()
            loop.run_until_complete(work())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            print("ran")

    aio.set_event_loop(None)
    last = Last()
"""

WORKS = {
    "tasks": """
        async def work(aio=aio):
            await aio.gather(aio.sleep(0), aio.wait_for(aio.sleep(0.001), 9))
            async with aio.timeout(9), aio.TaskGroup() as group:
                group.create_task(aio.sleep(0))
    """,
    "primitives": """
        async def work(aio=aio):
            queue, lock = aio.Queue(), aio.Lock()
            aio.get_running_loop().call_later(0.001, queue.put_nowait, 1)
            async with lock:
                await queue.get()
    """,
    "streams": """
        async def work(aio=aio):
            server = await aio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
            reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
            await reader.read()
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()
    """,
    "sockets": """
        import socket

        async def work(aio=aio, socketpair=socket.socketpair):
            loop = aio.get_running_loop()
            left, right = socketpair()
            for end in (left, right):
                end.setblocking(False)
            await loop.sock_sendall(left, b"data")
            assert await loop.sock_recv(right, 9) == b"data"
            task = loop.create_task(loop.sock_recv(right, 9))
            await aio.sleep(0)
            task.cancel()
            await aio.wait([task])
            left.close()
            right.close()
    """,
    "asynchronous generators": """
        async def work(aio=aio):
            async def generate():
                yield 1
                yield 2
            async for number in generate():
                break
    """,
}


@pytest.mark.parametrize("name", WORKS)
def test_a_loop_first_used_by_a_finalizer(impl, name):
    process = impl.run_source(textwrap.dedent(WORKS[name]) + textwrap.dedent(LAST))
    assert (process.stdout, process.stderr, process.returncode) == ("ran\n", "", 0)


BLOCKED = {
    "a coroutine": """
        async def main():
            block()
        aio.run(main())
    """,
    "a callback": """
        loop = aio.new_event_loop()
        loop.call_soon(block)
        loop.run_forever()
    """,
    "a factory of loops": """
        aio.Runner(loop_factory=block).get_loop()
    """,
    "an exception handler": """
        loop = aio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: block())
        loop.call_soon(divmod, 1, 0)
        loop.run_forever()
    """,
    "a task on a loop of the standard library": """
        async def main():
            block()
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(aio.Task(main(), loop=loop))
    """,
    "a text": """
        class Text:
            def __repr__(self):
                block()
        future = aio.Future(loop=aio.new_event_loop())
        future.set_result(Text())
        repr(future)
    """,
    "a method of a queue": """
        class Queue(aio.Queue):
            def _put(self, item):
                block()
        Queue().put_nowait(1)
    """,
}


@pytest.mark.yibu_only  # there is nothing to install of stock
def test_an_installed_loop_first_used_by_a_finalizer(impl):
    process = impl.run_source("""
        import asyncio

        aio.install()

        class Last:
            def __del__(self, asyncio=asyncio, print=print):
                loop = asyncio.new_event_loop()
                print(loop.run_until_complete(asyncio.wait_for(asyncio.sleep(0.001, "ran"), 10)))
                loop.close()

        asyncio.set_event_loop(None)
        last = Last()
    """)
    assert (process.stdout, process.stderr, process.returncode) == ("ran\n", "", 0)


@pytest.mark.parametrize("name", BLOCKED)
def test_over_python_code_that_native_code_called(impl, name):
    start = """
        import asyncio
        import sys
        import threading
        import time

        class Last:
            def __del__(self, sleep=time.sleep):
                sleep(0.1)

        sys.last = Last()
        blocked = threading.Event()

        def block():
            blocked.set()
            while True:
                time.sleep(0.001)

        def thread():
    """
    end = """
        threading.Thread(target=thread, daemon=True).start()
        blocked.wait()
    """
    body = textwrap.indent(textwrap.dedent(BLOCKED[name]), "    ")
    process = impl.run_source(textwrap.dedent(start) + body + textwrap.dedent(end))
    assert (process.stderr, process.returncode) == ("", 0)


@pytest.mark.yibu_only
@pytest.mark.skipif(sys.version_info < (3, 13), reason="the module is called otherwise")
def test_subinterpreters(impl):
    """They are refused, and the main interpreter goes on."""
    process = impl.run_source("""
        import _interpreters

        async def main():
            await aio.sleep(0)
            return await aio.to_thread(int)

        for kind in ("legacy", "isolated"):
            inner = _interpreters.create(kind)
            failure = _interpreters.exec(inner, "import yibu._yibu")
            assert failure.type.__name__ == "ImportError", failure
            assert aio.run(main()) == 0
            _interpreters.destroy(inner)
            assert aio.run(main()) == 0
    """)
    assert (process.stderr, process.returncode) == ("", 0)


@pytest.mark.yibu_only
def test_the_module_loaded_again(impl):
    """It has the same classes."""
    process = impl.run_source("""
        import sys

        first = sys.modules.pop("yibu._yibu")
        from yibu import _yibu
        import importlib
        second = importlib.import_module("yibu._yibu")
        assert second is not first
        assert second.Future is first.Future
        assert aio.run(aio.sleep(0, 1)) == 1
    """)
    assert (process.stderr, process.returncode) == ("", 0)


def test_over_a_task_that_waits(impl):
    """The task is shown, though the interpreter imports nothing more."""
    process = impl.run_source("""
        async def wait():
            await aio.sleep(1000)

        async def main():
            global task
            task = aio.create_task(wait())
            await aio.sleep(0)

        loop = aio.new_event_loop()
        loop.run_until_complete(main())
    """)
    lines = process.stderr.splitlines()
    assert lines[0] == "Task was destroyed but it is pending!"
    assert lines[1].startswith("task: <Task pending name='Task-2' coro=<wait() ")
    assert "Traceback" not in process.stderr
    assert process.returncode == 0


def test_over_a_loop_that_is_not_closed(impl):
    """The warning is made without what modules had, which are empty by then."""
    process = impl.run_source("""
        import warnings

        warnings.simplefilter("error")
        loop = aio.new_event_loop()
        loop.call_soon(print)
        other = aio.new_event_loop()
        other.run_until_complete(aio.sleep(0))
        del other
        import sys
        sys.kept = loop
    """)
    assert "NoneType" not in process.stderr
    assert process.returncode == 0


def test_run_when_nothing_can_be_scheduled(impl):
    """A task whose first step could not be scheduled is not waited for."""
    process = impl.run_source("""
        from unittest import mock

        async def main():
            await aio.sleep(0)

        coroutine = main()
        loop_class = type(aio.new_event_loop())
        with mock.patch.object(loop_class, "call_soon", side_effect=RuntimeError("nothing is scheduled")):
            try:
                aio.run(coroutine)
            except RuntimeError as error:
                print(error)
    """)
    assert process.stdout == "nothing is scheduled\n", process.stderr
