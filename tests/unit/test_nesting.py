"""`yibu.allow_nested()`: a loop that runs is run again from inside; what it gives, and its limits."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yibu

pytestmark = pytest.mark.yibu_only

PACKAGE_ROOT = str(Path(yibu.__file__).parents[1])
START = """
import asyncio, contextvars, os, signal, sys, threading
import yibu
{}

async def inner(value):
    await asyncio.sleep(0.001)
    return value

"""


@pytest.fixture(params=["loop", "installed"])
def run_program(request):
    """Run a program in an interpreter of its own; it must end well, and without a word."""
    start = START.format("yibu.install()" if request.param == "installed" else "yibu.install(patch=False)")

    def run(source):
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        process = subprocess.run(
            [sys.executable, "-W", "error", "-c", start + dedent(source)],
            env=env | {"PYTHONPATH": PACKAGE_ROOT},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (process.stdout, process.stderr, process.returncode) == ("", "", 0)

    return run


def test_not_without_asking(run_program):
    run_program(
        """
        async def main():
            for run in asyncio.get_running_loop().run_until_complete, asyncio.run:
                coroutine = inner(1)
                try:
                    run(coroutine)
                except RuntimeError:
                    coroutine.close()
                else:
                    raise AssertionError("it ran")

        asyncio.run(main())
        """
    )


def test_coroutines_tasks_and_futures(run_program):
    run_program(
        """
        async def main():
            yibu.allow_nested()
            yibu.allow_nested()
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            background = asyncio.create_task(inner("background"))
            future = loop.create_future()
            loop.call_later(0.001, future.set_result, 0)
            assert loop.run_until_complete(future) == 0
            assert loop.run_until_complete(inner(1)) == 1
            assert loop.run_until_complete(asyncio.create_task(inner(2))) == 2
            assert asyncio.run(inner(3)) == 3
            assert yibu.run(inner(4)) == 4
            assert asyncio.run(inner(5), debug=True) == 5
            assert not loop.get_debug()
            assert asyncio.current_task() is task
            assert await inner(6) == 6
            assert await asyncio.gather(inner(7), inner(8)) == [7, 8]
            assert await asyncio.to_thread(lambda: 9) == 9
            assert await background == "background"

            async def fails():
                await asyncio.sleep(0)
                raise ValueError("inside")

            try:
                loop.run_until_complete(fails())
            except ValueError as error:
                assert str(error) == "inside"
            assert asyncio.current_task() is task

        asyncio.run(main())
        asyncio.run(main())
        """
    )


def test_depth_and_order(run_program):
    """The task that stands still is none for the time being; what else there is goes on."""
    run_program(
        """
        yibu.allow_nested()

        async def deep(depth):
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            result = depth if depth == 0 else loop.run_until_complete(deep(depth - 1)) + 1
            assert asyncio.current_task() is task
            return result

        async def tick(ticks):
            while True:
                ticks.append(asyncio.current_task())
                await asyncio.sleep(0)

        async def main():
            ticks = []
            ticker = asyncio.create_task(tick(ticks))
            assert await deep(30) == 30
            assert len(ticks) > 1 and set(ticks) == {ticker}
            ticker.cancel()

        asyncio.run(main())
        """
    )


def test_depth_without_an_end(run_program):
    run_program(
        """
        import warnings

        # Of coroutines for which there was no room, and of tasks whose waiters are gone.
        warnings.simplefilter("ignore")
        yibu.allow_nested()

        async def deeper():
            asyncio.get_running_loop().run_until_complete(deeper())

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            try:
                await deeper()
            except RecursionError:
                return await inner("goes on")

        assert asyncio.run(main()) == "goes on"
        """
    )


def test_synchronous_code_between(run_program):
    """What Jupyter and GUIs do: callbacks call synchronous code, which calls asynchronous code."""
    run_program(
        """
        yibu.allow_nested()
        loop = yibu.new_event_loop()
        asyncio.set_event_loop(loop)
        results = []

        def library(value):
            return asyncio.get_event_loop().run_until_complete(talk(value))

        async def talk(value):
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(value)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            server.close()
            return answer

        async def echo(reader, writer):
            writer.write(await reader.read())
            writer.close()

        def click(number):
            results.append((number, library(b"%d" % number)))
            if len(results) == 3:
                loop.stop()

        for number in range(3):
            loop.call_soon(click, number)
        loop.run_forever()
        assert sorted(results) == [(0, b"0"), (1, b"1"), (2, b"2")]
        loop.close()
        """
    )


def test_inner_runs_end_in_reverse_order(run_program):
    run_program(
        """
        yibu.allow_nested()
        order = []

        async def first():
            release.set()
            order.append("first is done")

        async def second():
            await asyncio.sleep(0.01)
            order.append("second is done")

        async def main():
            global release
            loop, release = asyncio.get_running_loop(), asyncio.Event()

            def begin_second():
                loop.run_until_complete(second())
                order.append("second returned")

            loop.call_soon(begin_second)
            loop.run_until_complete(first())
            order.append("first returned")

        asyncio.run(main())
        assert order == ["first is done", "second is done", "second returned", "first returned"], order
        """
    )


def test_the_outer_future_done_meanwhile(run_program):
    """It does not end an inner run that began in another task."""
    run_program(
        """
        yibu.allow_nested()
        results = []

        async def other():
            loop = asyncio.get_running_loop()
            results.append(loop.run_until_complete(loop.create_task(slow())))

        async def slow():
            while not main_task.done():
                await asyncio.sleep(0.001)
            return loop.run_until_complete(inner("slow"))

        async def main():
            loop.create_task(other())
            await asyncio.sleep(0)

        loop = yibu.new_event_loop()
        main_task = loop.create_task(main())
        loop.run_until_complete(main_task)
        assert results == ["slow"]
        assert loop.run_until_complete(inner(1)) == 1
        loop.close()
        """
    )


def test_stop(run_program):
    run_program(
        """
        yibu.allow_nested()
        order = []

        async def main():
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.stop)
            loop.run_forever()
            order.append("went on")
            loop.call_soon(loop.stop)
            try:
                loop.run_until_complete(loop.create_future())
            except RuntimeError as error:
                order.append(str(error))
            await asyncio.sleep(0)

        loop = yibu.new_event_loop()
        task = loop.create_task(main())
        try:
            loop.run_until_complete(task)
        except RuntimeError as error:
            order.append(str(error))
        stopped = "Event loop stopped before Future completed."
        assert order == ["went on", stopped, stopped], order
        loop.run_until_complete(task)
        loop.close()
        """
    )


def test_cancellation_is_passed_on(run_program):
    """As if the task that stands still awaited what it waits for: delivered there, and once."""
    run_program(
        """
        yibu.allow_nested()

        async def sleeper():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                order.append("inner")
                raise

        async def stands_still():
            try:
                asyncio.run(sleeper())
            except asyncio.CancelledError:
                order.append("outer")
                await asyncio.sleep(0)
                order.append(asyncio.current_task().cancelling())
                raise

        async def main():
            asyncio.get_running_loop().call_later(0.001, task.cancel)
            try:
                await task
            except asyncio.CancelledError:
                order.append(task.cancelled())

        order = []
        loop = yibu.new_event_loop()
        task = loop.create_task(stands_still())
        loop.run_until_complete(main())
        assert order == ["inner", "outer", 1, True], order

        async def timed():
            async with asyncio.timeout(0.01):
                asyncio.run(inner_forever())

        async def inner_forever():
            await loop.create_future()

        try:
            loop.run_until_complete(timed())
        except TimeoutError:
            pass
        else:
            raise AssertionError("no timeout")
        loop.close()
        """
    )


def test_control_c(run_program):
    """The first one cancels the main task, also where that stands still."""
    run_program(
        """
        yibu.allow_nested()
        ended = []

        async def wait():
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(True)

        async def main():
            asyncio.run(wait())

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            assert ended == [True]
        else:
            raise AssertionError("not interrupted")
        """
    )


def test_contexts(run_program):
    """Code of the context that stands still cannot run; everything else has its own."""
    run_program(
        """
        yibu.allow_nested()
        variable = contextvars.ContextVar("variable", default=0)

        async def set_it():
            variable.set(2)
            await asyncio.sleep(0)
            return variable.get()

        async def main():
            loop = asyncio.get_running_loop()
            variable.set(1)
            assert loop.run_until_complete(set_it()) == 2
            assert variable.get() == 1
            reported = []
            asyncio.log.logger.addFilter(lambda record: reported.append(str(record.exc_info[1])))
            here = contextvars.Context()

            def stand_still():
                loop.call_soon(ran.append, True, context=here)
                loop.run_until_complete(inner(0))

            ran = []
            loop.call_soon(stand_still, context=here)
            await inner(0)
            assert ran == [] and reported and all("already entered" in text for text in reported)

        asyncio.run(main())
        """
    )


def test_threads_and_other_loops(run_program):
    """Each thread's loop is its own, and asyncio's own loops are as they were."""
    run_program(
        """
        yibu.allow_nested()

        async def main():
            loop = asyncio.get_running_loop()
            return loop.run_until_complete(inner(threading.current_thread().name))

        names = []
        threads = [threading.Thread(target=lambda: names.append(asyncio.run(main()))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(names) == sorted(thread.name for thread in threads)

        async def elsewhere():
            coroutine = inner(1)
            try:
                asyncio.run(coroutine)
            except RuntimeError as error:
                coroutine.close()
                return str(error)

        import selectors
        stock = asyncio.SelectorEventLoop(selectors.DefaultSelector())
        assert "running event loop" in stock.run_until_complete(elsewhere())
        stock.close()
        """
    )
