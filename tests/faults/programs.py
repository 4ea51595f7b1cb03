"""Programs that move data by every way that the loop offers, and check themselves that all of it arrives.

Each is called with its loop and a source of random choices. None of them may notice a fault that is harmless.
"""

import contextlib
import os
import signal
import socket
import sys
import tempfile

import yibu as aio

from tests.unit.tls import client_context, server_context

LOOPBACK = "127.0.0.1"
HOST = "localhost"
PIPE = aio.subprocess.PIPE


def pieces(source, most=12):
    """Return data to be written piece by piece, now and then more than any buffer holds."""
    sizes = source.choices((0, 1, 100, 5000, 60_000, 300_000), weights=(1, 3, 6, 4, 2, 1), k=most)
    return [source.randbytes(source.randint(size // 2, size)) for size in sizes] + [source.randbytes(1)]


class End(aio.Protocol):
    """One end of a connection, which counts what it is told."""

    def __init__(self):
        self.loop = aio.get_running_loop()
        self.data = bytearray()
        self.lost = self.loop.create_future()
        self.room = aio.Event()
        self.room.set()
        self.transport = None
        self.ended = False

    def connection_made(self, transport):
        assert self.transport is None
        self.transport = transport

    def data_received(self, data):
        assert data
        assert not self.lost.done()
        self.data += data

    def eof_received(self):
        assert not self.lost.done()
        assert not self.ended
        self.ended = True

    def pause_writing(self):
        assert self.room.is_set()
        self.room.clear()

    def resume_writing(self):
        assert not self.room.is_set()
        self.room.set()

    def connection_lost(self, error):
        self.room.set()
        self.lost.set_result(error)  # fails when it comes twice

    async def write(self, data, source):
        """Write pieces in one way or another, and wait for room after each."""
        for piece in data:
            if source.random() < 0.3:
                middle = len(piece) // 2
                self.transport.writelines([piece[:middle], bytearray(piece[middle:])])
            else:
                self.transport.write(piece)
            await self.room.wait()
            if source.random() < 0.1 and not self.ended:  # reading on would meet the end again
                self.transport.pause_reading()
                await aio.sleep(0)
                self.transport.resume_reading()


class Echo(End):
    """Sends back what it gets; reads no more than the other side takes."""

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self):
        super().resume_writing()
        self.transport.resume_reading()


class BufferedEnd(End, aio.BufferedProtocol):
    """Receives into a buffer of its own."""

    def __init__(self, size=5000):
        super().__init__()
        self.buffer = memoryview(bytearray(size))

    def get_buffer(self, sizehint):
        assert not self.lost.done()
        return self.buffer

    def buffer_updated(self, count):
        assert count
        self.data += self.buffer[:count]


class BufferedEcho(Echo, BufferedEnd):
    """Sends back from its buffer, which is used again at once."""

    def buffer_updated(self, count):
        self.transport.write(self.buffer[:count])


async def converse(source, transport, client):
    """Send data through an echo and end the connection when all of it has come back."""
    data = pieces(source)
    whole = b"".join(data)
    await client.write(data, source)
    while len(client.data) < len(whole):
        assert not client.lost.done(), client.lost
        await aio.sleep(0)
    assert client.data == whole
    transport.close()
    assert await client.lost is None


async def echo_with(loop, source, server_factory, client_factory, secure=False):
    """Let three clients talk to a server at once."""
    servers = []

    def serve():
        servers.append(server_factory())
        return servers[-1]

    async def talk():
        options = {"ssl": client_context(), "server_hostname": HOST} if secure else {}
        await converse(source, *await loop.create_connection(client_factory, *address, **options))

    server = await loop.create_server(serve, LOOPBACK, 0, ssl=server_context() if secure else None)
    address = server.sockets[0].getsockname()
    async with server:
        await aio.gather(*[talk() for _ in range(3)])
        assert [await each.lost for each in servers] == [None] * 3


async def protocols(loop, source):
    await echo_with(loop, source, Echo, End)


async def buffered_protocols(loop, source):
    await echo_with(loop, source, BufferedEcho, BufferedEnd)


async def protocols_over_tls(loop, source):
    await echo_with(loop, source, Echo, BufferedEnd, secure=True)


async def half_closed(loop, source):
    """A client says that it is done before the server begins to answer."""
    answer = pieces(source)

    class Late(End):
        def eof_received(self):
            super().eof_received()
            loop.create_task(self.answer())
            return True

        async def answer(self):
            await self.write(answer, source)
            self.transport.close()

    served = []
    server = await loop.create_server(lambda: served.append(Late()) or served[-1], LOOPBACK, 0)
    async with server:
        transport, client = await loop.create_connection(End, *server.sockets[0].getsockname())
        question = pieces(source)
        await client.write(question, source)
        transport.write_eof()
        assert await client.lost is None
        assert client.data == b"".join(answer)
        assert served[0].data == b"".join(question)
        assert await served[0].lost is None


async def serve_lines(reader, writer):
    """Answer each line with its length, and then as many bytes, read exactly, in a frame."""
    async for line in reader:
        count = int(line)
        body = await reader.readexactly(count)
        writer.write(b"%d:" % count)
        writer.writelines([body, b";"])
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask_lines(source, reader, writer):
    """Ask in pieces of any size, several questions at a time, and read the answers in several ways."""
    for _ in range(4):
        bodies = pieces(source, most=4)
        for body in bodies:
            writer.write(b"%d\n" % len(body) + body)
            await writer.drain()
        for body in bodies:
            assert await reader.readuntil(b":") == b"%d:" % len(body)
            read = b""
            while len(read) < len(body):
                part = await reader.read(len(body) - len(read))
                if not part:
                    raise aio.IncompleteReadError(read, len(body))
                read += part
            assert read == body
            assert await reader.readexactly(1) == b";"
    if writer.can_write_eof():
        writer.write_eof()
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def serving(served):
    """Serve lines, and put down when a connection has ended."""

    async def serve(reader, writer):
        try:
            await serve_lines(reader, writer)
        except BaseException as error:
            served.put_nowait(error)
            raise
        served.put_nowait(None)

    return serve


async def streams(loop, source):
    served = aio.Queue()
    async with await aio.start_server(serving(served), LOOPBACK, 0) as server:
        address = server.sockets[0].getsockname()
        await aio.gather(*[ask_lines(source, *await aio.open_connection(*address)) for _ in range(2)])
        assert [await served.get() for _ in range(2)] == [None, None]


async def streams_over_tls(loop, source):
    served = aio.Queue()
    async with await aio.start_server(serving(served), LOOPBACK, 0, ssl=server_context()) as server:
        address = server.sockets[0].getsockname()
        connection = await aio.open_connection(*address, ssl=client_context(), server_hostname=HOST)
        await ask_lines(source, *connection)
        assert await served.get() is None


async def start_tls(loop, source):
    """A connection that talks in the clear first."""
    served = aio.Queue()

    async def serve(reader, writer):
        assert await reader.readline() == b"secret?\n"
        writer.write(b"secret!\n")
        await writer.start_tls(server_context())
        await serving(served)(reader, writer)

    async with await aio.start_server(serve, LOOPBACK, 0) as server:
        reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"secret?\n")
        assert await reader.readline() == b"secret!\n"
        await writer.start_tls(client_context(), server_hostname=HOST)
        await ask_lines(source, reader, writer)
        assert await served.get() is None


async def unix_streams(loop, source):
    served = aio.Queue()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        async with await aio.start_unix_server(serving(served), path):
            await ask_lines(source, *await aio.open_unix_connection(path))
            assert await served.get() is None


async def many_connections(loop, source):
    """More clients than are accepted at once; each gets its own answer."""

    class Twice(End):
        def data_received(self, data):
            super().data_received(data)
            if self.data.endswith(b"\n"):
                self.transport.write(self.data + self.data)
                self.transport.close()

    async def ask(number):
        text = b"%d\n" % number
        transport, client = await loop.create_connection(End, *address)
        transport.write(text)
        assert await client.lost is None
        assert client.data == text + text

    async with await loop.create_server(Twice, LOOPBACK, 0, backlog=10) as server:
        address = server.sockets[0].getsockname()
        for start in range(0, 40, 10):
            await aio.gather(*[ask(number) for number in range(start, start + 10)])


async def own_sockets(loop, source):
    """The loop's methods for sockets of the program's own."""
    with socket.create_server((LOOPBACK, 0)) as listener, socket.socket() as near:
        listener.setblocking(False)
        near.setblocking(False)
        accepting = loop.create_task(loop.sock_accept(listener))
        await loop.sock_connect(near, listener.getsockname())
        far, _ = await accepting
        with far:
            whole = b"".join(pieces(source))
            received, buffer = bytearray(), bytearray(1000)

            async def receive():
                while len(received) < len(whole):
                    if source.random() < 0.5:
                        received.extend(await loop.sock_recv(far, 50_000))
                    else:
                        count = await loop.sock_recv_into(far, buffer)
                        received.extend(buffer[:count])

            async with aio.TaskGroup() as group:
                group.create_task(loop.sock_sendall(near, whole))
                group.create_task(receive())
            assert received == whole


async def own_datagrams(loop, source):
    with socket.socket(type=socket.SOCK_DGRAM) as near, socket.socket(type=socket.SOCK_DGRAM) as far:
        for sock in (near, far):
            sock.bind((LOOPBACK, 0))
            sock.setblocking(False)
        buffer = bytearray(2000)

        async def receive():
            if source.random() < 0.5:
                return await loop.sock_recvfrom(far, 2000)
            count, sender = await loop.sock_recvfrom_into(far, buffer)
            return buffer[:count], sender

        for _ in range(50):
            sent = source.randbytes(source.randint(0, 1000))
            receiving = loop.create_task(receive())
            await aio.sleep(0)  # it waits before there is anything
            assert await loop.sock_sendto(near, sent, far.getsockname()) == len(sent)
            assert await receiving == (sent, near.getsockname())


async def datagrams(loop, source):
    """Numbered datagrams, each answered; one at a time, because UDP may lose some of many."""

    class Answer(aio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data, address)

    class Ask(aio.DatagramProtocol):
        def __init__(self):
            self.answers = aio.Queue()
            self.lost = loop.create_future()

        def datagram_received(self, data, address):
            self.answers.put_nowait(data)

        def connection_lost(self, error):
            self.lost.set_result(error)

    served, _ = await loop.create_datagram_endpoint(Answer, (LOOPBACK, 0))
    address = served.get_extra_info("sockname")
    transport, client = await loop.create_datagram_endpoint(Ask, remote_addr=address)
    for number in range(100):
        question = b"%d:" % number + source.randbytes(source.choice((0, 10, 1000, 20_000)))
        transport.sendto(question)
        assert await client.answers.get() == question
    assert client.answers.empty()
    transport.close()
    assert await client.lost is None
    served.close()
    await aio.sleep(0)


async def datagrams_in_a_row(loop, source):
    """More datagrams than fit, on Unix sockets, where none is lost: each arrives whole and in its turn."""

    class Receiver(End, aio.DatagramProtocol):
        def __init__(self):
            super().__init__()
            self.datagrams = []
            self.all = aio.Event()

        def datagram_received(self, data, address):
            self.datagrams.append(data)
            if len(self.datagrams) == len(sent):
                self.all.set()

    sent = [b"%d:" % number + source.randbytes(source.choice((0, 100, 5000))) for number in range(300)]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        ends = [
            await loop.create_datagram_endpoint(Receiver, family=socket.AF_UNIX, **{which: path})
            for which in ("local_addr", "remote_addr")
        ]
    (_, receiver), (sending, sender) = ends
    for datagram in sent:
        sending.sendto(datagram)
        if source.random() < 0.5:
            await sender.room.wait()
    await receiver.all.wait()
    assert receiver.datagrams == sent
    for transport, end in ends:
        transport.close()
        assert await end.lost is None


async def pipes(loop, source):
    reading, writing = os.pipe()
    far, end = await loop.connect_read_pipe(End, os.fdopen(reading, "rb"))
    near, writer = await loop.connect_write_pipe(End, os.fdopen(writing, "wb"))
    data = pieces(source)
    for piece in data:
        near.write(piece)
        await writer.room.wait()
    near.close()
    assert await writer.lost is None
    assert await end.lost is None
    assert end.data == b"".join(data)
    far.close()


async def subprocesses(loop, source):
    """Large input and output at once, lines one by one, and exit codes."""
    data = source.randbytes(300_000)
    copier = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer); sys.exit(5)"
    command = (sys.executable, "-S", "-c", copier)
    process = await aio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    output, _ = await process.communicate(data)
    assert output == data
    assert process.returncode == 5
    process = await aio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    for number in range(20):
        process.stdin.write(b"%d\n" % number)
        await process.stdin.drain()
        assert await process.stdout.readline() == b"%d\n" % number
    process.stdin.close()
    assert await process.wait() == 0
    process = await aio.create_subprocess_shell("kill -9 $$")
    assert await process.wait() == -signal.SIGKILL


