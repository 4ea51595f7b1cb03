"""Methods of loops, handles, transports and servers that a program replaces, also in asyncio's classes.

Tracers and detectors name asyncio's own classes: `asyncio.BaseEventLoop.create_task = traced`, where `traced`
calls what it found there.
"""

import asyncio
import concurrent.futures
import selectors
from asyncio import base_events, selector_events
from collections import Counter
from unittest import mock

import pytest

from tests.unit.protocols import Recorder


@pytest.fixture
def trace(monkeypatch):
    """Have methods of a class note that they were called."""
    seen = Counter()

    def trace(cls, *names):
        for name in names:
            monkeypatch.setattr(cls, name, traced(name, getattr(cls, name)))
        return seen

    def traced(name, original):
        def method(self, *args, **kwargs):
            seen[name] += 1
            return original(self, *args, **kwargs)

        return method

    return trace


class TestClassesOfAsyncio:
    def test_a_loop_is_one_of_asyncios(self, loop):
        kinds = (asyncio.BaseEventLoop, asyncio.SelectorEventLoop, selector_events.BaseSelectorEventLoop)
        for kind in kinds:
            assert isinstance(loop, kind)
            assert issubclass(type(loop), kind)

    def test_methods_replaced_there_are_called(self, loop, run, trace):
        seen = trace(
            asyncio.BaseEventLoop,
            *("create_task", "create_future", "call_soon", "call_later", "call_exception_handler"),
            *("run_in_executor", "create_server", "create_connection", "run_forever"),
        )
        loop.set_exception_handler(lambda loop, context: None)

        async def main():
            await asyncio.ensure_future(asyncio.sleep(0.001))
            loop.call_soon(lambda: 1 / 0)
            await loop.run_in_executor(None, int)
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            transport, _ = await loop.create_connection(asyncio.Protocol, *address)
            transport.close()
            server.close()
            await server.wait_closed()

        run(main())
        missing = {"create_task", "create_future", "call_soon", "call_later"} - set(seen)
        assert not missing
        assert seen["create_server"] == seen["create_connection"] == seen["run_forever"] == 1
        assert seen["run_in_executor"] >= 1

    def test_in_the_middle_of_a_callback(self, loop, run, trace):
        async def main():
            seen = trace(asyncio.BaseEventLoop, "create_future")
            loop.create_future()
            return seen["create_future"]

        assert run(main()) == 1

    def test_the_more_derived_class_wins(self, loop, trace):
        seen = trace(asyncio.BaseEventLoop, "_make_socket_transport", "sock_recv")
        assert loop.time() > 0
        assert not seen

    def test_an_unbound_method_of_asyncios(self, loop, run):
        async def main():
            return await asyncio.BaseEventLoop.create_task(loop, asyncio.sleep(0, "done"))

        assert run(main()) == "done"
        assert base_events.BaseEventLoop.time(loop) <= loop.time()

    def test_asyncios_own_loops_are_what_they_were(self, loop, make_loop, trace):
        other = make_loop(asyncio.SelectorEventLoop)
        seen = trace(asyncio.BaseEventLoop, "call_soon")

        async def main():
            return type(asyncio.get_running_loop())

        assert other.run_until_complete(main()) is asyncio.SelectorEventLoop
        assert seen["call_soon"] > 0
        assert isinstance(other._selector, selectors.BaseSelector)

    def test_put_back(self, loop, run):
        async def main():
            return loop.create_future()

        with mock.patch.object(asyncio.BaseEventLoop, "create_future", autospec=True) as create:
            assert run(main()) is create.return_value
        assert asyncio.isfuture(run(main()))

    def test_behind_a_subclass(self, impl, make_loop, trace):
        calls = []

        class Loop(type(make_loop(impl.new_event_loop))):
            def create_future(self):
                calls.append("subclass")
                return super().create_future()

        seen = trace(asyncio.BaseEventLoop, "create_future")
        asyncio.isfuture(make_loop(Loop).create_future())
        assert (calls, seen["create_future"]) == (["subclass"], 1)


