"""Hundreds of clients that break their connections: a server loses each once and keeps nothing."""

import asyncio
import contextlib
import gc
import os
import socket
import struct
import weakref

import pytest

from tests.unit.protocols import Recorder
from tests.unit.tls import server_context

LOOPBACK = "127.0.0.1"
CLIENTS = 300
BACKLOG = 400
LARGE = bytes(1 << 20)


def client(address):
    """A client whose close() is a reset."""
    sock = socket.create_connection(address)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return sock


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


class Echo(Recorder):
    def data_received(self, data):
        super().data_received(data)
        self.transport.write(data)


class Greeting(Echo):
    """Writes at once what no client reads."""

    def connection_made(self, transport):
        super().connection_made(transport)
        transport.write(LARGE)


class Buffered(asyncio.BufferedProtocol):
    """Receives into a buffer of its own."""

    def __init__(self):
        self.buffer = bytearray(100)
        self.events = []

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        self.transport.write(self.buffer[:count])

    def connection_lost(self, error):
        self.events.append(("lost", error))


def made(served):
    return [each for each in served if each.events]


def was_lost_once(protocol):
    (error,) = [event[1] for event in protocol.events if isinstance(event, tuple)]
    in_the_end = isinstance(protocol.events[-1], tuple)
    return in_the_end and (error is None or isinstance(error, (ConnectionResetError, BrokenPipeError)))


async def before_it_is_accepted(address, served):
    for _ in range(CLIENTS):
        client(address).close()


async def when_it_is_accepted(address, served):
    for _ in range(CLIENTS // 20):
        batch = [client(address) for _ in range(20)]
        await turns()
        for sock in batch:
            sock.close()


async def with_data_on_the_way(address, served):
    for number in range(CLIENTS):
        sock = client(address)
        sock.sendall(b"data" * 1000)
        if number % 2:
            await turns(number % 5)
        sock.close()


async def while_it_is_written_to(address, served):
    for _ in range(CLIENTS // 20):
        batch = [client(address) for _ in range(20)]
        for sock in batch:
            sock.sendall(b"x")
        await turns(10)
        for sock in batch:
            with contextlib.suppress(BlockingIOError):
                sock.recv(1000, socket.MSG_DONTWAIT)
            sock.close()


async def when_the_server_has_closed(address, served):
    for _ in range(CLIENTS // 20):
        batch = [client(address) for _ in range(20)]
        await turns()
        for each in made(served):
            each.transport.close()
        for sock in batch:
            sock.close()


MOMENTS = (
    before_it_is_accepted,
    when_it_is_accepted,
    with_data_on_the_way,
    while_it_is_written_to,
    when_the_server_has_closed,
)


@pytest.mark.parametrize("factory", [Echo, Greeting, Buffered])
@pytest.mark.parametrize("storm", MOMENTS)
def test_every_connection_is_lost_once(loop, run, storm, factory):
    served = []

    def serve():
        served.append(factory())
        return served[-1]

    async def main():
        server = await loop.create_server(serve, LOOPBACK, 0, backlog=BACKLOG)
        await asyncio.sleep(0.001)
        before = len(os.listdir("/proc/self/fd"))
        await storm(server.sockets[0].getsockname(), served)
        # The kernel may drop what was broken before it was accepted, so how many there are is its to say.
        with client(server.sockets[0].getsockname()) as last:
            name = last.getsockname()
            while all(each.transport.get_extra_info("peername") != name for each in made(served)):
                await asyncio.sleep(0)
        while len(os.listdir("/proc/self/fd")) > before:
            await asyncio.sleep(0)
        server.close()
        await turns()

    run(main())
    assert all(was_lost_once(each) for each in served)
    alive = weakref.WeakSet(served)
    alive.update(each.transport for each in served)
    served.clear()
    gc.collect()
    assert list(alive) == []


@pytest.mark.parametrize("moment", ["at once", "in the middle", "during the handshake"])
def test_streams_and_tls(impl, loop, run, moment):
    """A handler that reads and writes ends by the reason, and so does a handshake."""
    reasons = []

    async def serve(reader, writer):
        try:
            while await reader.readline():
                writer.write(LARGE)
                await writer.drain()
        except OSError as error:
            reasons.append(error)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def main():
        secure = server_context() if moment == "during the handshake" else None
        server = await impl.start_server(serve, LOOPBACK, 0, ssl=secure, backlog=BACKLOG)
        await asyncio.sleep(0.001)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(CLIENTS // 20):
            batch = [client(server.sockets[0].getsockname()) for _ in range(20)]
            if moment != "at once":
                await turns()
                for sock in batch:
                    sock.sendall(b"a line\n")
                await turns()
            for sock in batch:
                sock.close()
        while len(os.listdir("/proc/self/fd")) > before or len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        server.close()

    run(main())
    assert {type(reason) for reason in reasons} <= {ConnectionResetError, BrokenPipeError}
    assert moment != "in the middle" or reasons


def test_thousands_come_and_go(loop, run):
    """Each is accepted, answered and closed from one side or the other."""
    alive = weakref.WeakSet()

    class Answer(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            alive.update((self, transport))

        def data_received(self, data):
            self.transport.write(data)
            if data == b"last":
                self.transport.close()

    async def visit(address, number):
        sock = socket.socket()
        sock.setblocking(False)
        with sock:
            await loop.sock_connect(sock, address)
            if number % 3:
                text = b"last" if number % 3 == 1 else b"first"
                await loop.sock_sendall(sock, text)
                assert await loop.sock_recv(sock, 10) == text

    async def main():
        server = await loop.create_server(Answer, LOOPBACK, 0, backlog=BACKLOG)
        address = server.sockets[0].getsockname()
        await asyncio.sleep(0.001)
        before = len(os.listdir("/proc/self/fd"))
        for start in range(0, 3000, 100):
            await asyncio.gather(*[visit(address, number) for number in range(start, start + 100)])
        while len(os.listdir("/proc/self/fd")) > before:
            await asyncio.sleep(0)
        server.close()
        await asyncio.sleep(0)

    run(main())
    gc.collect()
    assert list(alive) == []
