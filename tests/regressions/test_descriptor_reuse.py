"""A descriptor number that is used again never brings one connection's events to its next owner."""

import asyncio
import os
import random
import socket
import threading

import pytest

CONNECTIONS = 3000
"""Connections that are made and thrown away while others keep talking."""

MESSAGES = 20_000
"""Tagged messages, at least, that are exchanged meanwhile."""


class Tagged(asyncio.Protocol):
    """A server's side: every message names its sender, and is answered with the same name."""

    def __init__(self, crossed):
        self.crossed = crossed
        self.name = None
        self.rest = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        *messages, self.rest = (self.rest + data).split(b"\n")
        for message in messages:
            name = message.split(b":")[0]
            if self.name is None:
                self.name = name
            elif self.name != name:
                self.crossed.append((self.name, name))
            self.transport.write(message + b"\n")


async def converse(loop, address, name, rounds, crossed, source, counts):
    """Exchange tagged messages over a connection; now and then stop in the middle, in one way or another."""
    sock = socket.socket()
    sock.setblocking(False)
    try:
        await loop.sock_connect(sock, address)
        for number in range(rounds):
            message = b"%d:%d\n" % (name, number)
            await loop.sock_sendall(sock, message)
            answer = b""
            while not answer.endswith(b"\n"):
                limit = source.choice((None, None, None, 0.0001))
                try:
                    data = await asyncio.wait_for(loop.sock_recv(sock, 100), limit)
                except TimeoutError:
                    continue
                if not data:
                    return
                answer += data
            counts[0] += 1
            if answer != message:
                crossed.append((message, answer))
    finally:
        sock.close()


def test_tagged_messages_under_cancel_and_timeout_load(loop, run):
    source = random.Random(1)
    crossed, counts = [], [0]

    async def main():
        server = await loop.create_server(lambda: Tagged(crossed), "127.0.0.1", 0, backlog=512)
        address = server.sockets[0].getsockname()
        running, name = set(), 0
        while name < CONNECTIONS or counts[0] < MESSAGES:
            while len(running) < 50:
                name += 1
                rounds = source.choice((1, 2, 5, 40))
                coroutine = converse(loop, address, name, rounds, crossed, source, counts)
                running.add(loop.create_task(coroutine))
            for task in source.sample(sorted(running, key=id), 5):
                if source.random() < 0.3:
                    task.cancel()
            _, running = await asyncio.wait(running, timeout=0.0005)
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        server.close()

    run(main())
    assert crossed == []
    assert counts[0] >= MESSAGES


def test_transports_under_abort_load(loop, run):
    """The same with transports on both sides, aborted while data is on its way to them."""
    crossed, counts = [], [0]
    source = random.Random(2)

    class Client(asyncio.Protocol):
        def __init__(self, name):
            self.name, self.rest = name, b""

        def connection_made(self, transport):
            self.transport = transport
            for number in range(4):
                transport.write(b"%d:%d\n" % (self.name, number))

        def data_received(self, data):
            *messages, self.rest = (self.rest + data).split(b"\n")
            for message in messages:
                counts[0] += 1
                if int(message.split(b":")[0]) != self.name:
                    crossed.append((self.name, message))
                self.transport.write(message + b"\n")

    async def main():
        server = await loop.create_server(lambda: Tagged(crossed), "127.0.0.1", 0, backlog=512)
        address = server.sockets[0].getsockname()
        clients = []
        for name in range(400):
            clients.append((await loop.create_connection(lambda name=name: Client(name), *address))[0])
            if len(clients) > 30:
                clients.pop(source.randrange(len(clients))).abort()
        for transport in clients:
            transport.abort()
        server.close()
        await asyncio.sleep(0)

    run(main())
    assert crossed == []
    assert counts[0] > 400


