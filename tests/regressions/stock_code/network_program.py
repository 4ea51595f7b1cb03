"""Uses the whole network surface of asyncio: transports, streams, TLS, servers, sockets, child processes.

    python network_program.py certificate.pem

It needs nothing but asyncio, and checks enough of what comes out to know that it did what it was to do.
"""

import asyncio
import contextlib
import io
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading

SINCE_3_12 = sys.version_info >= (3, 12)
SINCE_3_13 = sys.version_info >= (3, 13)

LONG = 1000
LARGE = 4 * 1024 * 1024
"""Bytes: more than any buffer between two ends takes at once."""

PYTHON = sys.executable, "-I", "-S"
HOST = "127.0.0.1"

parts = []
folder = None
certificate = None


def part(function):
    parts.append(function)
    return function


@contextlib.contextmanager
def expected(*errors):
    try:
        yield
    except errors:
        return
    raise AssertionError(f"no {errors}")


def path(name):
    return os.path.join(folder, name)


def tls_contexts():
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    return server, ssl.create_default_context(cafile=certificate)


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


# Protocols.


class Collector(asyncio.Protocol):
    """Keeps what it receives, and lets a test wait for the end."""

    def __init__(self):
        self.data = bytearray()
        self.made = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        repr(transport)
        self.made.set_result(transport)

    def data_received(self, data):
        self.data += data

    def connection_lost(self, error):
        self.lost.set_result(error)


class Buffered(Collector, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint):
        self.buffer = bytearray(1024)
        return memoryview(self.buffer)  # TLS cuts what it is given: a view stays the same memory

    def buffer_updated(self, count):
        self.data += self.buffer[:count]


class Echo(Collector):
    """Sends back what it receives, with flow control."""

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def exchange(transport, collector, message=b"x" * LARGE):
    """Send a message to an Echo, in several ways, and get it back."""
    collector.data.clear()
    third = len(message) // 3
    transport.write(message[:third])
    transport.writelines([message[third : 2 * third], memoryview(message[2 * third :])])
    transport.get_write_buffer_size()
    while len(collector.data) < len(message):
        await asyncio.sleep(0.001)
    assert collector.data == message


@part
async def tcp_protocols():
    loop = asyncio.get_running_loop()
    served = []

    def factory():
        served.append(Echo())
        return served[-1]

    server = await loop.create_server(factory, HOST, 0, backlog=5, reuse_address=True, start_serving=False)
    repr(server)
    await server.start_serving()
    address = server.sockets[0].getsockname()
    for make in (Collector, Buffered):
        transport, protocol = await loop.create_connection(make, *address, happy_eyeballs_delay=0.1)
        assert transport.get_extra_info("peername") == address
        assert transport.get_extra_info("nothing", 3) == 3
        await exchange(transport, protocol)
        transport.set_write_buffer_limits(high=10, low=5)
        assert transport.get_write_buffer_limits() == (5, 10)
        transport.pause_reading()
        assert not transport.is_reading()
        transport.resume_reading()
        assert transport.get_protocol() is protocol
        if transport.can_write_eof():
            transport.write_eof()
        assert await protocol.lost is None
        repr(transport)
    transport, protocol = await loop.create_connection(
        Collector, "localhost", address[1], local_addr=(HOST, 0)
    )
    transport.abort()
    assert await protocol.lost is None and transport.is_closing()
    with socket.create_connection(address) as plain:
        plain.setblocking(False)
        transport, protocol = await loop.create_connection(Collector, sock=plain.dup())
        replacement = Collector()
        transport.set_protocol(replacement)
        await exchange(transport, replacement)
        transport.close()
        assert await replacement.lost is None
    # One that breaks.
    transport, protocol = await loop.create_connection(Collector, *address)
    await turns()
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    transport.abort()
    await protocol.lost
    server.close()
    await server.wait_closed()
    for echo in served:
        await echo.lost
    with expected(OSError):
        await loop.create_connection(Collector, *address)
    with expected(OSError, ExceptionGroup):
        await loop.create_connection(Collector, *address, **({"all_errors": True} if SINCE_3_12 else {}))
    with expected(ValueError):
        await loop.create_connection(Collector)


