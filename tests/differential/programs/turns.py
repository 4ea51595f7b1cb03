"""In which turn of the loop everything happens that programs can see."""

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import socket
import threading

PATIENCE = 20
"""Turns after which a story is over."""


class Turns:
    """Counts the turns of the loop, which it keeps busy, and tells what happened in which."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.turn = 0
        self.counting = self.loop.call_soon(self.count)

    def count(self):
        self.turn += 1
        self.counting = self.loop.call_soon(self.count)

    def begin(self, title):
        self.turn = 0
        print(f"{title}:")

    def tell(self, what):
        print(f"    {self.turn:2} {what}")

    async def watch(self, awaitable, name):
        try:
            outcome = await awaitable
        except Exception as error:
            self.tell(f"{name} raised {error!r}")
        else:
            self.tell(f"{name} returned")
            return outcome

    async def pass_by(self, turns=PATIENCE):
        for _ in range(turns):
            await asyncio.sleep(0)


turns = None


class Teller(asyncio.Protocol):
    def __init__(self, name):
        self.name = name

    def connection_made(self, transport):
        self.transport = transport
        if (
            self.name != "server"
        ):  # asyncio has a task of its own for a new connection, which takes a turn more
            turns.tell(f"{self.name}: connection_made")

    def data_received(self, data):
        turns.tell(f"{self.name}: data_received {data!r}")

    def eof_received(self):
        turns.tell(f"{self.name}: eof_received")

    def pause_writing(self):
        turns.tell(f"{self.name}: pause_writing")

    def resume_writing(self):
        turns.tell(f"{self.name}: resume_writing")

    def connection_lost(self, error):
        turns.tell(f"{self.name}: connection_lost {error!r}")


class BufferedTeller(asyncio.BufferedProtocol):
    def __init__(self, name):
        self.name, self.buffer = name, bytearray(100)

    def connection_made(self, transport):
        turns.tell(f"{self.name}: connection_made")

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        turns.tell(f"{self.name}: buffer_updated {count}")

    def connection_lost(self, error):
        turns.tell(f"{self.name}: connection_lost {error!r}")


class DatagramTeller(asyncio.DatagramProtocol):
    def __init__(self, name):
        self.name = name

    def connection_made(self, transport):
        self.transport = transport
        turns.tell(f"{self.name}: connection_made")

    def datagram_received(self, data, address):
        turns.tell(f"{self.name}: datagram_received {data!r}")

    def error_received(self, error):
        turns.tell(f"{self.name}: error_received {error!r}")

    def connection_lost(self, error):
        turns.tell(f"{self.name}: connection_lost {error!r}")


def pair(kind=socket.SOCK_STREAM):
    left, right = socket.socketpair(type=kind)
    left.setblocking(False)
    right.setblocking(False)
    return left, right


async def watched_descriptors():
    left, right = pair()
    with left, right:
        turns.begin("add_reader, then data")
        turns.loop.add_reader(left, lambda: turns.tell(f"readable: {left.recv(10)}"))
        right.send(b"x")
        await turns.pass_by(3)
        turns.begin("data for a reader that has been there for a while")
        right.send(b"y")
        await turns.pass_by(3)
        turns.begin("data before add_reader")
        turns.loop.remove_reader(left)
        right.send(b"z")
        turns.loop.add_reader(left, lambda: turns.tell(f"readable: {left.recv(10)}"))
        await turns.pass_by(3)
        turns.loop.remove_reader(left)
        turns.begin("add_writer")

        def writable():
            turns.tell("writable")
            turns.loop.remove_writer(left)

        turns.loop.add_writer(left, writable)
        await turns.pass_by(3)


async def program_sockets():
    left, right = pair()
    with left, right:
        turns.begin("sock_recv waits")
        waiting = asyncio.ensure_future(turns.watch(turns.loop.sock_recv(left, 10), "sock_recv"))
        await turns.pass_by(3)
        turns.begin("and data comes")
        right.send(b"x")
        await waiting
        turns.begin("sock_recv of what is there")
        right.send(b"x")
        await turns.watch(turns.loop.sock_recv(left, 10), "sock_recv")
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        turns.begin("sock_accept and sock_connect")
        accepting = asyncio.ensure_future(turns.watch(turns.loop.sock_accept(listener), "sock_accept"))
        await asyncio.sleep(0)
        await turns.watch(turns.loop.sock_connect(client, listener.getsockname()), "sock_connect")
        connection, _ = await accepting
        connection.close()


async def connections():
    for buffered in (False, True):
        left, right = pair()
        right.send(b"waiting")
        kind = BufferedTeller if buffered else Teller
        turns.begin(f"create_connection with data waiting, {kind.__name__}")
        transport, _ = await turns.watch(
            turns.loop.create_connection(lambda kind=kind: kind("first"), sock=left), "create_connection"
        )
        transport.set_protocol(Teller("second"))
        await turns.pass_by()
        turns.begin("more data")
        right.send(b"more")
        await turns.pass_by()
        turns.begin("close")
        transport.close()
        await turns.pass_by()
        right.close()

    left, right = pair()
    turns.begin("connect_accepted_socket with data waiting")
    right.send(b"waiting")
    transport, _ = await turns.watch(
        turns.loop.connect_accepted_socket(lambda: Teller("accepted"), left), "connect_accepted_socket"
    )
    await turns.pass_by()
    turns.begin("more than goes")
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    transport.write(bytes(200_000))
    await turns.pass_by()
    turns.begin("its peer reads")
    while transport.get_write_buffer_size():
        with contextlib.suppress(BlockingIOError):
            while right.recv(1_000_000):
                pass
        turns.turn = 0
        await asyncio.sleep(0)
    await turns.pass_by()
    turns.begin("its peer leaves")
    right.close()
    await turns.pass_by()


async def servers(path):
    for family in ("TCP", "Unix"):
        turns.begin(f"{family} server")
        if family == "TCP":
            server = await turns.loop.create_server(lambda: Teller("server"), "127.0.0.1", 0)
            connecting = turns.loop.create_connection(
                lambda: Teller("client"), *server.sockets[0].getsockname()
            )
        else:
            server = await turns.watch(
                turns.loop.create_unix_server(lambda: Teller("server"), path), "create_unix_server"
            )
            connecting = turns.loop.create_unix_connection(lambda: Teller("client"), path)
        await turns.pass_by()
        turns.begin("a client")
        transport, _ = await turns.watch(connecting, "connecting")
        await turns.pass_by()
        turns.begin("writes")
        transport.write(b"hello")
        await turns.pass_by()
        turns.begin("writes its end")
        transport.write_eof()
        await turns.pass_by()
        turns.begin("the server closes")
        server.close()
        await turns.watch(server.wait_closed(), "wait_closed")
        transport.abort()
        await turns.pass_by()


async def streams():
    async def echo(reader, writer):
        while line := await reader.readline():
            turns.tell(f"server: {line!r}")
            writer.write(line)
            await writer.drain()
        turns.tell("server: end")
        writer.close()
        await turns.watch(writer.wait_closed(), "server: wait_closed")

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    turns.begin("open_connection")
    reader, writer = await turns.watch(
        asyncio.open_connection(*server.sockets[0].getsockname()), "open_connection"
    )
    for number in range(3):
        turns.begin(f"line {number}")
        writer.write(b"hello\n")
        await turns.watch(reader.readline(), "client: readline")
    turns.begin("the client closes")
    writer.close()
    await turns.watch(writer.wait_closed(), "client: wait_closed")
    await turns.pass_by()
    server.close()
    await server.wait_closed()


async def datagrams():
    near, far = pair(socket.SOCK_DGRAM)
    turns.begin("create_datagram_endpoint with a datagram waiting")
    far.send(b"waiting")
    transport, _ = await turns.watch(
        turns.loop.create_datagram_endpoint(lambda: DatagramTeller("pair"), sock=near),
        "create_datagram_endpoint",
    )
    await turns.pass_by()
    turns.begin("two datagrams")
    far.send(b"one")
    far.send(b"two")
    await turns.pass_by()
    transport.close()
    await turns.pass_by()
    far.close()

    turns.begin("a datagram to an address")
    server, _ = await turns.loop.create_datagram_endpoint(lambda: DatagramTeller("server"), ("127.0.0.1", 0))
    client, _ = await turns.watch(
        turns.loop.create_datagram_endpoint(
            lambda: DatagramTeller("client"), remote_addr=server.get_extra_info("sockname")
        ),
        "create_datagram_endpoint",
    )
    turns.begin("sent")
    client.sendto(b"hello")
    await turns.pass_by()
    turns.begin("closed")
    client.close()
    server.abort()
    await turns.pass_by()


async def pipes():
    reader, writer = os.pipe()
    turns.begin("connect_read_pipe with data waiting")
    os.write(writer, b"waiting")
    await turns.watch(
        turns.loop.connect_read_pipe(lambda: Teller("reader"), os.fdopen(reader, "rb", 0)),
        "connect_read_pipe",
    )
    await turns.pass_by()
    turns.begin("connect_write_pipe")
    transport, _ = await turns.watch(
        turns.loop.connect_write_pipe(lambda: Teller("writer"), os.fdopen(writer, "wb", 0)),
        "connect_write_pipe",
    )
    await turns.pass_by()
    turns.begin("a write")
    transport.write(b"hello")
    await turns.pass_by()
    turns.begin("the end")
    transport.close()
    await turns.pass_by()


def in_thread(function, *args):
    """Run it in another thread, and wait for that with the loop standing still."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def outcome(run, function, *args):
    outcomes = []
    run(lambda: outcomes.append(function(*args)))
    return outcomes[0]


