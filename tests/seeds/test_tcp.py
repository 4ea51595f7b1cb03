"""Row "TCP": connections and servers, raw sockets, readers, flow control, closing, sendfile."""

import asyncio
import os
import socket
import sys

import pytest


class Served(asyncio.Protocol):
    """A server's side of a connection; a server is stopped when all of these have ended."""

    alive = set()  # noqa: RUF012

    def connection_made(self, transport):
        self.transport = transport
        self.alive.add(self)

    def connection_lost(self, error):
        self.alive.discard(self)


class Echo(Served):
    """Sends back what it receives."""

    def data_received(self, data):
        self.transport.write(data)


class Collect(asyncio.Protocol):
    """Collects what it receives, and tells when there is enough and when the connection is lost."""

    def __init__(self, enough=1):
        loop = asyncio.get_running_loop()
        self.data, self.enough = bytearray(), enough
        self.filled, self.lost = loop.create_future(), loop.create_future()

    def data_received(self, data):
        self.data += data
        if len(self.data) >= self.enough and not self.filled.done():
            self.filled.set_result(bytes(self.data))

    def connection_lost(self, error):
        self.lost.set_result(error)


async def serve(loop, factory=Echo, **options):
    server = await loop.create_server(factory, "127.0.0.1", 0, **options)
    return server, server.sockets[0].getsockname()


async def stop(server):
    server.close()
    await server.wait_closed()
    while Served.alive:
        await asyncio.sleep(0)


def test_create_connection_and_create_server(aio):
    async def main():
        loop = aio.get_running_loop()
        server, address = await serve(loop)
        transport, client = await loop.create_connection(lambda: Collect(5), *address)
        transport.write(b"hello")
        answer = await client.filled
        transport.close()
        assert await client.lost is None
        await stop(server)
        return answer

    assert aio.run(main()) == b"hello"


def test_local_address_and_given_socket(aio):
    async def main():
        loop = aio.get_running_loop()
        server, address = await serve(loop)
        transport, client = await loop.create_connection(Collect, *address, local_addr=("127.0.0.1", 0))
        assert transport.get_extra_info("sockname")[0] == "127.0.0.1"
        transport.close()
        await client.lost
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        transport, client = await loop.create_connection(lambda: Collect(4), sock=sock)
        transport.write(b"mine")
        assert await client.filled == b"mine"
        transport.close()
        await client.lost
        await stop(server)

    aio.run(main())


def test_happy_eyeballs(aio):
    async def main():
        loop = aio.get_running_loop()
        server, address = await serve(loop)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            refused = taken.getsockname()

        async def getaddrinfo(host, port, **hints):
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*kind, refused), (*kind, address)]

        loop.getaddrinfo = getaddrinfo
        transport, client = await loop.create_connection(
            Collect, "name.invalid", 1, happy_eyeballs_delay=0.25
        )
        peer = transport.get_extra_info("peername")
        transport.close()
        await client.lost
        await stop(server)
        return peer == address

    assert aio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_all_errors(aio):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = taken.getsockname()
        with pytest.raises(ExceptionGroup) as caught:
            await aio.get_running_loop().create_connection(Collect, *address, all_errors=True)
        return [type(error) for error in caught.value.exceptions]

    assert aio.run(main()) == [ConnectionRefusedError]


def test_reuse_port_and_start_serving(aio):
    async def main():
        loop = aio.get_running_loop()
        first, address = await serve(loop, reuse_port=True, start_serving=False)
        second = await loop.create_server(Echo, *address, reuse_port=True)
        assert not first.is_serving() and second.is_serving()
        await first.start_serving()
        assert first.is_serving()
        await stop(first)
        await stop(second)

    aio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
def test_keep_alive_and_close_clients(aio):
    async def main():
        loop = aio.get_running_loop()
        server, address = await serve(loop, keep_alive=True)
        transport, client = await loop.create_connection(lambda: Collect(1), *address)
        transport.write(b"x")
        await client.filled
        server.close()
        server.close_clients()
        await stop(server)
        return await client.lost

    assert aio.run(main()) is None


def test_serve_forever(aio):
    async def main():
        loop = aio.get_running_loop()
        server, address = await serve(loop)
        serving = aio.create_task(server.serve_forever())
        transport, client = await loop.create_connection(lambda: Collect(4), *address)
        transport.write(b"data")
        await client.filled
        transport.close()
        await client.lost
        serving.cancel()
        with pytest.raises(aio.CancelledError):
            await serving
        await stop(server)
        return server.is_serving()

    assert aio.run(main()) is False


def test_connect_accepted_socket(aio):
    async def main():
        loop = aio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            connecting = aio.create_task(loop.create_connection(lambda: Collect(6), *listener.getsockname()))
            accepted, _ = await loop.sock_accept(listener)
        await loop.connect_accepted_socket(Echo, accepted)
        transport, client = await connecting
        transport.write(b"echoed")
        data = await client.filled
        transport.close()
        await client.lost
        while Served.alive:
            await aio.sleep(0)
        return data

    assert aio.run(main()) == b"echoed"