@part
async def tcp_servers():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, [HOST, "::1"] if socket.has_ipv6 else HOST, 0)
    async with server:
        assert server.is_serving() and server.get_loop() is loop
        forever = asyncio.create_task(server.serve_forever())
        transport, protocol = await loop.create_connection(Collector, *server.sockets[0].getsockname()[:2])
        await exchange(transport, protocol)
        if SINCE_3_13:
            server.close_clients()
            await protocol.lost
            transport, protocol = await loop.create_connection(
                Collector, *server.sockets[0].getsockname()[:2]
            )
            await exchange(transport, protocol)
            server.abort_clients()
            await protocol.lost
        transport.close()
        forever.cancel()
        with expected(asyncio.CancelledError):
            await forever
    listening = socket.create_server((HOST, 0))
    server = await loop.create_server(Echo, sock=listening)
    accepted = socket.create_server((HOST, 0))
    client = socket.create_connection(accepted.getsockname())
    client.setblocking(False)
    connection, _ = accepted.accept()
    transport, _ = await loop.connect_accepted_socket(Echo, connection)
    near, protocol = await loop.create_connection(Collector, sock=client)
    await exchange(near, protocol)
    near.close()
    accepted.close()
    server.close()
    await server.wait_closed()


# TLS.


@part
async def tls_protocols():
    loop = asyncio.get_running_loop()
    for_server, for_client = tls_contexts()
    server = await loop.create_server(Echo, HOST, 0, ssl=for_server, ssl_handshake_timeout=LONG)
    port = server.sockets[0].getsockname()[1]
    for make in (Collector, Buffered):
        transport, protocol = await loop.create_connection(
            make, HOST, port, ssl=for_client, server_hostname="localhost", ssl_shutdown_timeout=LONG
        )
        repr(transport)
        assert transport.get_extra_info("cipher") and transport.get_extra_info("ssl_object")
        await exchange(transport, protocol)
        transport.pause_reading()
        transport.resume_reading()
        transport.close()
        assert await protocol.lost is None
    transport, protocol = await loop.create_connection(Collector, "localhost", port, ssl=for_client)
    transport.abort()
    await protocol.lost
    with expected(ssl.SSLCertVerificationError):
        await loop.create_connection(Collector, HOST, port, ssl=True, server_hostname="localhost")
    server.close()
    await server.wait_closed()


@part
async def tls_upgrade():
    for_server, for_client = tls_contexts()

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go ahead\n")
        await writer.drain()
        await writer.start_tls(for_server)
        writer.write(await reader.readexactly(LARGE))
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"STARTTLS\n")
    assert await reader.readline() == b"go ahead\n"
    await writer.start_tls(for_client, server_hostname="localhost")
    writer.write(b"x" * LARGE)
    assert await reader.read() == b"x" * LARGE
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


# Streams.


