"""A program closes the file of a transport, and the number is used again: the stranger is left alone."""

import asyncio
import os
import socket

import pytest

from tests.unit import tls


def stranger(number, kind=socket.SOCK_STREAM):
    """Return a pair of sockets of which the first has this descriptor number."""
    near, far = socket.socketpair(type=kind)
    if far.fileno() == number:
        near, far = far, near
    if near.fileno() != number:
        assert number not in (near.fileno(), far.fileno())
        os.dup2(near.fileno(), number)
        near.close()
        near = socket.socket(fileno=number)
    far.setblocking(False)
    return near, far


def untouched(near, far):
    """Tell whether nothing was sent, received or shut down: what waits on each side is still there."""
    try:
        return near.recv(100, socket.MSG_DONTWAIT) == b"for the stranger" and not far.recv(100)
    except BlockingIOError:
        return True


class Quiet(asyncio.Protocol):
    def __init__(self):
        self.events, self.made, self.lost = [], asyncio.Event(), asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        self.made.set()

    def data_received(self, data):
        self.events.append(data)

    def eof_received(self):
        self.events.append("eof")

    def connection_lost(self, error):
        self.events.append(error)
        self.lost.set()


class Buffered(asyncio.BufferedProtocol):
    def __init__(self):
        self.lost = asyncio.Event()
        self.steal = None

    def get_buffer(self, sizehint):
        self.steal()
        return self.buffer

    buffer = bytearray(b"-" * 100)

    def connection_lost(self, error):
        self.lost.set()


class QuietDatagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.events = []

    def datagram_received(self, data, address):
        self.events.append(data)

    def error_received(self, error):
        self.events.append(error)


def close_socket(transport):
    """Close the socket object as a program can that was given it, and return the number that it had."""
    shown = transport.get_extra_info("socket")
    number = shown.fileno()
    shown._sock.close()
    return number