class ByHand(concurrent.futures.Executor):
    """Leaves it to its owner when jobs end."""

    def submit(self, function, /, *args, **kwargs):
        self.future = concurrent.futures.Future()
        return self.future


async def threads():
    turns.begin("call_soon_threadsafe among call_soon")
    turns.loop.call_soon(turns.tell, "before")
    in_thread(turns.loop.call_soon_threadsafe, turns.tell, "posted")
    turns.loop.call_soon(turns.tell, "after")
    in_thread(turns.loop.call_soon_threadsafe, turns.tell, "posted last")
    await turns.pass_by(5)

    executor = ByHand()
    for name, run in {
        "in another thread": in_thread,
        "here": lambda function, *args: function(*args),
    }.items():
        turns.begin(f"run_in_executor ends {name}")
        job = asyncio.ensure_future(
            turns.watch(turns.loop.run_in_executor(executor, print), "run_in_executor")
        )
        await turns.pass_by(3)
        run(executor.future.set_result, None)
        turns.tell("ended")
        turns.loop.call_soon(turns.tell, "called after it")
        await job

        turns.begin(f"wrap_future, done {name}")
        future = concurrent.futures.Future()
        wrapped = asyncio.wrap_future(future)
        wrapped.add_done_callback(lambda _: turns.tell("callback"))
        waiting = asyncio.ensure_future(turns.watch(wrapped, "wrap_future"))
        await asyncio.sleep(0)
        run(future.set_exception, ValueError("no"))
        await waiting

        turns.begin(f"run_coroutine_threadsafe called {name}")

        async def coroutine():
            turns.tell("coroutine runs")
            await asyncio.sleep(0)
            turns.tell("coroutine ends")

        future = outcome(run, asyncio.run_coroutine_threadsafe, coroutine(), turns.loop)
        while not future.done():
            await asyncio.sleep(0)
        turns.tell("done")

        turns.begin(f"cancelled {name}")
        future = outcome(run, asyncio.run_coroutine_threadsafe, asyncio.sleep(100), turns.loop)
        await turns.pass_by(3)
        run(future.cancel)
        before = len(asyncio.all_tasks())
        while len(asyncio.all_tasks()) == before:
            await asyncio.sleep(0)
        turns.tell("the task is gone")

    turns.begin("done before it is wrapped")
    future = concurrent.futures.Future()
    future.set_result(1)
    await turns.watch(asyncio.wrap_future(future), "wrap_future")


async def signals():
    turns.loop.add_signal_handler(signal.SIGUSR1, turns.tell, "signal")
    turns.begin("a signal")
    os.kill(os.getpid(), signal.SIGUSR1)
    await turns.pass_by(5)
    turns.begin("a signal in a while")
    os.kill(os.getpid(), signal.SIGUSR1)
    await turns.pass_by(5)
    turns.loop.remove_signal_handler(signal.SIGUSR1)


async def main():
    global turns  # noqa: PLW0603
    turns = Turns()
    path = f"\0yibu-turns-{os.getpid()}"
    for story in (
        watched_descriptors,
        program_sockets,
        connections,
        lambda: servers(path),
        streams,
        datagrams,
        pipes,
        threads,
        signals,
    ):
        await story()
    turns.counting.cancel()


asyncio.run(main())