def test_sock_methods(aio):
    async def main():
        loop = aio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            (accepted, _), _ = await aio.gather(
                loop.sock_accept(listener), loop.sock_connect(client, listener.getsockname())
            )
            with accepted:
                await loop.sock_sendall(client, b"over the wire")
                first = await loop.sock_recv(accepted, 4)
                buffer = bytearray(20)
                count = await loop.sock_recv_into(accepted, buffer)
        return first + bytes(buffer[:count])

    assert aio.run(main()) == b"over the wire"


def test_sock_datagrams(aio):
    async def main():
        loop = aio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            for sock in (one, two):
                sock.bind(("127.0.0.1", 0))
                sock.setblocking(False)
            await loop.sock_sendto(one, b"datagram", two.getsockname())
            data, sender = await loop.sock_recvfrom(two, 100)
            await loop.sock_sendto(two, b"answer", sender)
            buffer = bytearray(6)
            count, _ = await loop.sock_recvfrom_into(one, buffer)
        return data, bytes(buffer), count

    assert aio.run(main()) == (b"datagram", b"answer", 6)


def test_sendfile(aio, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))

    async def main():
        loop = aio.get_running_loop()
        received = loop.create_future()
        server, address = await serve(loop, lambda: received_by(received))
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        with path.open("rb") as file:
            sent = await loop.sendfile(transport, file)
        transport.close()
        data = await received
        await stop(server)
        return sent, data == path.read_bytes()

    def received_by(future):
        class Receive(Collect):
            def connection_lost(self, error):
                future.set_result(bytes(self.data))

        return Receive(1 << 30)

    assert aio.run(main()) == (300_000, True)


def test_sock_sendfile(aio, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 100)

    async def main():
        loop = aio.get_running_loop()
        one, two = socket.socketpair()
        with one, two, path.open("rb") as file:
            one.setblocking(False)
            two.setblocking(False)
            sent = await loop.sock_sendfile(one, file, 5, 10)
            return sent, await loop.sock_recv(two, 100)

    assert aio.run(main()) == (10, b"5678901234")


def test_readers_and_writers(aio):
    async def main():
        loop = aio.get_running_loop()
        one, two = socket.socketpair()
        with one, two:
            readable, writable = loop.create_future(), loop.create_future()
            loop.add_reader(one, lambda: readable.done() or readable.set_result(one.recv(10)))
            loop.add_writer(two, lambda: writable.done() or writable.set_result(two.send(b"ready")))
            result = await readable, await writable
            return result, loop.remove_reader(one), loop.remove_writer(two)

    assert aio.run(main()) == ((b"ready", 5), True, True)


def test_flow_control(aio):
    async def main():
        loop = aio.get_running_loop()
        events = []

        class Flooding(asyncio.Protocol):
            def __init__(self):
                self.resumed = aio.Event()

            def pause_writing(self):
                events.append("pause")

            def resume_writing(self):
                events.append("resume")
                self.resumed.set()

        one, two = socket.socketpair()
        two.setblocking(False)
        transport, protocol = await loop.create_connection(Flooding, sock=one)
        transport.set_write_buffer_limits(high=1000, low=10)
        transport.write(bytes(5_000_000))
        assert transport.get_write_buffer_size() > 1000
        left = 5_000_000
        while left:
            left -= len(await loop.sock_recv(two, 1 << 20))
        await protocol.resumed.wait()
        transport.close()
        await aio.sleep(0)
        two.close()
        return events

    assert aio.run(main()) == ["pause", "resume"]


def test_half_close_and_abort(aio):
    async def main():
        loop = aio.get_running_loop()
        received = []

        class Answer(Served):
            def data_received(self, data):
                received.append(data)

            def eof_received(self):
                self.transport.write(b"after the end")
                self.transport.close()

        server, address = await serve(loop, Answer)
        transport, client = await loop.create_connection(lambda: Collect(13), *address)
        transport.write(b"request")
        transport.write_eof()
        answer = await client.filled
        await client.lost
        transport, client = await loop.create_connection(Collect, *address)
        transport.abort()
        assert await client.lost is None
        await stop(server)
        return received, answer

    assert aio.run(main()) == ([b"request"], b"after the end")


def test_buffered_protocol(aio):
    async def main():
        loop = aio.get_running_loop()

        class Buffered(asyncio.BufferedProtocol):
            def __init__(self):
                self.buffer, self.done = bytearray(8), loop.create_future()
                self.data = b""

            def get_buffer(self, sizehint):
                return self.buffer

            def buffer_updated(self, count):
                self.data += self.buffer[:count]
                if len(self.data) == 20:
                    self.done.set_result(self.data)

        one, two = socket.socketpair()
        transport, protocol = await loop.create_connection(Buffered, sock=one)
        two.send(b"twenty bytes, or so.")
        data = await protocol.done
        transport.close()
        await aio.sleep(0)
        two.close()
        return data

    assert aio.run(main()) == b"twenty bytes, or so."


def test_a_thousand_connections(aio):
    async def main():
        loop = aio.get_running_loop()
        server, address = await serve(loop, backlog=1024)

        async def client(number):
            payload = str(number).encode()
            transport, protocol = await loop.create_connection(lambda: Collect(len(payload)), *address)
            transport.write(payload)
            data = await protocol.filled
            transport.close()
            await protocol.lost
            return data == payload

        results = []
        for start in range(0, 1000, 200):
            results += await aio.gather(*[client(number) for number in range(start, start + 200)])
        await stop(server)
        return sum(results)

    assert aio.run(main()) == 1000