async def serve_lines(reader, writer):
    async for line in reader:
        writer.writelines([line[:1], line[1:]])
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def use_streams(reader, writer):
    repr(reader), repr(writer)
    writer.write(b"one\ntwo\nthree;four" + b"\n")
    assert await reader.readline() == b"one\n"
    assert await reader.readuntil() == b"two\n"
    if SINCE_3_13:
        assert await reader.readuntil((b"\r", b";")) == b"three;"
    else:
        assert await reader.readuntil(b";") == b"three;"
    assert await reader.readexactly(5) == b"four\n"
    writer.write(b"left\n")
    assert (await reader.read(2)) + (await reader.read(100)) == b"left\n"
    assert (
        writer.transport
        and not writer.is_closing()
        and writer.get_extra_info("socket")
        and not reader.at_eof()
    )
    waiting = asyncio.create_task(reader.read(1))
    await turns()
    with expected(RuntimeError):
        await reader.read(1)
    waiting.cancel()
    with expected(asyncio.CancelledError):
        await waiting
    writer.write(b"y" * 200_000 + b"\n")
    with expected(ValueError):
        await reader.readline()
    writer.write(b"y" * 200_000 + b"\n")
    with expected(asyncio.LimitOverrunError):
        await reader.readuntil(b";")
    assert writer.can_write_eof()
    writer.write_eof()
    await writer.drain()
    await reader.read()
    assert reader.at_eof() and await reader.readline() == b""
    with expected(asyncio.IncompleteReadError):
        await reader.readexactly(1)
    with expected(asyncio.IncompleteReadError):
        await reader.readuntil()
    writer.close()
    await writer.wait_closed()


@part
async def tcp_streams():
    async with await asyncio.start_server(serve_lines, HOST, 0, limit=LARGE) as server:
        await use_streams(*await asyncio.open_connection(*server.sockets[0].getsockname()))


@part
async def slow_streams():
    """Both ends have to wait for each other."""

    async def serve(reader, writer):
        for _ in range(40):
            writer.write(b"z" * (LARGE // 40))
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1000)
        await turns(50)
        total = 0
        while chunk := await reader.read(10_000):
            total += len(chunk)
        assert total == LARGE // 40 * 40
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@part
async def unix_streams():
    async with await asyncio.start_unix_server(serve_lines, path("streams"), limit=LARGE):
        await use_streams(*await asyncio.open_unix_connection(path("streams")))


@part
async def streams_by_hand():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=10, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    theirs.sendall(b"0123456789" * 10)
    while transport.is_reading():
        await asyncio.sleep(0.001)
    reader.feed_data(b"more")
    assert await reader.read(3) == b"012"
    reader.feed_eof()
    assert len(await reader.read()) == 101
    reader.set_exception(ValueError("broken"))
    assert isinstance(reader.exception(), ValueError)
    with expected(ValueError):
        await reader.read()
    with expected(ValueError):
        await writer.drain()
    theirs.close()
    writer.close()
    with contextlib.suppress(ValueError, ConnectionError):
        await writer.wait_closed()


# Unix sockets, datagrams, pipes.


@part
async def unix_protocols():
    loop = asyncio.get_running_loop()
    for_server, for_client = tls_contexts()
    for name, for_servers, for_clients in (
        ("plain", {}, {}),
        ("tls", {"ssl": for_server}, {"ssl": for_client, "server_hostname": "localhost"}),
    ):
        server = await loop.create_unix_server(Echo, path(name), **for_servers)
        transport, protocol = await loop.create_unix_connection(Collector, path(name), **for_clients)
        await exchange(transport, protocol)
        transport.close()
        await protocol.lost
        server.close()
        await server.wait_closed()
    with expected(OSError):
        await loop.create_unix_connection(Collector, path("nobody"))
    with expected(ValueError):
        await loop.create_unix_server(Echo)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()
        self.errors = asyncio.Queue()
        self.lost = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, address):
        self.received.put_nowait((data, address))

    def error_received(self, error):
        self.errors.put_nowait(error)

    def connection_lost(self, error):
        self.lost.set_result(error)


