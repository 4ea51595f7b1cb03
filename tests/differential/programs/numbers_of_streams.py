"""What streams, transports, sockets and servers make of strange numbers."""

import asyncio
import gc
import io
import math
import os
import signal
import socket
import sys
import tempfile
import warnings
from decimal import Decimal
from fractions import Fraction


class Index:
    def __index__(self):
        return 1


NUMBERS = {
    "-1": -1,
    "0": 0,
    "1": 1,
    "False": False,
    "True": True,
    "0.0": 0.0,
    "1.5": 1.5,
    "-1.5": -1.5,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "1e300": 1e300,
    "2**31 - 1": 2**31 - 1,
    "2**31": 2**31,
    "2**62": 2**62,
    "2**64": 2**64,
    "10**400": 10**400,
    "-2**31": -(2**31),
    "-2**70": -(2**70),
    "None": None,
    "'1'": "1",
    "b'1'": b"1",
    "[]": [],
    "Decimal(1)": Decimal(1),
    "Fraction(1, 2)": Fraction(1, 2),
    "Index()": Index(),
}
HUGE = ["2**31 - 1", "2**31", "2**62", "2**64", "10**400", "1e300", "inf"]
"""Nobody waits for that, and asyncio's own sockets ask for so much memory."""
PORTS = ["1", "True", "1.5", "'1'", "b'1'", "Decimal(1)", "Index()"]
"""Names of port 1."""


def show(name, value):
    print(f"{name}: {value!r}".replace("__main__.", "").replace("<Index object at", "<Index"))


async def outcome(function, *args, **keywords):
    """What a call gives, awaited if it can be."""
    try:
        result = function(*args, **keywords)
        return await asyncio.wait_for(result, 5) if hasattr(result, "__await__") else result
    except (Exception, asyncio.CancelledError) as error:
        return f"{type(error).__name__}: {error} ({type(error.__cause__).__name__})"


async def each(name, function, leave_out=()):
    for label, number in NUMBERS.items():
        if label not in leave_out:
            show(f"{name}({label})", await outcome(function, number))


class Transport(asyncio.Transport):
    paused = 0

    def pause_reading(self):
        self.paused += 1

    def resume_reading(self):
        self.paused -= 1


async def readers():
    async def limit(number):
        reader = asyncio.StreamReader(number)
        transport = Transport()
        reader.set_transport(transport)
        text = repr(reader).replace("Index object at 0x", "Index")
        fed = await outcome(reader.feed_data, b"x" * 10 + b"\n")
        return text.partition(" transport")[0].partition("<Index")[0], fed, transport.paused

    await each("StreamReader", limit)

    async def readline(number):
        reader = asyncio.StreamReader(number)
        reader.feed_data(b"0123456789\nabc\n")
        reader.feed_eof()
        return [await outcome(reader.readline), await outcome(reader.readuntil, b"c"), bytes(reader._buffer)]

    await each("readline with limit", readline)

    for method in "read", "readexactly":

        async def read(number, method=method):
            reader = asyncio.StreamReader()
            reader.feed_data(b"0123456789")
            reader.feed_eof()
            return await outcome(getattr(reader, method), number), bytes(reader._buffer)

        await each(method, read)

    async def separator(number):
        reader = asyncio.StreamReader()
        reader.feed_data(b"0123456789")
        reader.feed_eof()
        return await outcome(reader.readuntil, number)

    await each("readuntil", separator)

    async def open_with_limit(number):
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                reader, writer = await asyncio.open_connection(sock=ours, limit=number)
            except BaseException:
                ours.close()
                raise
            writer.close()
            await writer.wait_closed()
            return reader._limit == number

    await each("open_connection with limit", open_with_limit)

    async def serve_with_limit(number):
        server = await asyncio.start_server(print, "127.0.0.1", 0, limit=number)
        server.close()
        await server.wait_closed()
        return "serves"

    await each("start_server with limit", serve_with_limit)


async def transports():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)

    async def limits(**numbers):
        said = await outcome(transport.set_write_buffer_limits, **numbers)
        # yibu keeps whole numbers of bytes, no larger than memory can be.
        return said, [min(int(min(limit, 2**63)), 2**63 - 1) for limit in transport.get_write_buffer_limits()]

    await each("high water mark", lambda number: limits(high=number))
    await each("low water mark", lambda number: limits(low=number))
    await each("both water marks", lambda number: limits(high=number, low=number))
    await each("low water mark below 5", lambda number: limits(high=5, low=number))
    await each("write", transport.write)
    transport.abort()
    theirs.close()


async def descriptors():
    loop = asyncio.get_running_loop()
    bad = ["True", "1", "0", "False", "Index()"]
    for method in "add_reader", "add_writer":
        await each(method, lambda number, method=method: getattr(loop, method)(number, print), leave_out=bad)
    for method in "remove_reader", "remove_writer":
        await each(method, getattr(loop, method), leave_out=bad)
    read, write = os.pipe()
    loop.add_reader(read, print)
    show("remove_reader", (loop.remove_reader(read), loop.remove_reader(read)))
    os.close(read)
    os.close(write)

    class Numbered:
        def __init__(self, number):
            self.number = number

        def fileno(self):
            return self.number

    async def numbered(number):
        said = await outcome(loop.add_reader, Numbered(number), print)
        return said.partition("<")[0] + said.partition(">")[2] if isinstance(said, str) else said

    await each("add_reader of an object with fileno", numbered, leave_out=bad)
    # An int is a number, whatever its class; so is True.
    read, write = os.pipe()
    show("add_reader of a bool", await outcome(loop.add_reader, type("Number", (int,), {})(read), print))
    show("remove_reader", loop.remove_reader(read))
    os.close(read)
    os.close(write)


