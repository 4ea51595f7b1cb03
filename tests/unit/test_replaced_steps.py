"""Steps of asyncio's own functions that a program replaces: each is called where asyncio's code calls it."""

import asyncio
import os
import signal
import socket
import sys
from asyncio import base_events, coroutines, tasks, unix_events

import pytest

from tests.unit.protocols import Recorder


@pytest.fixture
def trace(monkeypatch):
    """Have a function note that it was called, and with what."""

    def trace(place, name):
        seen, original = [], getattr(place, name)

        def replacement(*args, **keywords):
            seen.append(args)
            return original(*args, **keywords)

        monkeypatch.setattr(place, name, replacement)
        return seen

    return trace


class TestGather:
    @pytest.fixture
    def places(self, impl):
        """asyncio's class, and the one of the implementation."""

        async def made():
            future = impl.gather(impl.sleep(0))
            await future
            return type(future)

        return [tasks._GatheringFuture, asyncio.run(made())]

    @pytest.mark.parametrize("place", [0, 1])
    def test_cancel(self, impl, run, trace, places, place):
        seen = trace(places[place], "cancel")

        async def main():
            inner = impl.gather(impl.sleep(1000))
            outer = impl.gather(inner, impl.sleep(1000))
            await impl.sleep(0)
            outer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await outer
            assert [args[0] for args in seen] == [outer, inner]
            seen.clear()
            awaited = impl.gather(impl.sleep(1000))
            task = asyncio.ensure_future(impl.wait_for(awaited, 1000))
            await impl.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert awaited in [args[0] for args in seen]

        run(main())

    @pytest.mark.parametrize("place", [0, 1])
    def test_init(self, impl, run, trace, places, place):
        seen = trace(places[place], "__init__")

        async def main():
            assert await impl.gather(impl.sleep(0, 1), impl.sleep(0, 2)) == [1, 2]

        run(main())
        ((_, children),) = seen
        assert [child.result() for child in children] == [1, 2]


class TestOrigins:
    def test_of_an_object(self, loop):
        seen = []
        loop._set_coroutine_origin_tracking = seen.append
        loop.set_debug(True)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert seen == [True, False]

    def test_of_asyncios_class(self, loop, trace):
        seen = trace(asyncio.BaseEventLoop, "_set_coroutine_origin_tracking")
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert [args[1] for args in seen] == [False, False]


class TestRunner:
    def test_what_counts_as_a_coroutine(self, impl, trace):
        seen = trace(coroutines, "iscoroutine")
        coroutine = impl.sleep(0, "slept")
        assert impl.run(coroutine) == "slept"
        assert seen[0] == (coroutine,)


class TestTimers:
    @pytest.mark.parametrize("name", ["Handle", "TimerHandle"])
    def test_init_of_the_base(self, loop, run, trace, name):
        seen = trace(getattr(asyncio, name), "__init__")

        async def main():
            timer = loop.call_later(1000, int)
            assert timer in [args[0] for args in seen]
            timer.cancel()

        run(main())


class TestSockets:
    def test_check_of_tls(self, loop, run, trace):
        seen = trace(base_events, "_check_ssl_socket")

        async def main():
            ours, peer = socket.socketpair()
            with ours, peer:
                ours.setblocking(False)
                peer.setblocking(False)
                await loop.sock_sendall(ours, b"12")
                await loop.sock_recv(peer, 1)
                await loop.sock_recv_into(peer, bytearray(1))
                assert seen == [(ours,), (peer,), (peer,)]

        run(main())


class TestFunctionsOfModules:
    def test_what_counts_as_a_coroutine_function(self, loop, trace):
        name = "_iscoroutinefunction" if sys.version_info >= (3, 14) else "iscoroutinefunction"
        seen = trace(coroutines, name)
        loop.set_debug(True)
        loop.call_soon(int).cancel()
        loop.set_debug(False)
        loop.add_signal_handler(signal.SIGUSR1, str)
        loop.remove_signal_handler(signal.SIGUSR1)
        assert [args[0] for args in seen] == [int, str]

    def test_the_end_of_run_until_complete(self, loop, impl, trace):
        seen = trace(base_events, "_run_until_complete_cb")
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        assert loop.run_until_complete(future) == 1
        assert seen == [(future,)]
        assert loop.run_until_complete(impl.sleep(0, 2)) == 2
        assert len(seen) == 2

    def test_the_code_of_a_child(self, run, impl, monkeypatch):
        monkeypatch.setattr(unix_events, "waitstatus_to_exitcode", lambda status: -status)

        async def main():
            process = await impl.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
            return await process.wait()

        assert run(main()) == -(3 << 8)


class TestCallsOfPipes:
    """`os.read` and `os.write`."""

    def test_each_is_called(self, loop, run, trace):
        async def main():
            read, write = os.pipe()
            reads, writes = trace(os, "read"), trace(os, "write")
            source, reader = await loop.connect_read_pipe(Recorder, os.fdopen(read, "rb", 0))
            sink, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write, "wb", 0))
            sink.write(b"first")
            assert await reader.received(5) == b"first"
            sink.write(bytearray(b"second"))
            assert await reader.received(11) == b"firstsecond"
            sink.close()
            await reader.lost
            source.close()
            assert [fd for fd, _ in writes if fd == write] == [write] * 2
            assert len([fd for fd, _ in reads if fd == read]) >= 3

        run(main())

    def test_what_is_not_taken_waits(self, loop, run, monkeypatch):
        data, original = bytes(range(256)) * 1000, os.write

        async def main():
            read, write = os.pipe()
            _, reader = await loop.connect_read_pipe(Recorder, os.fdopen(read, "rb", 0))
            sink, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write, "wb", 0))
            monkeypatch.setattr(os, "write", lambda fd, data: original(fd, bytes(data)[:5000]))
            sink.write(data)
            sink.close()
            assert await reader.received(len(data)) == data
            await reader.lost

        run(main())

    def test_the_writing_end_reads_nothing(self, loop, run, monkeypatch):
        def read(fd, size):
            raise ZeroDivisionError("read")

        async def main():
            source, sink = os.pipe()
            _, protocol = await loop.connect_write_pipe(Recorder, os.fdopen(sink, "wb", 0))
            monkeypatch.setattr(os, "read", read)
            os.close(source)
            assert await protocol.lost is None
            monkeypatch.undo()

        run(main())

    def test_an_error_ends_the_pipe(self, loop, run, monkeypatch, reports):
        def write(fd, data):
            raise ZeroDivisionError("written")

        async def main():
            read, other = os.pipe()
            sink, protocol = await loop.connect_write_pipe(Recorder, os.fdopen(other, "wb", 0))
            monkeypatch.setattr(os, "write", write)
            sink.write(b"x")
            monkeypatch.undo()
            assert isinstance(await protocol.lost, ZeroDivisionError)
            os.close(read)

        run(main())
        (report,) = reports
        assert report["message"] == "Fatal write error on pipe transport"
        reports.clear()


class TestPutBack:
    """Who puts back what was found in a class has replaced nothing, also where it was inherited."""

    def test_init_of_transports(self, loop, run):
        asyncio.ReadTransport.__init__ = asyncio.ReadTransport.__init__
        try:

            async def main():
                ours, peer = socket.socketpair()
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
                transport.close()
                peer.close()

            run(main())
        finally:
            del asyncio.ReadTransport.__init__