@part
async def datagrams():
    loop = asyncio.get_running_loop()
    server, at_server = await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, 0))
    address = server.get_extra_info("sockname")
    client, at_client = await loop.create_datagram_endpoint(
        Datagrams, remote_addr=address, family=socket.AF_INET
    )
    repr(client)
    unconnected, _ = await loop.create_datagram_endpoint(Datagrams, remote_addr=address, allow_broadcast=True)
    unconnected.sendto(b"from another")
    assert (await at_server.received.get())[0] == b"from another"
    unconnected.close()
    for message in (b"hello", bytearray(b"x" * 1000)):
        client.sendto(message)
        data, sender = await at_server.received.get()
        assert data == message
        server.sendto(data.upper(), sender)
        assert (await at_client.received.get())[0] == message.upper()
    server.sendto(b"by name", ("localhost", sender[1]))
    client.set_write_buffer_limits(high=100)
    client.get_write_buffer_size()
    server.close()
    assert await at_server.lost is None
    client.sendto(b"to nobody")
    assert isinstance(await at_client.errors.get(), ConnectionRefusedError)
    client.abort()
    assert await at_client.lost is None
    # Nobody reads at first, so that datagrams have to wait.
    ours, theirs = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    theirs.bind(path("theirs"))
    ours.connect(path("theirs"))
    ours.setblocking(False)
    transport, protocol = await loop.create_datagram_endpoint(Datagrams, sock=ours)
    for number in range(1000):
        transport.sendto(b"%4d" % number + b"x" * 1000)
    assert transport.get_write_buffer_size() > 0
    theirs.setblocking(False)
    for number in range(1000):
        assert (await loop.sock_recv(theirs, 2000)).startswith(b"%4d" % number)
    transport.close()
    await protocol.lost
    theirs.close()
    transport, protocol = await loop.create_datagram_endpoint(
        Datagrams, local_addr=path("datagrams"), family=socket.AF_UNIX
    )
    transport.close()
    await protocol.lost
    with expected(ValueError):
        await loop.create_datagram_endpoint(Datagrams)


@part
async def pipes():
    loop = asyncio.get_running_loop()
    read_end, write_end = os.pipe()
    reading, collector = await loop.connect_read_pipe(Collector, os.fdopen(read_end, "rb", 0))
    writing, writer = await loop.connect_write_pipe(Collector, os.fdopen(write_end, "wb", 0))
    repr(reading), repr(writing)
    reading.pause_reading()
    writing.write(b"x" * LARGE)
    assert writing.get_write_buffer_size() > 0
    writing.set_write_buffer_limits(high=10)
    reading.resume_reading()
    assert writing.can_write_eof()
    writing.write_eof()
    assert await collector.lost is None and await writer.lost is None
    assert len(collector.data) == LARGE
    read_end, write_end = os.pipe()
    writing, writer = await loop.connect_write_pipe(Collector, os.fdopen(write_end, "wb", 0))
    os.close(read_end)
    writing.write(b"to nobody")
    await writer.lost
    for _ in range(7):
        writing.write(b"too late")
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    reading, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
    )
    os.write(write_end, b"a line\nand more")
    assert await reader.readline() == b"a line\n"
    os.close(write_end)
    assert await reader.read() == b"and more"
    reading.close()
    with expected(ValueError), open(__file__, "rb") as file:
        await loop.connect_read_pipe(Collector, file)


# Sockets, files, names, signals.


