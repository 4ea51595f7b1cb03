"""`sock_recv` and its sisters that are cancelled: what has arrived stays in the socket, for who asks next."""

import asyncio
import socket

import pytest

HOW = {
    "sock_recv": (socket.SOCK_STREAM, lambda loop, sock: loop.sock_recv(sock, 100)),
    "sock_recv_into": (socket.SOCK_STREAM, lambda loop, sock: loop.sock_recv_into(sock, bytearray(100))),
    "sock_recvfrom": (socket.SOCK_DGRAM, lambda loop, sock: loop.sock_recvfrom(sock, 100)),
    "sock_recvfrom_into": (
        socket.SOCK_DGRAM,
        lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(100)),
    ),
}


@pytest.mark.yibu_only
@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("how", HOW)
def test_nothing_is_lost(impl, loop, run, how, turns):
    kind, receive = HOW[how]
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)

    async def main():
        waiting = loop.create_task(receive(loop, ours))
        await impl.sleep(0)
        theirs.send(b"data")
        for _ in range(turns):
            await impl.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        if waiting.cancelled():
            assert await loop.sock_recv(ours, 100) == b"data"
        else:
            assert turns > 1

    with ours, theirs:
        ours.setblocking(False)
        run(main())
