"""Flow control and closing of a transport, as its protocol sees it."""

import asyncio
import socket

log = []


class Watching(asyncio.Protocol):
    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()
        self.resumed = asyncio.Event()

    def connection_made(self, transport):
        log.append("made")

    def pause_writing(self):
        log.append("pause")

    def resume_writing(self):
        log.append("resume")
        self.resumed.set()

    def data_received(self, data):
        log.append(f"data {data!r}")

    def eof_received(self):
        log.append("eof")

    def connection_lost(self, error):
        log.append(f"lost {type(error).__name__}")
        self.lost.set_result(None)


async def drain(loop, sock, count):
    """Receive `count` bytes, or what there is before the end."""
    while count and (data := await loop.sock_recv(sock, min(count, 1 << 20))):
        count -= len(data)


async def pair(loop):
    one, two = socket.socketpair()
    two.setblocking(False)
    transport, protocol = await loop.create_connection(Watching, sock=one)
    return transport, protocol, two


async def main():
    loop = asyncio.get_running_loop()
    size = 4 << 20

    transport, protocol, peer = await pair(loop)
    transport.write(b"x" * size)
    log.append(transport.get_write_buffer_limits())
    await drain(loop, peer, size)
    await protocol.resumed.wait()
    transport.close()
    log.append("close called")
    await protocol.lost
    peer.close()

    transport, protocol, peer = await pair(loop)
    transport.write(b"x" * size)
    transport.close()
    transport.write(b"late")
    await drain(loop, peer, size)
    await protocol.lost
    log.append(await loop.sock_recv(peer, 100))
    peer.close()

    transport, protocol, peer = await pair(loop)
    transport.write(b"x" * size)
    transport.abort()
    log.append(transport.get_write_buffer_size())
    await protocol.lost
    peer.close()

    transport, protocol, peer = await pair(loop)
    peer.send(b"last words")
    peer.close()
    await protocol.lost

    transport, protocol, peer = await pair(loop)
    transport.pause_reading()
    peer.send(b"held")
    peer.shutdown(socket.SHUT_WR)
    await asyncio.sleep(0)
    transport.resume_reading()
    await protocol.lost
    peer.close()


asyncio.run(main())
print(*log, sep="\n")
