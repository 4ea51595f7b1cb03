"""What objects and errors are called in texts: reprs, messages, records of the log."""

import asyncio
import gc
import logging
import os
import selectors
import socket
import sys
import traceback
import types

import pytest

from tests.unit.programs import failing, nothing


class TestClasses:
    """The classes have asyncio's names, by which programs and people know them."""

    def test_of_transports(self, run):
        async def main():
            loop = asyncio.get_running_loop()
            names = []

            async def named(making):
                transport, _ = await making
                names.append(type(transport).__name__)
                assert repr(transport).startswith(f"<{names[-1]} ")
                transport.close()

            ours, peer = socket.socketpair()
            reading, writing = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
            with peer:
                await named(loop.create_connection(asyncio.Protocol, sock=ours))
                datagrams = loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
                )
                await named(datagrams)
                await named(loop.connect_read_pipe(asyncio.Protocol, reading))
                await named(loop.connect_write_pipe(asyncio.BaseProtocol, writing))
            await asyncio.sleep(0)
            return names

        assert run(main()) == [
            "_SelectorSocketTransport",
            "_SelectorDatagramTransport",
            "_UnixReadPipeTransport",
            "_UnixWritePipeTransport",
        ]

    def test_of_iterators(self, run):
        async def main():
            iterator = asyncio.get_running_loop().create_future().__await__()
            assert repr(iterator).startswith("<_asyncio.FutureIter object at ")
            assert type(iterator).__module__ == "_asyncio"

        run(main())

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="a generator before 3.13")
    def test_of_as_completed(self, impl, run):
        async def main():
            iterator = impl.as_completed([])
            text = f"<{impl.as_completed.__module__}._AsCompletedIterator object at "
            assert repr(iterator).startswith(text)
            assert isinstance(iterator, asyncio.tasks._AsCompletedIterator)

        run(main())

    @pytest.mark.parametrize("name", ["Handle", "TimerHandle"])
    def test_of_handles_that_say_something_else(self, impl, make_loop, name):
        class Handle(getattr(impl, name)):
            def _repr_info(self):
                return ["Mine", *super()._repr_info()[1:]]

        when = (7,) if name == "TimerHandle" else ()
        handle = Handle(*when, print, (), make_loop())
        handle.cancel()
        assert repr(handle) == "<Mine cancelled>" or repr(handle).startswith("<Mine cancelled when=7")

    def test_of_what_a_coroutine_awaits(self, run):
        async def main():
            task = asyncio.ensure_future(asyncio.Event().wait())
            await asyncio.sleep(0)
            awaited = task.get_coro().cr_await
            task.cancel()
            return repr(awaited)

        assert run(main()).startswith("<_asyncio.FutureIter object at ")

    def test_of_steps_of_a_task(self, impl, make_loop):
        class Loop(type(make_loop())):
            seen = ()

            def call_soon(self, callback, *args, context=None):
                self.seen = (*self.seen, callback)
                return super().call_soon(callback, *args, context=context)

        loop = make_loop(Loop)

        async def main():
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future

        task = loop.create_task(main())
        loop.run_until_complete(task)
        step, wakeup = (
            next(
                found for found in loop.seen if found.__self__ is task and isinstance(found, kind) is built_in
            )
            for kind, built_in in ((types.BuiltinMethodType, False), (types.BuiltinMethodType, True))
        )
        assert type(step).__name__ == "TaskStepMethWrapper"
        module = "_asyncio." if sys.version_info >= (3, 12) else ""
        assert repr(step).startswith(f"<{module}TaskStepMethWrapper object at ")
        assert not hasattr(step, "__name__")
        assert not hasattr(step, "__qualname__")
        assert wakeup.__name__ == "task_wakeup"
        assert wakeup.__qualname__ == "Task.task_wakeup"
        assert repr(wakeup).startswith("<built-in method task_wakeup of _asyncio.Task object at ")