@part
async def sockets():
    loop = asyncio.get_running_loop()
    listening = socket.create_server((HOST, 0))
    client = socket.socket()
    for plain in (listening, client):
        plain.setblocking(False)
    accepting = asyncio.create_task(loop.sock_accept(listening))
    await turns()
    await loop.sock_connect(client, listening.getsockname())
    served, _ = await accepting
    receiving = asyncio.create_task(loop.sock_recv(served, 100))
    await turns()
    await loop.sock_sendall(client, b"hello")
    assert await receiving == b"hello"
    cancelled = asyncio.create_task(loop.sock_recv(served, 100))
    await turns()
    cancelled.cancel()
    with expected(asyncio.CancelledError):
        await cancelled
    buffer = bytearray(10)
    receiving = asyncio.create_task(loop.sock_recv_into(served, buffer))
    await loop.sock_sendall(client, b"again")
    assert await receiving == 5
    sending = asyncio.create_task(loop.sock_sendall(client, b"x" * LARGE))
    total = 0
    while total < LARGE:
        total += len(await loop.sock_recv(served, LARGE))
    await sending
    with open(path("file"), "w+b") as file:
        file.write(b"y" * LARGE)
        file.seek(0)
        sending = asyncio.create_task(loop.sock_sendfile(client, file))
        total = 0
        while total < LARGE:
            total += len(await loop.sock_recv(served, LARGE))
        assert await sending == LARGE
    sending = asyncio.create_task(loop.sock_sendfile(client, io.BytesIO(b"in memory")))
    assert await loop.sock_recv(served, 100) == b"in memory" and await sending == 9
    with expected(asyncio.SendfileNotAvailableError):
        await loop.sock_sendfile(client, io.BytesIO(b"in memory"), fallback=False)
    readable = asyncio.Event()
    loop.add_reader(served, readable.set)
    await loop.sock_sendall(client, b"look")
    await readable.wait()
    assert loop.remove_reader(served) and not loop.remove_reader(served)
    writable = asyncio.Event()
    loop.add_writer(client.fileno(), writable.set)
    await writable.wait()
    assert loop.remove_writer(client.fileno())
    for plain in (listening, client, served):
        plain.close()
    one, other = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
    for plain in (one, other):
        plain.bind((HOST, 0))
        plain.setblocking(False)
    receiving = asyncio.create_task(loop.sock_recvfrom(other, 100))
    await turns()
    await loop.sock_sendto(one, b"datagram", other.getsockname())
    assert await receiving == (b"datagram", one.getsockname())
    receiving = asyncio.create_task(loop.sock_recvfrom_into(other, buffer))
    await loop.sock_sendto(one, b"into", other.getsockname())
    assert (await receiving)[0] == 4
    one.close()
    other.close()


@part
async def files_to_transports():
    loop = asyncio.get_running_loop()
    for_server, for_client = tls_contexts()
    with open(path("sent"), "w+b") as file:
        file.write(b"z" * LARGE)
        for for_servers, for_clients in (
            ({}, {}),
            ({"ssl": for_server}, {"ssl": for_client, "server_hostname": "localhost"}),
        ):
            received = []

            def factory(received=received):
                received.append(Collector())
                return received[-1]

            server = await loop.create_server(factory, HOST, 0, **for_servers)
            transport, protocol = await loop.create_connection(
                Collector, *server.sockets[0].getsockname(), **for_clients
            )
            file.seek(0)
            assert await loop.sendfile(transport, file) == LARGE
            assert await loop.sendfile(transport, file, 10, 100) == 100
            assert await loop.sendfile(transport, io.BytesIO(b"in memory")) == 9
            transport.close()
            await protocol.lost
            await received[0].lost
            assert received[0].data == b"z" * (LARGE + 100) + b"in memory"
            server.close()
            await server.wait_closed()


