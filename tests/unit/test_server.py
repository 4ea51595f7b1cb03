"""Servers: create_server with its keywords, Server's methods, closing, and connections accepted elsewhere."""

import asyncio
import contextlib
import errno
import socket
import sys

import pytest

from tests.unit.protocols import PEER_LIMIT, Recorder, one_poll, receive


def connect(server, **options):
    """Connect a blocking socket of the test's own to the first socket of a server."""
    sock = socket.create_connection(server.sockets[0].getsockname()[:2], timeout=PEER_LIMIT, **options)
    sock.settimeout(PEER_LIMIT)
    return sock


class Server:
    """A server of the loop whose protocols are kept."""

    def __init__(self):
        self.protocols = []
        self.accepted = asyncio.Condition()

    def __call__(self):
        protocol = Recorder()
        self.protocols.append(protocol)
        return protocol

    async def connections(self, count):
        while len(self.protocols) < count or any(p.transport is None for p in self.protocols):
            await asyncio.sleep(0)
        return self.protocols


class TestCreateServer:
    def test_accepts_and_serves(self, loop, run):
        async def main():
            factory = Server()
            server = await loop.create_server(factory, "127.0.0.1", 0)
            assert isinstance(server, asyncio.AbstractServer)
            peer = connect(server)
            (protocol,) = await factory.connections(1)
            peer.sendall(b"hello")
            assert await protocol.received(5) == b"hello"
            protocol.transport.write(b"welcome")
            assert receive(peer, 7) == b"welcome"
            assert protocol.transport.get_extra_info("peername") == peer.getsockname()
            peer.close()
            await protocol.lost
            server.close()
            await server.wait_closed()
            return protocol.order

        assert run(main()) == ["made", "data", "eof", ("lost", None)]

    def test_many_connections_at_once(self, loop, run):
        async def main():
            factory = Server()
            server = await loop.create_server(factory, "127.0.0.1", 0, backlog=128)
            peers = [connect(server) for _ in range(100)]
            protocols = await factory.connections(100)
            for number, peer in enumerate(peers):
                peer.sendall(b"%03d" % number)
            await asyncio.gather(*[protocol.received(3) for protocol in protocols])
            received = sorted(bytes(protocol.data) for protocol in protocols)
            for peer in peers:
                peer.close()
            await asyncio.gather(*[protocol.lost for protocol in protocols])
            server.close()
            await server.wait_closed()
            return received

        assert run(main()) == [b"%03d" % number for number in range(100)]

    def test_sockets(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            (sock,) = server.sockets
            assert isinstance(sock, asyncio.trsock.TransportSocket)
            assert isinstance(server.sockets, tuple)
            assert sock.getsockname()[0] == "127.0.0.1"
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
            assert sock.gettimeout() == 0
            server.close()
            assert server.sockets == ()
            await server.wait_closed()

        run(main())

    def test_given_socket(self, loop, run):
        async def main():
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            factory = Server()
            server = await loop.create_server(factory, sock=sock)
            assert sock.gettimeout() == 0
            peer = connect(server)
            (protocol,) = await factory.connections(1)
            peer.close()
            await protocol.lost
            server.close()
            await server.wait_closed()
            return sock.fileno()

        assert run(main()) == -1

    def test_several_hosts(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, ["127.0.0.1", "127.0.0.2", "127.0.0.1"], 0)
            hosts = sorted(sock.getsockname()[0] for sock in server.sockets)
            server.close()
            await server.wait_closed()
            return hosts

        assert run(main()) == ["127.0.0.1", "127.0.0.2"]

    @pytest.mark.parametrize("host", [None, ""])
    def test_all_interfaces(self, loop, run, host):
        async def main():
            server = await loop.create_server(asyncio.Protocol, host, 0, family=socket.AF_INET)
            names = [sock.getsockname()[0] for sock in server.sockets]
            server.close()
            await server.wait_closed()
            return names

        assert run(main()) == ["0.0.0.0"]

    def test_port_as_text(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", "0")
            port = server.sockets[0].getsockname()[1]
            server.close()
            await server.wait_closed()
            return port

        assert run(main()) > 0

    @pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
    def test_ipv6(self, loop, run):
        async def main():
            factory = Server()
            try:
                server = await loop.create_server(factory, "::1", 0)
            except OSError as error:
                if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    pytest.skip("no IPv6 loopback here")
                raise
            assert server.sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
            peer = connect(server)
            (protocol,) = await factory.connections(1)
            assert len(protocol.transport.get_extra_info("peername")) == 4
            peer.close()
            await protocol.lost
            server.close()
            await server.wait_closed()

        run(main())

    def test_port_in_use(self, loop, run):
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as taken:
                address = taken.getsockname()
                with pytest.raises(OSError) as caught:
                    await loop.create_server(asyncio.Protocol, *address)
            return address, caught.value

        address, error = run(main())
        assert error.errno == errno.EADDRINUSE
        assert error.strerror.startswith(f"error while attempting to bind on address {address!r}: ")
        assert error.strerror.endswith("address already in use")

    def test_reuse_port(self, loop, run):
        async def main():
            first = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, reuse_port=True)
            port = first.sockets[0].getsockname()[1]
            second = await loop.create_server(asyncio.Protocol, "127.0.0.1", port, reuse_port=True)
            assert second.sockets[0].getsockname()[1] == port
            for server in (first, second):
                assert server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 1
                server.close()
                await server.wait_closed()

        run(main())

    def test_reuse_address_off(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, reuse_address=False)
            option = server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            server.close()
            await server.wait_closed()
            return option

        assert run(main()) == 0

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
    def test_keep_alive(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, keep_alive=True)
            option = server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            server.close()
            await server.wait_closed()
            return option

        assert run(main()) == 1

    def test_nodelay_on_accepted_connections(self, loop, run):
        async def main():
            factory = Server()
            server = await loop.create_server(factory, "127.0.0.1", 0)
            peer = connect(server)
            (protocol,) = await factory.connections(1)
            sock = protocol.transport.get_extra_info("socket")
            option = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            peer.close()
            await protocol.lost
            server.close()
            await server.wait_closed()
            return option

        assert run(main()) == 1

    def test_unresolvable_host(self, loop, run):
        async def main():
            await loop.create_server(asyncio.Protocol, "nothing.invalid", 0)

        with pytest.raises(OSError):
            run(main())


class TestServing:
    def test_start_serving_later(self, loop, run):
        async def main():
            server = await loop.create_server(Server(), "127.0.0.1", 0, start_serving=False)
            assert not server.is_serving()
            with socket.socket() as probe:
                assert probe.connect_ex(server.sockets[0].getsockname()) == errno.ECONNREFUSED
            await server.start_serving()
            await server.start_serving()
            assert server.is_serving()
            with connect(server):
                pass
            server.close()
            assert not server.is_serving()
            await server.wait_closed()

        run(main())

    def test_get_loop(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            assert server.get_loop() is loop
            server.close()
            await server.wait_closed()

        run(main())

    def test_async_with_closes(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            async with server as entered:
                assert entered is server
            assert not server.is_serving()
            assert server.sockets == ()

        run(main())

    def test_serve_forever_until_cancelled(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            task = loop.create_task(server.serve_forever())
            await asyncio.sleep(0)
            assert server.is_serving()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not server.is_serving()
            assert server.sockets == ()

        run(main())

    def test_serve_forever_is_cancelled_by_close(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            task = loop.create_task(server.serve_forever())
            await asyncio.sleep(0)
            server.close()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.wait_closed()

        run(main())

    def test_serve_forever_twice(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            task = loop.create_task(server.serve_forever())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError) as caught:
                await server.serve_forever()
            assert str(caught.value) == f"server {server!r} is already being awaited on serve_forever()"
            task.cancel()
            await asyncio.wait([task])

        run(main())

    @pytest.mark.parametrize("first", ["cancel", "close"])
    def test_serve_forever_cancelled_and_closed_at_once(self, loop, run, first):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            task = loop.create_task(server.serve_forever())
            await asyncio.sleep(0)
            if first == "close":
                server.close()
            task.cancel("message")
            server.close()
            await asyncio.sleep(0)
            assert task.done()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert caught.value.args == (("message",) if first == "cancel" else ())

        run(main())

    def test_serve_forever_ends_one_turn_after_close(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            task = loop.create_task(server.serve_forever())
            await asyncio.sleep(0)
            assert server._serving_forever_fut is not None
            server.close()
            await asyncio.sleep(0)
            assert task.done()
            assert server._serving_forever_fut is None
            await asyncio.wait([task])

        run(main())

    @pytest.mark.yibu_only  # asyncio reports in debug mode only, and leaves the client waiting
    def test_a_factory_that_fails_is_reported(self, loop, run, reports):
        def factory():
            raise ValueError("no protocol")

        async def main():
            server = await loop.create_server(factory, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()
            server.close()
            await server.wait_closed()

        loop.set_exception_handler(lambda _loop, context: reports.append(context))
        run(main())
        (report,) = reports
        assert report["message"] == "Error on transport creation for incoming connection"
        assert str(report["exception"]) == "no protocol"
        reports.clear()

    def test_closed_server_refuses(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            server.close()
            with pytest.raises(RuntimeError) as caught:
                await server.serve_forever()
            assert str(caught.value) == f"server {server!r} is closed"
            server.close()
            await server.wait_closed()

        run(main())

    def test_repr(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            shown = repr(server), f"<{type(server).__name__} sockets={server.sockets!r}>"
            server.close()
            await server.wait_closed()
            return shown

        shown, expected = run(main())
        assert shown == expected


class TestClosing:
    def test_close_keeps_connections(self, loop, run):
        async def main():
            factory = Server()
            server = await loop.create_server(factory, "127.0.0.1", 0)
            peer = connect(server)
            (protocol,) = await factory.connections(1)
            server.close()
            peer.sendall(b"still here")
            assert await protocol.received(10) == b"still here"
            peer.close()
            await protocol.lost
            await server.wait_closed()

        run(main())

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 did not wait for connections")
    def test_wait_closed_waits_for_connections(self, loop, run):
        async def main():
            factory = Server()
            server = await loop.create_server(factory, "127.0.0.1", 0)
            peer = connect(server)
            (protocol,) = await factory.connections(1)
            server.close()
            waiting = loop.create_task(server.wait_closed())
            await one_poll(loop)
            assert not waiting.done()
            peer.close()
            await waiting
            return protocol.lost.done()

        assert run(main())

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 did not wait")
    def test_wait_closed_before_close_waits(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            waiting = loop.create_task(server.wait_closed())
            await one_poll(loop)
            assert not waiting.done()
            server.close()
            await waiting
            await server.wait_closed()

        run(main())

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
    @pytest.mark.parametrize("method", ["close_clients", "abort_clients"])
    def test_clients_are_closed(self, loop, run, method):
        async def main():
            factory = Server()
            server = await loop.create_server(factory, "127.0.0.1", 0)
            peers = [connect(server) for _ in range(5)]
            protocols = await factory.connections(5)
            server.close()
            getattr(server, method)()
            assert all(protocol.transport.is_closing() for protocol in protocols)
            await server.wait_closed()
            assert [protocol.lost.result() for protocol in protocols] == [None] * 5
            for peer in peers:
                with contextlib.suppress(ConnectionResetError):
                    assert peer.recv(1) == b""
                peer.close()

        run(main())

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
    def test_abort_clients_drops_unsent_data(self, loop, run):
        async def main():
            factory = Server()
            server = await loop.create_server(factory, "127.0.0.1", 0)
            peer = connect(server)
            (protocol,) = await factory.connections(1)
            protocol.transport.write(b"x" * (8 << 20))
            server.close()
            server.close_clients()
            assert not protocol.lost.done()
            server.abort_clients()
            await server.wait_closed()
            assert protocol.transport.get_write_buffer_size() == 0
            peer.close()

        run(main())

    def test_connections_that_were_not_accepted_are_refused_afterwards(self, loop, run):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            server.close()
            await server.wait_closed()
            with socket.socket() as probe:
                return probe.connect_ex(address)

        assert run(main()) == errno.ECONNREFUSED

    def test_closing_inside_connection_made(self, loop, run):
        async def main():
            protocols = []

            class Closing(Recorder):
                def connection_made(self, transport):
                    super().connection_made(transport)
                    protocols.append(self)
                    server.close()

            server = await loop.create_server(Closing, "127.0.0.1", 0)
            peer = connect(server)
            while not protocols:
                await asyncio.sleep(0)
            peer.close()
            await protocols[0].lost
            await server.wait_closed()

        run(main())


@pytest.mark.yibu_only  # stock is silent outside debug mode, and forgets the socket
class TestRaising:
    def test_a_factory_that_raises(self, loop, run, reports):
        async def main():
            protocols = []

            def factory():
                if not protocols:
                    protocols.append(None)
                    raise ZeroDivisionError("factory")
                protocols.append(Recorder())
                return protocols[-1]

            server = await loop.create_server(factory, "127.0.0.1", 0)
            refused, accepted = connect(server), connect(server)
            while len(protocols) < 2 or protocols[1].transport is None:
                await asyncio.sleep(0)
            accepted.sendall(b"works")
            assert await protocols[1].received(5) == b"works"
            accepted.close()
            await protocols[1].lost
            server.close()
            await server.wait_closed()
            refused.close()

        run(main())
        (context,) = reports
        assert context["message"] == "Error on transport creation for incoming connection"
        assert isinstance(context["exception"], ZeroDivisionError)

    def test_a_factory_that_raises_in_debug_mode(self, loop, run, reports):
        loop.set_debug(True)
        loop.slow_callback_duration = 1000

        async def main():
            def factory():
                raise ZeroDivisionError("factory")

            server = await loop.create_server(factory, "127.0.0.1", 0)
            peer = connect(server)
            while not reports:
                await asyncio.sleep(0)
            server.close()
            await server.wait_closed()
            peer.close()

        run(main())
        assert reports[0]["message"] == "Error on transport creation for incoming connection"


class TestConnectAcceptedSocket:
    def test_connection(self, loop, run):
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                peer = socket.create_connection(listener.getsockname(), timeout=PEER_LIMIT)
                accepted, _ = listener.accept()
            transport, protocol = await loop.connect_accepted_socket(Recorder, accepted)
            peer.sendall(b"hello")
            assert await protocol.received(5) == b"hello"
            assert accepted.gettimeout() == 0
            transport.close()
            await protocol.lost
            peer.close()

        run(main())

    @pytest.mark.yibu_only(before=(3, 14))  # stock forgets the socket
    def test_a_factory_that_raises(self, loop, run):
        async def main():
            one, two = socket.socketpair()
            with one, two:
                with pytest.raises(ZeroDivisionError):
                    await loop.connect_accepted_socket(lambda: 1 / 0, one)

        run(main())

    def test_not_a_stream_socket(self, loop, run):
        async def main():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                with pytest.raises(ValueError) as caught:
                    await loop.connect_accepted_socket(asyncio.Protocol, sock)
                assert str(caught.value) == f"A Stream Socket was expected, got {sock!r}"

        run(main())
