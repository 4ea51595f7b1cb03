"""Protocols and sockets that the network tests talk to."""

import asyncio
import socket

PEER_LIMIT = 10
"""Seconds that a blocking operation of a test's own socket may take."""


BUFFER = 128 * 1024
"""How much the kernel buffers at each end, about."""


LARGE = 8 * 1024 * 1024
"""More than the kernel takes at once between two loopback sockets."""


class Recorder(asyncio.Protocol):
    """Records what happens to it, in order, and lets a test wait for the next thing."""

    def __init__(self, *, keep_open=None):
        self.loop = asyncio.get_running_loop()
        self.events = []
        self.data = bytearray()
        self.transport = None
        self.keep_open = keep_open
        self.lost = self.loop.create_future()
        self._changed = asyncio.Event()

    def _note(self, *event):
        self.events.append(event[0] if len(event) == 1 else event)
        self._changed.set()

    def connection_made(self, transport):
        self.transport = transport
        self._note("made")

    def data_received(self, data):
        assert isinstance(data, bytes)
        self.data += data
        self._note("data")

    def eof_received(self):
        self._note("eof")
        return self.keep_open

    def pause_writing(self):
        self._note("pause")

    def resume_writing(self):
        self._note("resume")

    def connection_lost(self, error):
        self._note("lost", error)
        if not self.lost.done():
            self.lost.set_result(error)

    async def until(self, condition):
        """Wait until `condition()` holds; it is looked at after every event."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def received(self, count):
        """Wait until `count` bytes have come, and return all that has."""
        await self.until(lambda: len(self.data) >= count)
        return bytes(self.data)

    @property
    def order(self):
        """The events without repetitions of data: how TCP cuts a stream is no event of its own."""
        return [
            event
            for number, event in enumerate(self.events)
            if event != "data" or number == 0 or self.events[number - 1] != "data"
        ]


class BufferedRecorder(asyncio.BufferedProtocol):
    """Receives into a buffer of its own."""

    def __init__(self, size=64):
        self.events = []
        self.data = bytearray()
        self.hints = []
        self.buffer = bytearray(size)
        self.lost = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        self.hints.append(sizehint)
        return self.buffer

    def buffer_updated(self, count):
        self.data += self.buffer[:count]
        self.events.append(count)
        self._changed.set()

    def eof_received(self):
        self.events.append("eof")

    def connection_lost(self, error):
        if not self.lost.done():
            self.lost.set_result(error)

    async def received(self, count):
        while len(self.data) < count:
            self._changed.clear()
            await self._changed.wait()
        return bytes(self.data)


def tcp_pair():
    """Return two connected TCP sockets: one for the loop, and a blocking one for the test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), timeout=PEER_LIMIT)
        ours, _ = listener.accept()
    # Left to itself the kernel lets buffers grow, and two of them may take LARGE.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    ours.setblocking(False)
    peer.settimeout(PEER_LIMIT)
    return ours, peer


def receive(peer, count):
    """Receive exactly `count` bytes on a blocking socket, or fewer when the stream ends before."""
    data = bytearray()
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            break
        data += more
    return bytes(data)


async def one_poll(loop):
    """Return when the loop has looked at its sockets: whatever was ready before has been acted on."""
    ours, theirs = socket.socketpair()
    polled = asyncio.Event()
    with ours, theirs:
        loop.add_writer(ours, polled.set)  # a fresh socket is writable, and only a poll can tell
        await polled.wait()
        loop.remove_writer(ours)


async def drain_peer(loop, peer, count):
    """Receive `count` bytes on the peer without blocking the loop."""
    peer.setblocking(False)
    data = bytearray()
    while len(data) < count:
        more = await loop.sock_recv(peer, 1 << 20)
        if not more:
            break
        data += more
    return bytes(data)