@part
async def names():
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    assert found and await loop.getnameinfo((HOST, 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV) == (
        HOST,
        "80",
    )
    with expected(socket.gaierror):
        await loop.getaddrinfo("no such name.invalid", 80)


@part
async def signals():
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return
    noticed = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, noticed.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await noticed.wait()
    assert loop.remove_signal_handler(signal.SIGUSR1) and not loop.remove_signal_handler(signal.SIGUSR1)


@part
async def what_goes_wrong():
    loop = asyncio.get_running_loop()
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    assert loop.get_exception_handler()
    loop.call_soon(lambda: 1 / 0)
    loop.call_exception_handler({"message": "by hand"})
    loop.call_later(0.001, lambda: 1 / 0).when()
    loop.call_at(loop.time() + LONG, print).cancel()
    while len(reports) < 3:
        await asyncio.sleep(0.001)
    loop.set_exception_handler(None)

    class Failing(Collector):
        def data_received(self, data):
            raise ValueError("no")

    loop.set_exception_handler(lambda loop, context: reports.append(context))
    server = await loop.create_server(Failing, HOST, 0)
    transport, protocol = await loop.create_connection(Collector, *server.sockets[0].getsockname())
    transport.write(b"to fail")
    await protocol.lost
    assert isinstance(reports[-1]["exception"], ValueError)
    transport.close()
    server.close()
    await server.wait_closed()
    loop.set_exception_handler(None)


# Child processes.


@part
async def children():
    pipe = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    child = await asyncio.create_subprocess_exec(
        *PYTHON, "-c", "import sys; sys.stdout.write(sys.stdin.read().upper())", **pipe
    )
    repr(child)
    assert child.pid > 0 and child.returncode is None
    assert await child.communicate(b"hello") == (b"HELLO", None)
    assert child.returncode == 0 == await child.wait()
    child = await asyncio.create_subprocess_shell("cat", **pipe)
    child.stdin.write(b"a line\n")
    await child.stdin.drain()
    assert await child.stdout.readline() == b"a line\n"
    both = asyncio.create_task(child.communicate(b"x" * LARGE))
    assert await both == (b"x" * LARGE, None)
    child = await asyncio.create_subprocess_shell(
        "echo out; echo err >&2; exit 3", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert await child.communicate() == (b"out\nerr\n", None) and child.returncode == 3
    for end in ("kill", "terminate", "send_signal"):
        child = await asyncio.create_subprocess_exec("sleep", "1000", stdin=asyncio.subprocess.DEVNULL)
        waiting = asyncio.create_task(child.wait())
        await turns()
        getattr(child, end)(*[signal.SIGINT] if end == "send_signal" else [])
        assert await waiting < 0
        with expected(ProcessLookupError):
            child.kill()
    with expected(FileNotFoundError):
        await asyncio.create_subprocess_exec(path("no such program"))


class Watcher(asyncio.SubprocessProtocol):
    def __init__(self):
        self.events = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        repr(transport)
        self.events.append("made")

    def pipe_data_received(self, number, data):
        self.events.append((number, data))

    def pipe_connection_lost(self, number, error):
        self.events.append((number, error))

    def process_exited(self):
        self.events.append("exited")

    def connection_lost(self, error):
        self.lost.set_result(error)


@part
async def child_protocols():
    loop = asyncio.get_running_loop()
    for start, command in ((loop.subprocess_exec, ["cat"]), (loop.subprocess_shell, ["cat"])):
        transport, watcher = await start(Watcher, *command)
        assert transport.get_pid() > 0 and transport.get_returncode() is None
        stdin = transport.get_pipe_transport(0)
        stdin.write(b"through")
        stdin.write_eof()
        assert await watcher.lost is None
        assert {"made", (1, b"through"), (1, None), "exited"} <= set(watcher.events)
        assert transport.get_returncode() == 0 and transport.get_extra_info("subprocess")
        repr(transport)
        transport.close()
        assert transport.is_closing()
    transport, watcher = await loop.subprocess_exec(Watcher, "sleep", "1000")
    transport.close()
    await watcher.lost


@part
async def races():
    async def after(count, outcome):
        await turns(count)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    result, index, errors = await asyncio.staggered.staggered_race(
        [lambda: after(1, ValueError()), lambda: after(2, "second"), lambda: after(LONG, "late")], 0.01
    )
    assert (result, index) == ("second", 1) and isinstance(errors[0], ValueError)
    assert (await asyncio.staggered.staggered_race([lambda: after(1, ValueError())], None))[0] is None


async def main():
    for function in parts:
        await function()
    return "done"


def runs():
    for debug in (False, True):
        assert asyncio.run(main(), debug=debug) == "done"
        for name in os.listdir(folder):
            os.unlink(path(name))


if __name__ == "__main__":
    import logging

    logging.getLogger("asyncio").addHandler(logging.NullHandler())
    logging.getLogger("asyncio").propagate = False
    certificate = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        runs()
    print("done")