async def sendfile(loop, source):
    """A file between a head and a tail, each written by the transport."""
    parts = head, body, tail = [source.randbytes(n) for n in (50_000, 400_000, 50_000)]
    served = loop.create_future()

    async def serve(reader, writer):
        data = await reader.read()
        writer.close()
        await writer.wait_closed()
        served.set_result(data)

    with tempfile.TemporaryFile() as file:
        file.write(body)
        async with await aio.start_server(serve, LOOPBACK, 0, limit=1 << 20) as server:
            transport, client = await loop.create_connection(End, *server.sockets[0].getsockname())
            transport.write(head)
            assert await loop.sendfile(transport, file) == len(body)
            transport.write(tail)
            transport.write_eof()
            assert await served == b"".join(parts)
            assert await client.lost is None


async def threads_and_timers(loop, source):
    """Calls from other threads arrive in order, and no sleep is too short."""
    calls, done = [], aio.Event()

    def call():
        for number in range(200):
            loop.call_soon_threadsafe(calls.append, number)
        loop.call_soon_threadsafe(done.set)

    calling = loop.run_in_executor(None, call)
    for _ in range(20):
        delay, start = source.random() / 500, loop.time()
        await aio.sleep(delay)
        assert loop.time() >= start + delay
    await done.wait()
    await calling
    assert calls == list(range(200))
    assert await aio.gather(*[aio.to_thread(int, n) for n in range(20)]) == list(range(20))


async def signals(loop, source):
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        came = aio.Event()
        loop.add_signal_handler(number, came.set)
        for _ in range(5):
            os.kill(os.getpid(), number)
            await came.wait()
            came.clear()
        assert loop.remove_signal_handler(number)


async def readers_and_writers(loop, source):
    """Callbacks on descriptors, which rely on readiness: their socket blocks."""
    one, two = socket.socketpair()
    whole, received, done = source.randbytes(100_000), bytearray(), loop.create_future()
    rest = memoryview(whole)

    def write():
        nonlocal rest
        with contextlib.suppress(BlockingIOError):
            rest = rest[one.send(rest, socket.MSG_DONTWAIT) :]
        if not rest:
            loop.remove_writer(one)

    def read():
        received.extend(two.recv(source.randint(1, 10_000)))
        if len(received) == len(whole):
            loop.remove_reader(two)
            done.set_result(None)

    with one, two:
        loop.add_writer(one, write)
        loop.add_reader(two, read)
        await done
    assert received == whole
