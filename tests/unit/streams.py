"""What the tests of streams share: ways to read, a task that waits, a transport that records."""

import asyncio
import contextlib


async def turns(count=3):
    """Let everybody run who can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def alone():
    """Wait until no other task is left, and what they closed is closed."""
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)
    await turns()


async def waiting(coroutine):
    """Start a task that waits."""
    task = asyncio.ensure_future(coroutine)
    await turns()
    assert not task.done()
    return task


class Transport(asyncio.Transport):
    """Records what it is asked to do."""

    def __init__(self):
        super().__init__({"peername": "somebody"})
        self.calls = []
        self.written = b""
        self.closing = False

    def pause_reading(self):
        self.calls.append("pause")

    def resume_reading(self):
        self.calls.append("resume")

    def write(self, data):
        self.calls.append("write")
        self.written += data

    def writelines(self, data):
        self.calls.append("writelines")
        self.written += b"".join(data)

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.calls.append("write_eof")

    def is_closing(self):
        return self.closing

    def close(self):
        self.calls.append("close")
        self.closing = True

    def abort(self):
        self.calls.append("abort")
        self.closing = True


class Connection:
    """A reader, a protocol and a writer over a transport."""

    def __init__(self, impl, connected=None, reader_class=None, protocol_class=None, **keywords):
        self.reader = (reader_class or impl.StreamReader)(**keywords)
        self.protocol = (protocol_class or impl.StreamReaderProtocol)(self.reader, connected)
        self.transport = Transport()
        self.protocol.connection_made(self.transport)
        self.writer = impl.StreamWriter(
            self.transport, self.protocol, self.reader, asyncio.get_running_loop()
        )


class Network:
    """Serves with a function and connects to it, over TCP or a Unix socket."""

    def __init__(self, impl, kind, folder):
        self.impl = impl
        self.is_unix = kind == "unix"
        self.path = str(folder / "socket")

    async def serve(self, connected, **keywords):
        if self.is_unix:
            return await self.impl.start_unix_server(connected, self.path, **keywords)
        return await self.impl.start_server(connected, "127.0.0.1", 0, **keywords)

    async def open(self, server, **keywords):
        if self.is_unix:
            return await self.impl.open_unix_connection(self.path, **keywords)
        return await self.impl.open_connection(*server.sockets[0].getsockname(), **keywords)


async def closed(writer):
    """Close a writer and wait for the end."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def echo(reader, writer):
    """Send everything back."""
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    await closed(writer)


#: What may be waited for, and what has to be fed for it to come.
READS = {
    "read": (lambda reader: reader.read(100), b"abc\n", b"abc\n"),
    "read all": (lambda reader: reader.read(), b"abc\n", b"abc\n"),
    "readexactly": (lambda reader: reader.readexactly(4), b"abc\n", b"abc\n"),
    "readline": (lambda reader: reader.readline(), b"abc\n", b"abc\n"),
    "readuntil": (lambda reader: reader.readuntil(b"c\n"), b"abc\n", b"abc\n"),
    "anext": (lambda reader: reader.__anext__(), b"abc\n", b"abc\n"),
}
