"""Row "debug": debug mode, its warnings and reports, and the exception handler."""

import gc
import logging
import threading

import pytest


async def nothing():
    """Ends at once."""


def test_debug_argument_and_variable(aio):
    async def main():
        return aio.get_running_loop().get_debug()

    assert aio.run(main(), debug=True)
    program = "import asyncio; print(aio.run(asyncio.sleep(0, 1)), aio.new_event_loop().get_debug())"
    finished = aio.impl.run_source(program, PYTHONASYNCIODEBUG="1")
    assert finished.stdout == "1 True\n"


def test_slow_callback(aio, caplog):
    def dawdle():
        """Slow, because any duration is above the limit."""

    async def main():
        loop = aio.get_running_loop()
        loop.slow_callback_duration = -1
        loop.call_soon(dawdle)
        await aio.sleep(0)

    with caplog.at_level(logging.WARNING, "asyncio"):
        aio.run(main(), debug=True)
    assert any("dawdle() at" in r.getMessage() and " took " in r.getMessage() for r in caplog.records)


def test_never_awaited_coroutine(aio):
    async def main():
        nothing()
        gc.collect()

    with pytest.warns(RuntimeWarning, match=r"coroutine 'nothing' was never awaited"):
        aio.run(main())


def test_never_retrieved_exception(aio):
    async def fail():
        raise ValueError("lost")

    async def main():
        reports = []
        aio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        task = aio.create_task(fail())
        await aio.wait([task])
        del task
        gc.collect()
        return [(context["message"], str(context["exception"])) for context in reports]

    assert aio.run(main()) == [("Task exception was never retrieved", "lost")]


def test_destroyed_pending_task(aio):
    async def wait(loop):
        await loop.create_future()

    async def main():
        loop, reports = aio.get_running_loop(), []
        loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
        task = aio.create_task(wait(loop))
        await aio.sleep(0)
        del task
        gc.collect()
        return reports

    assert aio.run(main()) == ["Task was destroyed but it is pending!"]


def test_calls_from_another_thread_are_refused(aio):
    async def main():
        loop, errors = aio.get_running_loop(), []
        loop.slow_callback_duration = 1000

        def call():
            try:
                loop.call_soon(print)
            except RuntimeError as error:
                errors.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return errors

    expected = "Non-thread-safe operation invoked on an event loop other than the current one"
    assert aio.run(main(), debug=True) == [expected]


def test_source_tracebacks(aio):
    async def main():
        loop = aio.get_running_loop()
        loop.slow_callback_duration = 1000
        handle = loop.call_soon(nothing_to_do)
        task = aio.create_task(nothing())
        await task
        return [thing._source_traceback[-1].line for thing in (handle,)], task._source_traceback is not None

    lines, has_one = aio.run(main(), debug=True)
    assert lines == ["handle = loop.call_soon(nothing_to_do)"]
    assert has_one


def nothing_to_do():
    """A callback."""


def test_exception_handler(aio):
    async def main():
        loop, seen = aio.get_running_loop(), []
        loop.set_exception_handler(
            lambda loop, context: seen.append((context["message"], context.get("extra")))
        )
        loop.call_exception_handler({"message": "by hand", "extra": 1})
        loop.call_soon(lambda: 1 / 0)
        await aio.sleep(0)
        return seen[0], seen[1][0].startswith("Exception in callback")

    assert aio.run(main()) == (("by hand", 1), True)
