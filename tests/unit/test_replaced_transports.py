"""What asyncio calls by name around transports and descriptors: it is called, or replacing it is refused."""

import asyncio
import concurrent.futures
import os
import socket
from asyncio import selector_events, transports, unix_events

import pytest

from tests.unit.protocols import tcp_pair

STREAM = selector_events._SelectorSocketTransport
DATAGRAM = selector_events._SelectorDatagramTransport


@pytest.fixture
def trace(monkeypatch):
    """Have a method of a class note the arguments of its calls."""

    def trace(cls, name):
        calls, original = [], getattr(cls, name)

        def traced(self, *args, **keywords):
            calls.append(args)
            return original(self, *args, **keywords)

        monkeypatch.setattr(cls, name, traced)
        return calls

    return trace


@pytest.fixture
def connected(loop):
    """Make a transport, use it, and close it. Returns its protocol."""

    async def stream():
        ours, peer = tcp_pair()
        with peer:
            transport, protocol = await loop.create_connection(asyncio.Protocol, sock=ours)
            transport.pause_reading()
            transport.resume_reading()
            transport.abort()
            await asyncio.sleep(0)
        return protocol

    async def datagram():
        address = ("127.0.0.1", 0)
        transport, protocol = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=address
        )
        transport.abort()
        await asyncio.sleep(0)
        return protocol

    return {STREAM: stream, DATAGRAM: datagram}


@pytest.mark.parametrize("cls", [STREAM, DATAGRAM], ids=["stream", "datagram"])
class TestTransports:
    @pytest.mark.parametrize(
        "base, name",
        [
            (selector_events._SelectorTransport, "_add_reader"),
            (transports._FlowControlMixin, "_set_write_buffer_limits"),
        ],
    )
    def test_a_step_is_called_or_refused(self, loop, run, trace, connected, cls, base, name):
        calls = trace(base, name)
        try:
            run(connected[cls]())
        except TypeError as error:
            assert f"{name}() is replaced" in str(error)
            assert type(loop).__module__ == "yibu.event_loop"
            assert calls == []
        else:
            assert calls

    def test_the_first_protocol(self, run, trace, connected, cls):
        base = cls if "set_protocol" in vars(cls) else selector_events._SelectorTransport
        calls = trace(base, "set_protocol")
        assert calls == [(run(connected[cls]()),)]

    def test_put_back(self, run, trace, connected, cls, monkeypatch):
        calls = trace(selector_events._SelectorTransport, "_add_reader")
        monkeypatch.undo()
        run(connected[cls]())
        assert calls == []


def test_pause_reading_asks_whether_it_reads(loop, run, trace):
    async def main():
        ours, peer = tcp_pair()
        with peer:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            calls = trace(selector_events._SelectorTransport, "is_reading")
            transport.pause_reading()
            assert calls == [()]
            transport.abort()
            await asyncio.sleep(0)

    run(main())


def test_pipes_are_refused_or_call(loop, run, monkeypatch, trace):
    calls = trace(unix_events._UnixReadPipeTransport, "_add_reader")
    ours, peer = socket.socketpair()

    async def main():
        transport, _ = await loop.connect_read_pipe(asyncio.Protocol, ours)
        await asyncio.sleep(0)
        transport.close()
        await asyncio.sleep(0)

    with peer, ours:
        try:
            run(main())
        except TypeError as error:
            assert "_add_reader() is replaced" in str(error)
            assert type(loop).__module__ == "yibu.event_loop"
        else:
            assert calls


def test_the_written_end_of_a_pipe_is_watched(loop, run, monkeypatch):
    """It has no `is_reading` of its own, whatever else is replaced."""
    monkeypatch.setattr(unix_events._UnixWritePipeTransport, "can_write_eof", lambda self: True)
    lost = asyncio.Event()

    class Protocol(asyncio.BaseProtocol):
        def connection_lost(self, error):
            lost.set()

    async def main():
        reading, writing = os.pipe()
        transport, _ = await loop.connect_write_pipe(Protocol, os.fdopen(writing, "wb", 0))
        os.close(reading)
        await asyncio.wait_for(lost.wait(), 60)
        transport.close()

    run(main())


@pytest.mark.parametrize("place", ["class", "object"])
def test_the_guard_of_descriptors(impl, make_loop, run, place):
    asked = []
    base = type(make_loop(impl.new_event_loop))

    def ensure(loop, fd):
        asked.append(fd)
        return base._ensure_fd_no_transport(loop, fd)

    if place == "class":
        loop = make_loop(type("Loop", (base,), {"_ensure_fd_no_transport": ensure}))
    else:
        loop = make_loop(impl.new_event_loop)
        loop._ensure_fd_no_transport = lambda fd: ensure(loop, fd)
    ours, peer = tcp_pair()
    ours.setblocking(False)
    number = ours.fileno()
    with ours, peer:
        loop.call_soon(loop.call_soon, peer.send, b"x")
        assert loop.run_until_complete(loop.sock_recv(ours, 1)) == b"x"
        assert number in asked
        asked.clear()
        loop.add_reader(number, print)
        assert loop.remove_reader(number)
        assert asked == [number, number]


def test_futures_of_other_threads(impl, run, monkeypatch):
    class Future(concurrent.futures.Future):
        pass

    async def main():
        future = impl.run_coroutine_threadsafe(asyncio.sleep(0, "value"), asyncio.get_running_loop())
        return type(future), await asyncio.wrap_future(future)

    original = concurrent.futures.Future
    monkeypatch.setattr(concurrent.futures, "Future", Future)
    assert run(main()) == (Future, "value")
    monkeypatch.undo()
    assert run(main()) == (original, "value")
