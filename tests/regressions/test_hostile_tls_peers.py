"""Peers that speak no TLS, or stop speaking it anywhere: they cost their own connection and nothing else."""

import asyncio
import contextlib
import os
import random
import socket
import ssl
import struct

import pytest

from tests.unit.protocols import PEER_LIMIT, Recorder
from tests.unit.tls import client_context, server_context

LOOPBACK = "127.0.0.1"
HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def leave_by_closing(sock):
    sock.close()


def leave_by_reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def leave_by_half(sock):
    """Say that there will be no more, and wait for the answer."""
    sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1 << 16):
            pass
    sock.close()


async def descriptors():
    """Return how many there are when the loop has those that it waits with."""
    await asyncio.sleep(0.001)
    return len(os.listdir("/proc/self/fd"))


WAYS_TO_LEAVE = (leave_by_closing, leave_by_reset, leave_by_half)


class Handshake:
    """The client's side of a handshake, flight by flight, and what comes after it."""

    def __init__(self):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def flight(self, received=b""):
        """Return what the client sends next."""
        self.incoming.write(received)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def second_flight(self, sock):
        """Return what the client sends when it has all that the server had to say."""
        while True:
            data = sock.recv(1 << 16)
            assert data
            answer = self.flight(data)
            if answer:
                return answer

    def message(self, text):
        self.tls.write(text)
        return self.outgoing.read()

    def read(self, sock):
        while True:
            try:
                return self.tls.read()
            except ssl.SSLWantReadError:
                data = sock.recv(1 << 16)
                assert data
                self.incoming.write(data)


class Place:
    """A TLS server of the loop, which is served from threads: they block as other programs do."""

    def __init__(self, loop):
        self.loop = loop
        self.served = []
        self.server = None
        self.descriptors = 0

    async def start(self, **options):
        def serve():
            self.served.append(Echo())
            return self.served[-1]

        self.server = await self.loop.create_server(serve, LOOPBACK, 0, ssl=server_context(), **options)

    async def visit(self, function, *args):
        """Let `function(sock, *args)` be a client, in a thread."""

        def visit():
            with socket.create_connection(self.server.sockets[0].getsockname(), timeout=PEER_LIMIT) as sock:
                return function(sock, *args)

        return await asyncio.to_thread(visit)

    async def all_lost(self):
        """Wait until every connection has gone, and nothing of it is open; return how many had been made."""
        while len(os.listdir("/proc/self/fd")) > self.descriptors:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        made = [each for each in self.served if each.events]
        for each in made:
            assert each.events[0] == "made"
            assert [event for event in each.events if event[0] == "lost"] == each.events[-1:]
        self.served.clear()
        return len(made)


class Echo(Recorder):
    def data_received(self, data):
        super().data_received(data)
        self.transport.write(data)


def talk(sock, step=None):
    """Shake hands and be echoed; each write goes out in one piece or in small ones."""

    def send(data):
        for start in range(0, len(data), step or len(data)):
            sock.sendall(data[start : start + (step or len(data))])

    handshake = Handshake()
    send(handshake.flight())
    send(handshake.second_flight(sock))
    send(handshake.message(b"still there?"))
    assert handshake.read(sock) == b"still there?"


@pytest.fixture
def visited(loop, run):
    """Run `scene(place)` against a server, and see that it still serves and that nothing is left."""

    def visited(scene, **options):
        async def main():
            place = Place(loop)
            await place.start(**options)
            await place.visit(talk)  # what is made once is there before descriptors are counted
            await place.served.pop().lost
            await asyncio.sleep(0)
            place.descriptors = await descriptors()
            result = await scene(place)
            await place.visit(talk)
            assert await place.all_lost() == 1
            place.server.close()
            return result

        return run(main())

    return visited