@pytest.fixture
def connect(impl, loop):
    """Make the transport of one end of a connection, as each kind of program does."""
    peers, servers = [], []

    async def connect(kind):
        if kind == "given":
            near, far = socket.socketpair()
            peers.append(far)
            return (await loop.create_connection(Quiet, sock=near))[0]
        if kind == "connected":
            listener = socket.create_server(("127.0.0.1", 0))
            peers.append(listener)
            return (await loop.create_connection(Quiet, *listener.getsockname()))[0]
        protocol = Quiet()
        context = tls.server_context() if kind == "accepted, TLS" else None
        server = await loop.create_server(lambda: protocol, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        address = server.sockets[0].getsockname()
        if context is None:
            peers.append(socket.create_connection(address))
        else:
            client, _ = await loop.create_connection(
                Quiet, *address, ssl=tls.client_context(), server_hostname="localhost"
            )
            peers.append(client)
        await protocol.made.wait()
        return protocol.transport

    yield connect
    for one in peers + servers:
        one.close()


KINDS = ["given", "connected", "accepted", "accepted, TLS"]

WRITES = {
    "write": lambda transport: transport.write(b"for the peer only"),
    "writelines": lambda transport: transport.writelines([b"for the peer", b" only"]),
    "two writes": lambda transport: [transport.write(b"for the peer only") for _ in range(2)],
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "pause": lambda transport: transport.pause_reading(),
    "nothing": lambda transport: None,
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("kind", KINDS)
def test_connections(run, loop, connect, kind, write):
    async def main():
        transport = await connect(kind)
        near, far = stranger(close_socket(transport))
        with near, far:
            far.send(b"for the stranger")
            WRITES[write](transport)
            for _ in range(5):
                await asyncio.sleep(0)
            assert untouched(near, far)
            transport.abort()
            for _ in range(5):
                await asyncio.sleep(0)
            assert untouched(near, far)

    loop.set_exception_handler(lambda loop, context: None)
    run(main())


@pytest.mark.parametrize("kind", ["given", "connected", "accepted"])
def test_writing_nothing_to_a_closed_socket(run, connect, kind):
    async def main():
        transport = await connect(kind)
        near, far = stranger(close_socket(transport))
        with near, far:
            transport.write(b"")
            assert not transport.is_closing()
            await asyncio.sleep(0)
            assert not transport.is_closing()
            transport.write(b"something")
            await asyncio.sleep(0)
            assert transport.is_closing()

    run(main())


@pytest.mark.parametrize("kind", ["given", "connected", "accepted"])
def test_the_end_of_a_connection(run, loop, connect, kind):
    async def main():
        transport = await connect(kind)
        near, far = stranger(close_socket(transport))
        with near, far:
            with pytest.raises(OSError, match="Bad file descriptor"):
                transport.write_eof()
            assert untouched(near, far)
            transport.write_eof()
            transport.abort()
            await transport.get_protocol().lost.wait()

    run(main())


def test_a_write_is_an_error_of_the_connection(run, loop, connect):
    async def main():
        transport = await connect("accepted")
        protocol = transport.get_protocol()
        close_socket(transport)
        transport.write(b"nowhere")
        await protocol.lost.wait()
        assert [error.errno for error in protocol.events] == [9]

    run(main())


@pytest.mark.yibu_only
def test_what_waits_to_be_sent(run, loop):
    async def main():
        near, peer = socket.socketpair()
        transport, protocol = await loop.create_connection(Quiet, sock=near)
        transport.write(bytes(10_000_000))
        number = near.fileno()
        near.close()
        near, far = stranger(number)
        with near, far, peer:
            peer.recv(1_000_000)
            transport.write(b"more")
            for _ in range(5):
                await asyncio.sleep(0)
            assert untouched(near, far)
            transport.abort()
            await protocol.lost.wait()

    run(main())


@pytest.mark.yibu_only
def test_the_protocol_closes_the_socket_when_it_lends_its_buffer(run, loop):
    async def main():
        near, peer = socket.socketpair()
        strangers = []

        def steal():
            number = near.fileno()
            near.close()
            strangers.extend(stranger(number))
            strangers[1].send(b"for the stranger")

        _transport, protocol = await loop.create_connection(Buffered, sock=near)
        protocol.steal = steal
        peer.send(b"x")
        await protocol.lost.wait()
        assert untouched(*strangers)
        assert bytes(protocol.buffer) == b"-" * 100
        for one in (*strangers, peer):
            one.close()

    run(main())


@pytest.mark.yibu_only
@pytest.mark.parametrize("made", ["pair", "UDP", "connected UDP"])
def test_datagrams(run, loop, made):
    async def main():
        peer = socket.socket(type=socket.SOCK_DGRAM)
        peer.bind(("127.0.0.1", 0))
        address = None
        if made == "pair":
            near, partner = socket.socketpair(type=socket.SOCK_DGRAM)
            endpoint = loop.create_datagram_endpoint(QuietDatagrams, sock=near)
        elif made == "UDP":
            address, partner = peer.getsockname(), None
            endpoint = loop.create_datagram_endpoint(QuietDatagrams, ("127.0.0.1", 0))
        else:
            partner = None
            endpoint = loop.create_datagram_endpoint(QuietDatagrams, remote_addr=peer.getsockname())
        transport, protocol = await endpoint
        near, far = stranger(close_socket(transport), socket.SOCK_DGRAM)
        with near, far, peer:
            far.send(b"for the stranger")
            transport.sendto(b"for the peer only", address)
            for _ in range(5):
                await asyncio.sleep(0)
            assert untouched(near, far)
            assert {getattr(event, "errno", event) for event in protocol.events} == {9}
            transport.abort()
            await asyncio.sleep(0)
            if partner is not None:
                partner.close()

    loop.set_exception_handler(lambda loop, context: None)
    run(main())


@pytest.mark.yibu_only
@pytest.mark.parametrize("end", ["read", "write"])
def test_pipes(run, loop, end):
    async def main():
        reader, writer = os.pipe()
        if end == "read":
            mine, other = os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)
            transport, protocol = await loop.connect_read_pipe(Quiet, mine)
        else:
            other, mine = os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)
            transport, protocol = await loop.connect_write_pipe(Quiet, mine)
        number = mine.fileno()
        mine.close()
        near, far = stranger(number)
        with near, far, other:
            far.send(b"for the stranger")
            if end == "write":
                transport.write(b"for the reader only")
            for _ in range(5):
                await asyncio.sleep(0)
            assert untouched(near, far)
            transport.close()
            await protocol.lost.wait()
            assert untouched(near, far)

    run(main())


@pytest.mark.yibu_only
def test_listeners(run, loop):
    async def main():
        accepted = []
        server = await loop.create_server(lambda: accepted.append(1) or Quiet(), "127.0.0.1", 0)
        listening = server.sockets[0]
        number = listening.fileno()
        other = socket.create_server(("127.0.0.1", 0))
        waiting = socket.create_connection(listening.getsockname())
        listening._sock.close()
        os.dup2(other.fileno(), number)
        client = socket.create_connection(other.getsockname())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not accepted
        other.accept()[0].close()
        os.close(number)
        for one in client, waiting, other:
            one.close()
        server.close()

    loop.set_exception_handler(lambda loop, context: None)
    run(main())


def test_a_program_that_waits_for_its_own_socket(run, loop):
    async def main():
        mine, peer = socket.socketpair()
        mine.setblocking(False)
        waiting = asyncio.ensure_future(loop.sock_recv(mine, 100))
        await asyncio.sleep(0)
        number = mine.fileno()
        mine.close()
        near, far = stranger(number)
        with near, far, peer:
            far.send(b"for the stranger")
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
            assert untouched(near, far)

    run(main())