async def sockets():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for method in "sock_recv", "sock_recvfrom":

        async def receive(number, method=method):
            theirs.send(b"x" * 10)
            said = await outcome(getattr(loop, method), ours, number)
            try:
                return said, len(ours.recv(100))
            except BlockingIOError:
                return said, None

        await each(method, receive, leave_out=HUGE)

    async def receive_into(number):
        theirs.send(b"x" * 10)
        buffer = bytearray(4)
        said = await outcome(loop.sock_recvfrom_into, ours, buffer, number)
        try:
            return said, buffer, len(ours.recv(100))
        except BlockingIOError:
            return said, buffer, None

    await each("sock_recvfrom_into", receive_into)
    await each("sock_recv_into", lambda number: loop.sock_recv_into(ours, number))
    await each("sock_sendall", lambda number: loop.sock_sendall(ours, number))
    await each("sock_connect", lambda number: loop.sock_connect(ours, number))
    ours.close()
    theirs.close()


async def servers():
    loop = asyncio.get_running_loop()

    async def serve(**keywords):
        host = keywords.pop("host", "127.0.0.1")
        port = keywords.pop("port", 0)
        server = await loop.create_server(asyncio.Protocol, host, port, **keywords)
        server.close()
        await server.wait_closed()
        return "serves"

    await each("backlog", lambda number: serve(backlog=number))
    await each("port of a server", lambda number: serve(port=number), leave_out=PORTS)
    for name in ["no-such-service", "70000", "-1", ""]:
        show(f"port {name!r} of a server", await outcome(serve, port=name))
    for name in "ssl_handshake_timeout", "ssl_shutdown_timeout":
        await each(name, lambda number, name=name: serve(**{name: number}))
    await each("family", lambda number: serve(family=number))
    await each("flags", lambda number: serve(flags=number), leave_out=["True", "2**31 - 1"])
    await each("host of a server", lambda number: serve(host=number), leave_out=["'1'", "b'1'", "[]"])

    async def connect(**keywords):
        host = keywords.pop("host", "127.0.0.1")
        port = keywords.pop("port", 1)
        transport, _ = await loop.create_connection(asyncio.Protocol, host, port, **keywords)
        transport.close()
        return "connected"

    await each(
        "port of a client", lambda number: connect(port=number), leave_out=["0", "False", "0.0", "None"]
    )
    for name in ["no-such-service", "70000", "-1"]:
        show(f"port {name!r} of a client", await outcome(connect, port=name))
    await each("happy_eyeballs_delay", lambda number: connect(happy_eyeballs_delay=number))
    await each("interleave", lambda number: connect(interleave=number))
    await each("local port", lambda number: connect(local_addr=("127.0.0.1", number)), leave_out=PORTS)
    await each("proto", lambda number: connect(proto=number))

    async def datagrams(number):
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", number)
        )
        transport.close()
        return "made"

    await each("port of a datagram endpoint", datagrams, leave_out=PORTS)

    async def send(number):
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        try:
            return await outcome(transport.sendto, b"x", ("127.0.0.1", number))
        finally:
            transport.close()

    await each("port to send to", send, leave_out=["'1'", "b'1'"])


async def files():
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        for fallback in False, True:

            async def send(offset, count, fallback=fallback):
                file.seek(0)
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    ours.setblocking(False)
                    source = io.BytesIO(b"0123456789") if fallback else file
                    said = await outcome(loop.sock_sendfile, ours, source, offset, count)
                    ours.close()
                    return said, theirs.recv(100)

            await each(f"offset {fallback}", lambda number, send=send: send(number, None), leave_out=HUGE)
            await each(f"count {fallback}", lambda number, send=send: send(0, number), leave_out=HUGE)


async def signals():
    loop = asyncio.get_running_loop()
    few = ["1", "True", "Index()"]
    await each("add_signal_handler", lambda number: loop.add_signal_handler(number, print), leave_out=few)
    await each("remove_signal_handler", loop.remove_signal_handler, leave_out=few)
    for number in signal.SIGKILL, signal.SIGSTOP, signal.NSIG, signal.NSIG - 1:
        show(f"add_signal_handler({int(number)})", await outcome(loop.add_signal_handler, number, print))
        show(f"remove_signal_handler({int(number)})", await outcome(loop.remove_signal_handler, number))


async def children():
    async def run(**keywords):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", "print('x')", stdout=asyncio.subprocess.PIPE, **keywords
        )
        return await process.communicate()

    some = ["-1", "0", "1.5", "nan", "None", "'1'", "2**64"]
    for label in some:
        show(f"limit {label} of a child", await outcome(run, limit=NUMBERS[label]))
        show(f"bufsize {label} of a child", await outcome(run, bufsize=NUMBERS[label]))

    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", "input()", stdin=-1)
    await each("send_signal", process.send_signal, leave_out=["1", "True", "Index()"])
    process.kill()
    await process.wait()


async def main():
    # What a coroutine that was never awaited says, and pipes of which nobody reads.
    warnings.simplefilter("ignore", RuntimeWarning)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
    for part in readers, transports, descriptors, sockets, servers, files, signals, children:
        await part()


asyncio.run(main())
gc.collect()  # what asyncio 3.12 leaves of connections complains while the interpreter ends