class TestOverriding:
    @pytest.fixture
    def overriding(self, impl, make_loop):
        """Make a loop of a class with methods of its own, each of which notes its calls."""

        def overriding(*names):
            base = type(make_loop(impl.new_event_loop))
            calls = []

            def method(name):
                def call(self, *args, **kwargs):
                    calls.append(name)
                    return getattr(base, name)(self, *args, **kwargs)

                return call

            return make_loop(type("Loop", (base,), {name: method(name) for name in names})), calls

        return overriding

    def test_run_until_complete_runs_for_ever(self, overriding):
        loop, calls = overriding("run_forever")
        loop.run_until_complete(asyncio.sleep(0))
        assert calls == ["run_forever"]

    def test_a_timer_is_cancelled_whatever_get_debug_is(self, overriding):
        loop, _ = overriding("get_debug")

        async def main():
            timer = loop.call_later(10, print)
            timer.cancel()
            await asyncio.wait({asyncio.ensure_future(asyncio.sleep(0))}, timeout=5)
            return timer.cancelled()

        assert loop.run_until_complete(main())

    def test_each_turn(self, overriding):
        loop, calls = overriding("_run_once")
        loop.run_until_complete(asyncio.sleep(0))
        assert len(calls) >= 2

    def test_a_timer_that_is_cancelled_is_told_of(self, overriding):
        loop, calls = overriding("_timer_handle_cancelled")
        loop.call_later(10, print).cancel()
        assert calls == ["_timer_handle_cancelled"]

    def test_checks(self, overriding):
        loop, calls = overriding("_check_closed")
        calls.clear()  # asyncio's loop asks while it is made, too
        loop.call_soon(int)
        assert calls == ["_check_closed"]

    def test_is_running(self, overriding):
        loop, calls = overriding("is_running")
        calls.clear()
        repr(loop)
        assert calls == ["is_running"]

    def test_what_call_soon_consists_of(self, overriding):
        loop, calls = overriding("_call_soon")
        ran = []
        loop.call_soon(ran.append, 1)
        loop.run_until_complete(asyncio.sleep(0))
        assert ran == [1]
        assert calls[0] == "_call_soon"

    def test_watchers(self, overriding, pair):
        loop, calls = overriding("_add_reader", "_remove_reader")
        calls.clear()
        loop.add_reader(pair[0], print)
        assert loop.remove_reader(pair[0])
        assert calls == ["_add_reader", "_remove_reader"]

    def test_names_are_looked_up_in_the_executor(self, overriding):
        loop, calls = overriding("run_in_executor")
        loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80))
        assert calls == ["run_in_executor"]

    def test_the_check_of_the_default_executor(self, impl, overriding):
        loop, calls = overriding("_check_default_executor")

        async def main():
            await loop.run_in_executor(None, int)
            await impl.to_thread(int)
            with concurrent.futures.ThreadPoolExecutor(1) as executor:
                await loop.run_in_executor(executor, int)

        loop.run_until_complete(main())
        assert calls == ["_check_default_executor"] * 2

    def test_the_check_of_sock_sendfile(self, overriding, pair, tmp_path):
        loop, calls = overriding("_check_sendfile_params")
        path = tmp_path / "file"
        path.write_bytes(b"data")
        pair[0].setblocking(False)
        with path.open("rb") as file:
            assert loop.run_until_complete(loop.sock_sendfile(pair[0], file)) == 4
        assert calls == ["_check_sendfile_params"]

    @pytest.mark.yibu_only
    def test_a_step_that_there_is_not_is_refused(self, impl, loop):
        with pytest.raises(TypeError, match="_sock_recv"):
            type("Loop", (type(loop),), {"_sock_recv": None})()
        with pytest.raises(NotImplementedError, match="_sock_recv"):
            loop._sock_recv()
        loop._sock_recv = None
        coroutine = asyncio.sleep(0)
        with pytest.raises(TypeError, match="_sock_recv"):
            loop.run_until_complete(coroutine)
        del loop._sock_recv
        loop.run_until_complete(asyncio.sleep(0))


