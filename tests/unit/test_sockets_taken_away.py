"""Transports whose socket the program closes or takes away, while another file gets its number."""

import asyncio
import errno
import os
import socket
from contextlib import contextmanager

import pytest

from tests.unit.protocols import tcp_pair

HOST = "127.0.0.1"


@contextmanager
def another_file_under(number):
    """A socket that has this number, which is free; its peer is given."""
    # The number may be the next one that is given out anyway.
    pair = sorted(socket.socketpair(), key=lambda each: each.fileno() != number)
    with pair[0], pair[1] as peer:
        peer.setblocking(False)
        if pair[0].fileno() == number:
            yield peer
            return
        os.dup2(pair[0].fileno(), number)
        try:
            yield peer
        finally:
            os.close(number)


class Noting(asyncio.Protocol):
    def __init__(self):
        self.received = b""
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.received += data

    def connection_lost(self, error):
        self.lost.set_result(error)


class NotingDatagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.errors = []

    def error_received(self, error):
        self.errors.append(error)


def nothing_arrives(peer):
    with pytest.raises(BlockingIOError):
        peer.recv(1)


@pytest.mark.parametrize("by", ["close", "detach"])
def test_streams(loop, run, by):
    ours, peer = tcp_pair()

    async def main():
        transport, protocol = await loop.create_connection(Noting, sock=ours)
        for _ in range(3):
            transport.write(b"before")
            assert await asyncio.to_thread(peer.recv, 6) == b"before"
            peer.send(b"b")
        while len(protocol.received) < 3:
            await asyncio.sleep(0.001)
        number = ours.fileno()
        taken = getattr(ours, by)()
        assert (ours.fileno(), taken) == (-1, {"close": None, "detach": number}[by])
        if by == "detach":
            os.close(number)
        with another_file_under(number) as other:
            transport.write(b"after")
            error = await protocol.lost
            nothing_arrives(other)
        assert error.errno == errno.EBADF

    with peer:
        run(main())


@pytest.mark.parametrize("by", ["close", "detach"])
def test_datagrams(loop, run, by):
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((HOST, 0))
            peer.settimeout(10)
            ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            ours.connect(peer.getsockname())
            ours.setblocking(False)
            transport, protocol = await loop.create_datagram_endpoint(NotingDatagrams, sock=ours)
            for _ in range(3):
                transport.sendto(b"before")
                assert peer.recv(10) == b"before"
            number = ours.fileno()
            getattr(ours, by)()
            if by == "detach":
                os.close(number)
            with another_file_under(number) as other:
                transport.sendto(b"after")
                nothing_arrives(other)
            transport.abort()
            await asyncio.sleep(0)
            assert [error.errno for error in protocol.errors] == [errno.EBADF]

    run(main())


def test_sockets_of_the_program(loop, run):
    """`sock_sendall` and `sock_recv` ask the socket each time."""
    ours, peer = tcp_pair()
    ours.setblocking(False)

    async def main():
        for _ in range(3):
            await loop.sock_sendall(ours, b"before")
            assert await asyncio.to_thread(peer.recv, 6) == b"before"
        number = ours.fileno()
        ours.close()
        with another_file_under(number) as other:
            with pytest.raises(OSError) as refused:
                await loop.sock_sendall(ours, b"after")
            assert refused.value.errno == errno.EBADF
            with pytest.raises(OSError) as refused:
                await loop.sock_recv(ours, 1)
            assert refused.value.errno == errno.EBADF
            nothing_arrives(other)

    with peer:
        run(main())


def test_methods_of_the_class_that_are_replaced(loop, run, monkeypatch):
    """What a program has put in the place of `fileno` is asked, as long as it is there."""
    ours, peer = tcp_pair()
    original = socket.socket.fileno
    asked = []

    def fileno(sock):
        asked.append(sock)
        return original(sock)

    async def main():
        transport, protocol = await loop.create_connection(Noting, sock=ours)
        for replaced in (False, True, False):
            with monkeypatch.context() as patch:
                if replaced:
                    patch.setattr(socket.socket, "fileno", fileno)
                transport.write(b"there")
                assert await asyncio.to_thread(peer.recv, 5) == b"there"
        peer.send(b"back")
        while len(protocol.received) < 4:
            await asyncio.sleep(0.001)
        transport.abort()
        await protocol.lost

    with peer:
        run(main())