class TestCallbacks:
    """Functions of asyncio that wait on a future are shown with the line where they are defined."""

    def test_of_gather(self, run):
        async def main():
            future = asyncio.get_running_loop().create_future()
            gathered = asyncio.gather(future)
            text = repr(future)
            future.set_result(None)
            await gathered
            return text

        place = rf"{os.path.dirname(asyncio.__file__)}/tasks.py:"
        assert f"cb=[gather.<locals>._done_callback() at {place}" in run(main())

    def test_of_shield_and_wait(self, run):
        async def main():
            future = asyncio.get_running_loop().create_future()
            shielded = asyncio.shield(future)
            waiting = asyncio.ensure_future(asyncio.wait([shielded]))
            await asyncio.sleep(0)
            texts = repr(future), repr(shielded)
            future.set_result(None)
            await waiting
            return texts

        inner, outer = run(main())
        place = rf"{os.path.dirname(asyncio.__file__)}/tasks.py:"
        assert f"shield.<locals>._inner_done_callback() at {place}" in inner
        assert f"_wait.<locals>._on_completion() at {place}" in outer

    def test_of_a_task_group_is_a_method(self, run):
        async def main():
            async with asyncio.TaskGroup() as group:
                return repr(group.create_task(nothing()))

        assert run(main()).endswith("cb=[TaskGroup._on_task_done()]>")


class TestThrow:
    """What is no exception is refused as coroutines of the interpreter, and futures, refuse it."""

    @pytest.mark.parametrize("thrown", [int, 3])
    def test_into_a_coroutine(self, run, thrown):
        async def main():
            coroutine = asyncio.sleep(0)
            with pytest.raises(TypeError) as refused:
                coroutine.throw(thrown)
            coroutine.close()
            return str(refused.value)

        of = type(thrown).__name__
        assert run(main()) == f"exceptions must be classes or instances deriving from BaseException, not {of}"

    def test_into_a_future(self, run):
        async def main():
            with pytest.raises(TypeError, match="deriving BaseException or instances of such a class"):
                asyncio.get_running_loop().create_future().__await__().throw(int)

        run(main())

    def test_the_end_without_a_result(self, run):
        async def main():
            ending = asyncio.sleep(0)
            ending.send(None)
            with pytest.raises(StopIteration) as end:
                ending.send(None)
            return end.value.args

        assert run(main()) == ()


class TestRenamed:
    """A coroutine is called what its function is called."""

    @pytest.fixture
    def renamed(self, impl, monkeypatch):
        monkeypatch.setattr(impl.sleep, "__name__", "rest")
        monkeypatch.setattr(impl.sleep, "__qualname__", "bed.rest")
        coroutine = impl.sleep(0)
        yield coroutine
        coroutine.close()

    def test_names_and_repr(self, renamed):
        assert (renamed.__name__, renamed.__qualname__) == ("rest", "bed.rest")
        assert repr(renamed).startswith("<coroutine object bed.rest at ")

    def test_the_code_keeps_its_name(self, renamed):
        assert renamed.cr_code.co_name == "sleep"

    def test_warnings(self, impl, monkeypatch):
        monkeypatch.setattr(impl.sleep, "__qualname__", "bed.rest")
        with pytest.warns(RuntimeWarning, match=r"coroutine 'bed\.rest' was never awaited"):
            impl.sleep(0)
            gc.collect()


class TestTracebacks:
    def test_of_an_exception_that_is_asked_for_again(self, run):
        """The first who asks gets the traceback of the failure, the others only their own."""

        async def main():
            task = asyncio.ensure_future(failing(KeyError("lost")))
            await asyncio.wait([task])
            names = []
            for _ in range(3):
                try:
                    task.result()
                except KeyError as error:
                    names.append([frame.name for frame in traceback.extract_tb(error.__traceback__)])
            return names

        assert run(main()) == [["main", "failing"], ["main"], ["main"]]


class TestSelector:
    def test_a_new_loop_says_which_it_uses(self, caplog, make_loop):
        caplog.set_level(logging.DEBUG, "asyncio")
        make_loop()
        (record,) = caplog.records
        assert record.getMessage() == f"Using selector: {selectors.DefaultSelector.__name__}"
        assert (record.module, record.funcName) == ("selector_events", "__init__")
