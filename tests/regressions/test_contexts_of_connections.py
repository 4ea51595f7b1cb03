"""Protocols are called in the context of their connection, whoever reads, writes or closes it."""

import asyncio
import contextlib
import contextvars
import os
import socket

import pytest

from tests.unit import tls

pytestmark = pytest.mark.yibu_only

user = contextvars.ContextVar("user", default="nobody")


class Seen:
    """Notes in whose context each method is called."""

    def __init__(self):
        self.seen, self.lost = [], asyncio.Event()

    def note(self, method):
        self.seen.append((method, user.get()))

    def connection_made(self, transport):
        self.transport = transport

    def pause_writing(self):
        self.note("pause_writing")

    def resume_writing(self):
        self.note("resume_writing")

    def connection_lost(self, error):
        self.note("connection_lost")
        self.lost.set()


class Plain(Seen, asyncio.Protocol):
    def data_received(self, data):
        self.note("data_received")

    def eof_received(self):
        self.note("eof_received")


class Buffered(Seen, asyncio.BufferedProtocol):
    buffer = bytearray(100)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        self.note("buffer_updated")


class Datagrams(Seen, asyncio.DatagramProtocol):
    def datagram_received(self, data, address):
        self.note("datagram_received")

    def error_received(self, error):
        self.note("error_received")


async def turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


async def as_alice(function, *args):
    """Call it in a task that has an identity of its own."""

    async def call():
        user.set("alice")
        function(*args)
        await turns()

    await asyncio.create_task(call())


async def use(transport, protocol, peer):
    """Everything that makes a stream call its protocol, done by somebody else."""
    transport.pause_reading()
    await as_alice(transport.resume_reading)
    peer.send(b"x")
    await turns()
    await as_alice(transport.write, bytes(5_000_000))
    while transport.get_write_buffer_size():
        with contextlib.suppress(BlockingIOError):
            peer.recv(1_000_000)
        await asyncio.sleep(0)
    await as_alice(transport.close)
    await protocol.lost.wait()


@pytest.mark.parametrize("kind", [Plain, Buffered])
def test_connections(run, loop, kind):
    async def main():
        near, peer = socket.socketpair()
        peer.setblocking(False)
        with peer:
            transport, protocol = await loop.create_connection(kind, sock=near)
            await use(transport, protocol, peer)
        received = "data_received" if kind is Plain else "buffer_updated"
        assert protocol.seen == [
            (method, "nobody") for method in (received, "pause_writing", "resume_writing", "connection_lost")
        ]

    run(main())


def test_a_connection_has_the_context_of_who_opened_it(run, loop):
    async def main():
        near, peer = socket.socketpair()
        peer.setblocking(False)

        async def open_it():
            user.set("bob")
            return await loop.create_connection(Plain, sock=near)

        with peer:
            transport, protocol = await asyncio.create_task(open_it())
            await use(transport, protocol, peer)
        assert {name for _, name in protocol.seen} == {"bob"}

    run(main())


def test_what_a_protocol_sets_stays(run, loop):
    class Setting(Plain):
        def data_received(self, data):
            super().data_received(data)
            user.set(data.decode())
            # Its own context is entered already.
            self.transport.set_write_buffer_limits(0)
            self.transport.write(bytes(5_000_000))

    async def main():
        near, peer = socket.socketpair()
        peer.setblocking(False)
        with peer:
            transport, protocol = await loop.create_connection(Setting, sock=near)
            peer.send(b"carol")
            await turns()
            transport.abort()
            await protocol.lost.wait()
        assert protocol.seen == [
            ("data_received", "nobody"),
            ("pause_writing", "carol"),
            ("connection_lost", "carol"),
        ]

    run(main())


def test_pipes(run, loop):
    async def main():
        reader, writer = os.pipe()
        receiving, received = await loop.connect_read_pipe(Plain, os.fdopen(reader, "rb", 0))
        sending, sent = await loop.connect_write_pipe(Plain, os.fdopen(writer, "wb", 0))
        receiving.pause_reading()
        await as_alice(sending.write, bytes(1_000_000))
        await as_alice(receiving.resume_reading)
        while sending.get_write_buffer_size():
            await asyncio.sleep(0)
        await as_alice(sending.close)
        await received.lost.wait()
        assert {name for _, name in received.seen + sent.seen} == {"nobody"}
        assert [method for method, _ in sent.seen] == ["pause_writing", "resume_writing", "connection_lost"]

    run(main())


def test_datagrams(run, loop):
    async def main():
        near, peer = socket.socketpair(type=socket.SOCK_DGRAM)
        peer.setblocking(False)
        with peer:
            transport, protocol = await loop.create_datagram_endpoint(Datagrams, sock=near)
            transport.pause_reading()
            await as_alice(transport.resume_reading)
            peer.send(b"x")
            await turns()
            transport.set_write_buffer_limits(100)
            await as_alice(lambda: [transport.sendto(b"-" * 1000) for _ in range(1000)])
            while transport.get_write_buffer_size():
                peer.recv(10_000)
                await asyncio.sleep(0)
            await as_alice(transport.close)
            await protocol.lost.wait()
        assert [method for method, _ in protocol.seen] == [
            "datagram_received",
            "pause_writing",
            "resume_writing",
            "connection_lost",
        ]
        assert {name for _, name in protocol.seen} == {"nobody"}

    run(main())


def test_tls(run, loop):
    async def main():
        at_server = Plain()
        server = await loop.create_server(lambda: at_server, "127.0.0.1", 0, ssl=tls.server_context())
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=tls.client_context(), server_hostname="localhost"
        )
        writer.write(b"x")
        await turns(100)
        transport = at_server.transport
        transport.pause_reading()
        writer.write(b"x")
        await turns(100)
        await as_alice(transport.resume_reading)
        await as_alice(lambda: [transport.write(bytes(5_000_000)) for _ in range(2)])
        await reader.readexactly(10_000_000)
        await turns(100)
        await as_alice(transport.close)
        writer.close()
        await at_server.lost.wait()
        server.close()
        assert {name for _, name in at_server.seen} == {"nobody"}
        methods = [method for method, _ in at_server.seen]
        assert methods[:4] == ["data_received", "data_received", "pause_writing", "resume_writing"]

    run(main())
