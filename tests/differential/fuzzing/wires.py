"""Connections for programs: some protocols that note what they are told, streams, datagrams and raw sockets.

All are Unix socket pairs, through which bytes are on the other side when `send` returns, so the turn in which
they arrive is that of the kernel's answer and nothing else. Called by `world.py`.
"""

import asyncio
import contextlib
import socket

NOTED = 3
"""How many connections have a protocol that takes notes; there is one more of datagrams."""

ENOUGH = 400_000
"""More than a socket takes at once."""


class Recorder(asyncio.Protocol):
    """Notes what it is told, and does what a program has told it to do when that happens."""

    def __init__(self, wires, name):
        self.wires = wires
        self.name = name
        self.orders = []

    def note(self, *what):
        self.wires.world.note(self.name, *what)
        if self.orders:
            self.wires.world.tried(f"{self.name} while {what[0]}", self.orders.pop(0))

    def connection_made(self, transport):
        self.note("made")

    def data_received(self, data):
        self.note("data", len(data), data[:1])

    def eof_received(self):
        self.note("eof")
        return self.wires.world.turn % 2 == 0

    def pause_writing(self):
        self.note("pause")

    def resume_writing(self):
        self.note("resume")

    def connection_lost(self, error):
        self.note("lost", type(error).__name__)


class Datagrams(Recorder):
    """The same for datagrams."""

    def datagram_received(self, data, address):
        self.note("datagram", len(data), data[:1])

    def error_received(self, error):
        self.note("error", type(error).__name__)


class Wires:
    """What programs in mode "wires" call, by numbers of connections."""

    def __init__(self, world):
        self.world = world
        self.sockets, self.strangers = contextlib.ExitStack(), []
        self.transports, self.protocols, self.peers = [], [], []
        self.readers, self.writers = [], []
        self.raw = self.watched = None
        self.busy = set()
        self.protocols_made = 0

    def pair(self, kind=socket.SOCK_STREAM):
        pair = socket.socketpair(socket.AF_UNIX, kind)
        for end in pair:
            end.setblocking(False)
            self.sockets.enter_context(end)
        return pair

    def datagram_pair(self):
        """A pair whose ends have names: asyncio sends to nobody else."""
        pair = self.pair(socket.SOCK_DGRAM)
        for end in pair:
            end.bind("")  # the kernel chooses
        for end, other in (pair, pair[::-1]):
            end.connect(other.getsockname())
        return pair

    async def open(self):
        loop = self.world.loop
        for number in range(NOTED):
            ours, theirs = self.pair()
            transport, protocol = await loop.create_connection(
                lambda number=number: Recorder(self, f"wire {number}"), sock=ours
            )
            self.keep(transport, protocol, theirs)
        ours, theirs = self.datagram_pair()
        self.keep(
            *await loop.create_datagram_endpoint(lambda: Datagrams(self, "datagrams"), sock=ours), theirs
        )
        for end in self.pair():
            reader, writer = await self.world.aio.open_connection(sock=end, limit=1000)
            self.readers.append(reader)
            self.writers.append(writer)
        self.raw, self.watched = self.pair(), self.pair()

    def keep(self, transport, protocol, peer):
        self.transports.append(transport)
        self.protocols.append(protocol)
        self.peers.append(peer)

    def look_at_strangers(self):
        """Nothing may have come to who only got the number of a socket that a program closed."""
        for stranger in self.strangers:
            with contextlib.suppress(BlockingIOError):
                if data := stranger.recv(1000):
                    self.world.note("a stranger", "got", len(data))

    def abort(self):
        for transport in [*self.transports, *(writer.transport for writer in self.writers)]:
            # asyncio's may fail where a program has closed the socket, or after a failed start.
            with contextlib.suppress(OSError, AttributeError):
                transport.abort()

    def close(self):
        self.sockets.close()

    # What programs call.

    def any(self, number):
        """Return a transport: one with a recorder, that of datagrams, or one of a stream."""
        return [*self.transports, *(writer.transport for writer in self.writers)][number % (NOTED + 3)]

    def noted(self, number):
        return self.transports[number % NOTED]

    def datagrams(self):
        return self.transports[NOTED]

    def order(self, number, call):
        """Have a protocol do something when it is told something for the next time."""
        self.protocols[number % (NOTED + 1)].orders.append(call)

    def another_protocol(self, number):
        self.protocols_made += 1
        self.protocols[number % NOTED] = protocol = Recorder(self, f"protocol {self.protocols_made}")
        self.noted(number).set_protocol(protocol)

    def peer(self, number):
        return self.peers[number % (NOTED + 1)]

    def shut(self, number):
        self.peer(number).shutdown(socket.SHUT_WR)

    def close_behind(self, number):
        """Close the socket of a transport; others get its number."""
        self.any(number).get_extra_info("socket")._sock.close()
        self.strangers += self.pair()

    def resume(self, number):
        """Resume reading, but not where asyncio would listen to a stranger."""
        transport = self.any(number)
        if transport.get_extra_info("socket").fileno() < 0:
            return "closed"
        return transport.resume_reading()

    async def read(self, number):
        """Read what there is, one at a time.

        asyncio's readers wake their task for every piece, yibu's when there is what it waits for. So who
        waits for a line, or for its turn, may be cancelled a turn earlier or later.
        """
        return await self.alone("reader", number % 2, self.readers[number % 2].read, number)

    def writer(self, number):
        return self.writers[number % 2]

    async def send(self, number, data):
        end = self.raw[number % 2]
        return await self.alone("sender", number % 2, self.world.loop.sock_sendall, end, data)

    async def receive(self, number):
        end = self.raw[number % 2]
        return await self.alone("receiver", number % 2, self.world.loop.sock_recv, end, 1000)

    async def alone(self, what, number, call, *arguments):
        """Await a call, unless one of its kind is under way."""
        if (what, number) in self.busy:
            return "busy"
        self.busy.add((what, number))
        try:
            return await call(*arguments)
        finally:
            self.busy.remove((what, number))

    def watch(self, number, call):
        """Have the loop call when a socket can be read, once."""
        end = self.watched[number % 2]

        def readable():
            self.world.loop.remove_reader(end)
            self.world.called(f"readable {number % 2}", call)

        self.world.loop.add_reader(end, readable)