class TestServer:
    @pytest.mark.parametrize(
        "data",
        [
            HTTP,
            b"\x00",
            b"\x16\x03\x01",
            b"\x16\x03\x01\xff\xff" + bytes(70_000),
            b"\x80\x2e\x01\x00\x02",
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"\n" * 200_000,
        ],
        ids=["HTTP", "a zero", "half a header", "too long", "SSL 2", "an alert", "lines"],
    )
    @pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
    def test_what_is_no_tls(self, visited, data, leave):
        def say(sock):
            with contextlib.suppress(OSError):
                sock.sendall(data)
                leave(sock)

        async def scene(place):
            await place.visit(say)
            assert await place.all_lost() == 0

        visited(scene)

    def test_random_bytes_and_damaged_greetings(self, visited):
        source = random.Random(1)

        def say(sock):
            if source.random() < 0.3:
                data = source.randbytes(source.randint(1, 2000))
            else:
                data = bytearray(Handshake().flight())
                for _ in range(source.randint(1, 10)):
                    data[source.randrange(len(data))] = source.randrange(256)
            with contextlib.suppress(OSError):
                sock.sendall(data)
                source.choice(WAYS_TO_LEAVE)(sock)

        async def scene(place):
            for _ in range(60):
                await place.visit(say)
                assert await place.all_lost() == 0

        visited(scene)

    @pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
    def test_a_peer_that_leaves_in_the_middle_of_a_handshake(self, visited, leave):
        def say(sock, flight, part):
            handshake = Handshake()
            data = handshake.flight()
            if flight == 2:
                sock.sendall(data)
                data = handshake.second_flight(sock)
            sock.sendall(data[: int(part * len(data))])
            with contextlib.suppress(OSError):
                leave(sock)

        async def scene(place):
            for flight in (1, 2):
                for part in (0, 0.01, 0.5, 0.99):
                    await place.visit(say, flight, part)
                    assert await place.all_lost() == 0
            await place.visit(say, 1, 1)
            assert await place.all_lost() == 0
            if leave is leave_by_closing:
                await place.visit(say, 2, 1)
                assert await place.all_lost() <= 1  # the last flight may be overtaken by a reset

        visited(scene)

    @pytest.mark.parametrize("part", [0, 0.5, 1])
    def test_a_peer_that_says_no_more(self, visited, part):
        """It is dropped when the time for the handshake is over."""

        def stall(sock):
            data = Handshake().flight()
            sock.sendall(data[: int(part * len(data))])
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(1 << 16):
                    pass

        async def scene(place):
            server, place.server = place.server, None
            await place.start(ssl_handshake_timeout=0.02)
            place.descriptors += 1
            await place.visit(stall)
            assert await place.all_lost() == 0
            place.server.close()
            place.server = server
            place.descriptors -= 1

        visited(scene)

    def test_one_byte_at_a_time(self, visited):
        async def scene(place):
            await place.visit(talk, 1)
            assert await place.all_lost() == 1

        visited(scene)

    def test_garbage_behind_the_handshake(self, visited):
        def say(sock):
            handshake = Handshake()
            sock.sendall(handshake.flight())
            sock.sendall(handshake.second_flight(sock))
            sock.sendall(handshake.message(b"a word") + HTTP)
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(1 << 16):
                    pass

        async def scene(place):
            await place.visit(say)
            served = place.served[-1]
            assert await place.all_lost() == 1
            assert served.data in (b"", b"a word")  # what came with the garbage may go with it
            (error,) = [event[1] for event in served.events if event[0] == "lost"]
            assert isinstance(error, ssl.SSLError)

        visited(scene)


class TestClient:
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", ssl.SSLError),
            (b"\x15\x03\x01\x00\x02\x02\x28", ssl.SSLError),
            (b"", (ConnectionResetError, ssl.SSLError)),
            (b"\x16\x03\x03\x00\x10", (ConnectionResetError, ssl.SSLError)),
        ],
        ids=["HTTP", "an alert", "nothing", "half a record"],
    )
    def test_what_is_no_tls(self, loop, run, answer, expected):
        async def main():
            class Serve(asyncio.Protocol):
                def connection_made(self, transport):
                    self.transport = transport

                def data_received(self, data):
                    self.transport.write(answer)
                    self.transport.close()

            before = await descriptors()
            server = await loop.create_server(Serve, LOOPBACK, 0)
            clients = []

            def client():
                clients.append(Recorder())
                return clients[-1]

            address = server.sockets[0].getsockname()
            for _ in range(5):
                with pytest.raises(expected):
                    await loop.create_connection(
                        client, *address, ssl=client_context(), server_hostname="localhost"
                    )
            assert [each.events for each in clients] == [[]] * 5
            server.close()
            while len(os.listdir("/proc/self/fd")) > before:
                await asyncio.sleep(0)

        run(main())

    def test_a_server_that_says_nothing(self, loop, run):
        async def main():
            with socket.create_server((LOOPBACK, 0)) as listener:
                before = await descriptors()
                with pytest.raises(ConnectionAbortedError, match="SSL handshake is taking longer than"):
                    await loop.create_connection(
                        Recorder,
                        *listener.getsockname(),
                        ssl=client_context(),
                        server_hostname="localhost",
                        ssl_handshake_timeout=0.02,
                    )
                while len(os.listdir("/proc/self/fd")) > before:
                    await asyncio.sleep(0)

        run(main())