class TestHandles:
    @pytest.fixture(params=["of the implementation", "of asyncio"])
    def handles(self, request, impl):
        """The class that a program finds `_run` in."""
        return impl.Handle if request.param == "of the implementation" else asyncio.Handle

    def test_everything_runs_by_a_replaced_run(self, loop, run, handles, trace):
        seen, ran = trace(handles, "_run"), []

        async def main():
            loop.call_soon(ran.append, 1)
            loop.call_soon_threadsafe(ran.append, 2)
            loop.call_later(0.001, ran.append, 3)
            future = loop.create_future()
            future.add_done_callback(lambda future: ran.append(4))
            loop.call_soon(future.set_result, None)
            await future
            await asyncio.sleep(0.01)

        run(main())
        assert sorted(ran) == [1, 2, 3, 4]
        # Five callbacks, and the steps of the task: at its start, for the future, and after the sleep.
        assert seen["_run"] >= 8

    def test_a_handle_says_what_it_runs(self, loop, run, handles, monkeypatch):
        callbacks = []
        original = handles._run

        def noting(handle):
            callbacks.append(handle._callback)
            return original(handle)

        monkeypatch.setattr(handles, "_run", noting)

        async def main():
            await asyncio.sleep(0)

        task = loop.create_task(main())
        run(task)
        assert sum(getattr(callback, "__self__", None) is task for callback in callbacks) == 2

    def test_an_exception_is_reported_by_the_original(self, loop, run, handles, trace):
        trace(handles, "_run")
        reports = []
        loop.set_exception_handler(lambda loop, context: reports.append(context["exception"]))

        async def main():
            loop.call_soon(lambda: 1 / 0)
            await asyncio.sleep(0)

        run(main())
        assert [type(error) for error in reports] == [ZeroDivisionError]

    def test_while_the_loop_runs(self, loop, run, handles, trace):
        async def main():
            loop.call_soon(int)
            seen = trace(handles, "_run")
            await asyncio.sleep(0)
            return seen["_run"]

        assert run(main()) >= 2

    def test_of_timers_only(self, impl, loop, run, trace):
        seen = trace(impl.TimerHandle, "_run")

        async def main():
            loop.call_soon(int)
            loop.call_later(0, int)
            await asyncio.sleep(0.001)

        run(main())
        assert 1 <= seen["_run"] <= 2


class TestTransportsAndServers:
    def test_a_server(self, loop, run, trace):
        seen = trace(asyncio.Server, "close", "get_loop", "is_serving", "wait_closed", "_start_serving")

        async def main():
            async with await loop.create_server(
                asyncio.Protocol, "127.0.0.1", 0, start_serving=False
            ) as server:
                await server.start_serving()
                server.is_serving()
                server.get_loop()

        run(main())
        assert seen == dict.fromkeys(("_start_serving", "is_serving", "get_loop", "close", "wait_closed"), 1)

    @pytest.mark.parametrize("kind", ["BaseTransport", "Transport"])
    def test_information_of_transports(self, run, connect, trace, kind):
        async def main():
            transport, _, _ = await connect()
            seen = trace(getattr(asyncio, kind), "get_extra_info")
            transport.get_extra_info("peername")
            transport.abort()
            return seen["get_extra_info"]

        assert run(main()) == 1

    def test_writing_and_closing(self, run, connect, trace):
        async def main():
            transport, _, peer = await connect()
            seen = trace(selector_events._SelectorSocketTransport, "write", "close")
            transport.write(b"hello")
            transport.close()
            return seen, peer.recv(5)

        assert run(main()) == ({"write": 1, "close": 1}, b"hello")

    def test_what_asyncios_own_transport_hides(self, run, connect, trace):
        """`_SelectorSocketTransport` has a `write` of its own: nobody calls that of its base class."""

        async def main():
            transport, _, _peer = await connect(Recorder)
            seen = trace(asyncio.WriteTransport, "write")
            transport.write(b"hello")
            transport.abort()
            return seen["write"]

        assert run(main()) == 0


class TestStreams:
    def test_what_arrives_goes_through_replaced_methods(self, impl, loop, run, monkeypatch):
        got = []

        def note(cls, name, method):
            original = getattr(cls, name)

            def call(self, *args):
                got.append(method(*args))
                return original(self, *args)

            monkeypatch.setattr(cls, name, call)

        note(impl.StreamReader, "feed_data", bytes)
        note(impl.StreamReader, "feed_eof", lambda: "eof")
        note(impl.StreamReader, "_wakeup_waiter", lambda: "wakeup")
        note(impl.StreamReaderProtocol, "data_received", lambda data: "received")
        note(impl.StreamWriter, "write", lambda data: "write")

        async def serve(reader, writer):
            writer.write(b"hello")
            writer.close()

        async def main():
            server = await impl.start_server(serve, "127.0.0.1", 0)
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            data = await reader.read()
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()
            return data

        assert run(main()) == b"hello"
        expected = ["write", "received", b"hello", "wakeup", "eof", "wakeup"]
        assert [entry for entry in got if entry in expected][: len(expected)] == expected