def test_reader_of_a_closed_descriptor_is_not_called_for_its_successor(loop, run):
    """Both are ready in one poll; the first callback closes the second's and opens another as it."""
    called = []

    async def main():
        first_in, first_out = os.pipe()
        second_in, second_out = os.pipe()
        done = loop.create_future()

        def on_first():
            called.append("first")
            loop.remove_reader(first_in)
            loop.remove_reader(second_in)
            os.close(second_in)
            third_in, third_out = os.pipe()
            assert second_in in (third_in, third_out)
            loop.add_reader(third_in, called.append, "third, that nobody wrote to")
            loop.call_later(0.002, finish, third_in, third_out)

        def finish(*descriptors):
            loop.remove_reader(descriptors[0])
            for descriptor in (*descriptors, first_in, first_out, second_out):
                os.close(descriptor)
            done.set_result(None)

        def on_second():
            called.append("second, that was removed")

        loop.add_reader(first_in, on_first)
        loop.add_reader(second_in, on_second)
        os.write(first_out, b"x")
        os.write(second_out, b"x")
        await done

    run(main())
    assert called in (["first"], ["second, that was removed", "first"])


@pytest.mark.yibu_only  # stock asks epoll to modify what the kernel has forgotten, and fails
def test_a_number_that_was_closed_behind_the_loops_back_can_be_registered_again(loop, run):
    one, two = socket.socketpair()
    loop.add_reader(one, print)
    number = one.fileno()
    one.close()
    three, four = socket.socketpair()
    assert number in (three.fileno(), four.fileno())
    fresh, other = (three, four) if three.fileno() == number else (four, three)
    done = loop.create_future()
    loop.add_reader(fresh, lambda: done.done() or done.set_result(fresh.recv(10)))
    other.send(b"fresh")
    assert run(done) == b"fresh"
    assert loop.remove_reader(fresh) is True
    for sock in (two, three, four):
        sock.close()


def wake_from_a_thread(loop):
    """Let another thread end a wait of the loop; hang when that has become impossible."""
    future = loop.create_future()
    caller = threading.Timer(0.01, loop.call_soon_threadsafe, (future.set_result, None))
    caller.start()
    loop.run_until_complete(future)
    caller.join()


@pytest.mark.time_limit(5)
@pytest.mark.parametrize("side", ["reader", "writer"])
def test_the_loops_own_descriptor_takes_a_number_that_is_still_watched(make_loop, side):
    """A descriptor is closed before its reader is removed; what the loop opened under its number stays."""
    loop = make_loop()
    one, two = socket.socketpair()
    number = one.fileno()
    getattr(loop, f"add_{side}")(one, two.fileno)
    one.close()
    wake_from_a_thread(loop)
    getattr(loop, f"remove_{side}")(number)
    wake_from_a_thread(loop)
    two.close()


@pytest.mark.time_limit(5)
@pytest.mark.yibu_only  # stock asks epoll to modify what the kernel has forgotten, and fails
def test_the_loops_own_descriptor_takes_a_number_that_is_watched_for_both(make_loop):
    loop = make_loop()
    one, two = socket.socketpair()
    number = one.fileno()
    loop.add_reader(one, two.fileno)
    loop.add_writer(one, two.fileno)
    one.close()
    wake_from_a_thread(loop)
    assert loop.remove_writer(number) is True
    wake_from_a_thread(loop)
    assert loop.remove_reader(number) is True
    wake_from_a_thread(loop)
    two.close()


def test_no_descriptor_is_leaked(loop, run):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    async def main():
        server = await loop.create_server(lambda: Tagged([]), "127.0.0.1", 0, backlog=128)
        address = server.sockets[0].getsockname()

        async def connections(count):
            for _ in range(count):
                transport, _ = await loop.create_connection(asyncio.Protocol, *address)
                transport.abort()
            for _ in range(20):
                await asyncio.sleep(0.001)

        await connections(20)
        before = descriptors()
        await connections(200)
        while (after := descriptors()) > before:
            await asyncio.sleep(0.001)
        server.close()
        return after - before

    assert run(main()) <= 0
