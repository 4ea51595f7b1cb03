"""asyncio.selector_events and base_events: datagram endpoints and their transport."""

import asyncio
import contextvars
import gc
import logging
import os
import socket
import sys
import weakref

import pytest

from tests.unit.protocols import one_poll

LOCALHOST = ("127.0.0.1", 0)
HEADER = 8 if sys.version_info >= (3, 13) else 0
"""What each datagram that waits counts beside its bytes."""


class Recorder(asyncio.DatagramProtocol):
    """Records what happens to it, in order, and lets a test wait for the next thing."""

    def __init__(self):
        self.events = []
        self.datagrams = []
        self.errors = []
        self.lost = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()

    def _note(self, event):
        self.events.append(event)
        self._changed.set()

    def connection_made(self, transport):
        self.transport = transport
        self._note("made")

    def datagram_received(self, data, address):
        self.datagrams.append((data, address))
        self._note("datagram")

    def error_received(self, error):
        self.errors.append(error)
        self._note("error")

    def pause_writing(self):
        self._note("pause")

    def resume_writing(self):
        self._note("resume")

    def connection_lost(self, error):
        self._note("lost")
        self.lost.set_result(error)

    async def until(self, condition):
        """Wait until `condition()` holds; it is looked at after every event."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def received(self, count):
        """Wait until `count` datagrams have come, and return the data of all that have."""
        await self.until(lambda: len(self.datagrams) >= count)
        return [data for data, _ in self.datagrams]


class Echo(Recorder):
    """Sends back what comes, in capitals."""

    def datagram_received(self, data, address):
        super().datagram_received(data, address)
        self.transport.sendto(data.upper(), address)


async def closed(*transports):
    """Close transports and wait for `connection_lost`."""
    protocols = [transport.get_protocol() for transport in transports]
    for transport in transports:
        transport.close()
    for protocol in protocols:
        await protocol.lost


@pytest.fixture
def endpoint(loop):
    def endpoint(factory=Recorder, **arguments):
        return loop.create_datagram_endpoint(factory, **arguments)

    return endpoint


@pytest.fixture
def narrow(loop, tmp_path):
    """A transport on a Unix socket that takes few datagrams, its protocol, and the blocking peer."""
    path = str(tmp_path / "peer")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(path)
        peer.settimeout(10)

        async def narrow(factory=Recorder):
            opening = loop.create_datagram_endpoint(factory, remote_addr=path, family=socket.AF_UNIX)
            return *await opening, peer

        yield narrow


miscounting = pytest.mark.yibu_only(since=(3, 13), before=(3, 13, 1))
"""asyncio of Python 3.13.0 counts the header of a datagram when it is queued, and not when it is sent."""


def numbered(number):
    return b"%08d" % number


def fill(transport):
    """Send numbered datagrams until one has to wait; return how many that were."""
    count = 0
    while transport.get_write_buffer_size() == 0:
        transport.sendto(numbered(count))
        count += 1
    return count


class TestThereAndBack:
    def test_connected(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(Echo, local_addr=LOCALHOST)
            address = server.get_extra_info("sockname")
            client, at_client = await endpoint(remote_addr=address)
            assert client.get_extra_info("peername") == address
            for number in range(10):
                client.sendto(b"message %d" % number)
                client.sendto(b"again", None)
                client.sendto(b"and again", address)
            received = await at_client.received(30)
            assert received[::3] == [b"MESSAGE %d" % number for number in range(10)]
            assert set(received[1::3]) == {b"AGAIN"}
            own = client.get_extra_info("sockname")
            assert {address for _, address in at_server.datagrams} == {own}
            assert {address for _, address in at_client.datagrams} == {address}
            await closed(client, server)
            assert at_client.events == ["made", *["datagram"] * 30, "lost"]

        run(main())

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_unconnected(self, run, endpoint, host):
        async def main():
            try:
                server, _ = await endpoint(Echo, local_addr=(host, 0))
            except OSError:
                pytest.skip("no such address on this machine")
            address = server.get_extra_info("sockname")
            clients = [await endpoint(local_addr=(host, 0)) for _ in range(3)]
            for number in range(5):
                for index, (client, _) in enumerate(clients):
                    client.sendto(b"%d to %d" % (index, number), address)
            for index, (client, protocol) in enumerate(clients):
                assert client.get_extra_info("peername") is None
                assert await protocol.received(5) == [b"%d TO %d" % (index, n) for n in range(5)]
                assert {sender for _, sender in protocol.datagrams} == {address}
                assert type(protocol.datagrams[0][1]) is tuple
            await closed(server, *(client for client, _ in clients))

        run(main())

    def test_short_and_long_addresses_of_ipv6(self, run, endpoint):
        async def main():
            try:
                server, at_server = await endpoint(local_addr=("::1", 0))
            except OSError:
                pytest.skip("no IPv6 on this machine")
            port = server.get_extra_info("sockname")[1]
            client, _ = await endpoint(family=socket.AF_INET6)
            client.sendto(b"two", ("::1", port))
            client.sendto(b"three", ("::1", port, 0))
            client.sendto(b"four", ("::1", port, 0, 0))
            client.sendto(b"long", ("0:0:0:0:0:0:0:1", port))
            assert await at_server.received(4) == [b"two", b"three", b"four", b"long"]
            sender = at_server.datagrams[0][1]
            assert (
                sender == client.get_extra_info("socket").getsockname()[:1] + sender[1:] or len(sender) == 4
            )
            await closed(client, server)

        run(main())

    def test_many_senders(self, run, endpoint):
        """Each datagram comes with the address of its own sender, and the answers go there."""

        async def main():
            server, at_server = await endpoint(Echo, local_addr=("0.0.0.0", 0))
            port = server.get_extra_info("sockname")[1]
            hosts = [f"127.{n}.{255 - n}.{n * 7 % 100 + 1}" for n in range(0, 256, 3)]
            clients = [await endpoint(local_addr=(host, 0)) for host in hosts]
            for number in range(4):
                for host, (client, _) in zip(hosts, clients, strict=True):
                    client.sendto(f"{host} {number}".encode(), ("127.0.0.1", port))
                for _, protocol in clients:
                    await protocol.received(number + 1)
            for host, (client, protocol) in zip(hosts, clients, strict=True):
                start = host.encode() + b" "
                assert await protocol.received(4) == [start + b"%d" % number for number in range(4)]
                senders = [sender for data, sender in at_server.datagrams if data.startswith(start)]
                assert senders == [client.get_extra_info("sockname")] * 4
            await closed(server, *(client for client, _ in clients))

        run(main())

    def test_empty_datagrams(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
            client.sendto(b"")
            client.sendto(bytearray())
            client.sendto(memoryview(b""))
            client.sendto(b"end")
            await at_server.until(lambda: at_server.datagrams and at_server.datagrams[-1][0] == b"end")
            # Sent since Python 3.13.
            expected = [b""] * 3 if HEADER else []
            assert [data for data, _ in at_server.datagrams] == [*expected, b"end"]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"", server.get_extra_info("sockname"))
            await at_server.received(len(expected) + 2)
            assert at_server.datagrams[-1][0] == b""
            await closed(client, server)

        run(main())

    @pytest.mark.parametrize("size", [1, 1400, 9000, 65507])
    def test_sizes(self, run, endpoint, size):
        async def main():
            server, _ = await endpoint(Echo, local_addr=LOCALHOST)
            client, protocol = await endpoint(remote_addr=server.get_extra_info("sockname"))
            data = os.urandom(size)
            client.sendto(data)
            assert await protocol.received(1) == [data.upper()]
            await closed(client, server)

        run(main())

    def test_names_are_resolved_as_sockets_do(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            port = server.get_extra_info("sockname")[1]
            client, protocol = await endpoint(local_addr=LOCALHOST)
            client.sendto(b"by name", ("localhost", port))
            client.sendto(b"by no name", ("", port))
            client.sendto(b"list", (b"127.0.0.1", port))
            assert await at_server.received(3) == [b"by name", b"by no name", b"list"]
            client.sendto(b"by a name that nobody has", ("name.invalid", port))
            assert [type(error) for error in protocol.errors] == [socket.gaierror]
            await closed(client, server)

        run(main())

    def test_callbacks_come_between_datagrams(self, loop, run, endpoint):
        """What a datagram schedules runs before the next datagram of the same socket is handed out."""
        order = []

        class Protocol(Recorder):
            def datagram_received(self, data, address):
                order.append(data)
                loop.call_soon(order.append, b"after " + data)
                super().datagram_received(data, address)

        async def main():
            server, at_server = await endpoint(Protocol, local_addr=LOCALHOST)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                for number in range(5):
                    peer.sendto(b"%d" % number, server.get_extra_info("sockname"))
            await at_server.received(5)
            await asyncio.sleep(0)
            assert order == [text for n in range(5) for text in (b"%d" % n, b"after %d" % n)]
            await closed(server)

        run(main())


class TestUnixDatagrams:
    def test_paths(self, run, endpoint, tmp_path):
        here, there = str(tmp_path / "here"), str(tmp_path / "there")

        async def main():
            server, _ = await endpoint(Echo, local_addr=there, family=socket.AF_UNIX)
            client, protocol = await endpoint(local_addr=here, remote_addr=there, family=socket.AF_UNIX)
            other, at_other = await endpoint(local_addr=here + "é", family=socket.AF_UNIX)
            client.sendto(b"one")
            other.sendto(b"two", there)
            other.sendto(b"three", os.fsencode(there))
            assert await protocol.received(1) == [b"ONE"]
            assert await at_other.received(2) == [b"TWO", b"THREE"]
            assert protocol.datagrams[0][1] == there
            await closed(client, server, other)

        run(main())

    def test_names_without_a_path(self, run, endpoint):
        name = f"\0yibu-test-{os.getpid()}"

        async def main():
            server, at_server = await endpoint(Echo, local_addr=name, family=socket.AF_UNIX)
            client, protocol = await endpoint(
                local_addr=name + "-client", remote_addr=name, family=socket.AF_UNIX
            )
            client.sendto(b"abstract")
            assert await protocol.received(1) == [b"ABSTRACT"]
            assert at_server.datagrams == [(b"abstract", os.fsencode(name + "-client"))]
            await closed(client, server)

        run(main())

    def test_a_sender_without_a_name(self, run, endpoint, tmp_path):
        path = str(tmp_path / "socket")

        async def main():
            transport, protocol = await endpoint(local_addr=path, family=socket.AF_UNIX)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"anonymous", path)
            await protocol.received(1)
            assert protocol.datagrams == [(b"anonymous", None)]
            await closed(transport)

        run(main())

    def test_a_stale_socket_is_removed(self, run, endpoint, tmp_path):
        path = str(tmp_path / "stale")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as old:
            old.bind(path)

        async def main():
            transport, _ = await endpoint(local_addr=path, family=socket.AF_UNIX)
            await closed(transport)

        run(main())
        assert os.path.exists(path)

    def test_a_file_is_not_removed(self, run, endpoint, tmp_path):
        path = tmp_path / "file"
        path.write_text("precious")
        with pytest.raises(OSError, match="in use"):
            run(endpoint(local_addr=str(path), family=socket.AF_UNIX))
        assert path.read_text() == "precious"

    def test_a_stale_socket_that_cannot_be_looked_at(self, run, endpoint, tmp_path, caplog):
        path = str(tmp_path / "file" / "socket")
        (tmp_path / "file").write_text("no directory")
        with caplog.at_level(logging.ERROR, "asyncio"), pytest.raises(NotADirectoryError):
            run(endpoint(local_addr=path, family=socket.AF_UNIX))
        [record] = caplog.records
        assert record.getMessage().startswith(
            f"Unable to check or remove stale UNIX socket {path!r}: NotADir"
        )

    @pytest.mark.parametrize("arguments", [{"local_addr": b"path"}, {"remote_addr": ("host", 1)}])
    def test_addresses_are_strings(self, run, endpoint, arguments):
        with pytest.raises(TypeError, match=r"^string is expected$"):
            run(endpoint(family=socket.AF_UNIX, **arguments))


class TestArguments:
    @pytest.mark.parametrize("data", ["text", 5, None, [b"x"]])
    def test_what_is_no_data(self, run, endpoint, data):
        async def main():
            transport, _ = await endpoint(local_addr=LOCALHOST)
            with pytest.raises(TypeError) as caught:
                transport.sendto(data, ("127.0.0.1", 9))
            name = type(data).__name__
            assert str(caught.value) == f"data argument must be a bytes-like object, not {name!r}"
            await closed(transport)

        run(main())

    def test_another_address_than_the_own(self, run, endpoint):
        async def main():
            transport, _ = await endpoint(remote_addr=("127.0.0.1", 9))
            with pytest.raises(ValueError) as caught:
                transport.sendto(b"x", ("127.0.0.1", 10))
            assert str(caught.value) == "Invalid address: must be None or ('127.0.0.1', 9)"
            await closed(transport)

        run(main())

    @pytest.mark.parametrize(
        ("address", "error"),
        [
            (None, TypeError),
            ("127.0.0.1", TypeError),
            (("127.0.0.1",), TypeError),
            (("127.0.0.1", "9"), TypeError),
            (("127.0.0.1", 9, 0), TypeError),
            (("127.0.0.1", 70000), OverflowError),
            (("127.0.0.1", -1), OverflowError),
            (("127.0.0.1", 2**70), OverflowError),
        ],
    )
    def test_what_is_no_address_ends_the_transport(self, run, endpoint, reports, address, error):
        async def main():
            transport, protocol = await endpoint(local_addr=LOCALHOST)
            assert transport.sendto(b"x", address) is None
            assert transport.is_closing()
            assert type(await protocol.lost) is error
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, pytest.raises(error) as caught:
                peer.sendto(b"x", address)
            assert str(protocol.lost.result()) == str(caught.value)
            [report] = reports
            assert report["message"] == "Fatal write error on datagram transport"
            assert report["exception"] is protocol.lost.result()
            assert (report["transport"], report["protocol"]) == (transport, protocol)

        run(main())

    def test_memory_in_pieces(self, run, endpoint, reports):
        async def main():
            transport, protocol = await endpoint(remote_addr=("127.0.0.1", 9))
            transport.sendto(memoryview(b"a-b-c")[::2])
            assert type(await protocol.lost) is BufferError
            assert [report["message"] for report in reports] == ["Fatal write error on datagram transport"]

        run(main())

    def test_names_of_arguments(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            transport, _ = await endpoint(local_addr=LOCALHOST)
            transport.sendto(data=b"x", addr=server.get_extra_info("sockname"))
            await at_server.received(1)
            with pytest.raises(TypeError, match="sendto"):
                transport.sendto()
            await closed(transport, server)

        run(main())

    def test_a_socket_and_something_else(self, run, endpoint):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(ValueError) as caught:
                run(endpoint(sock=sock, local_addr=("127.0.0.1", 0), family=socket.AF_INET, reuse_port=True))
            family = f"{socket.AF_INET}"
            assert str(caught.value) == (
                "socket modifier keyword arguments can not be used when sock is specified. "
                f"(local_addr=('127.0.0.1', 0), family={family}, reuse_port=True)"
            )

    def test_a_stream_socket(self, run, endpoint):
        with socket.socket() as sock:
            with pytest.raises(ValueError) as caught:
                run(endpoint(sock=sock))
            kind = "datagram" if HEADER else "UDP"
            socket_name = "socket" if HEADER else "Socket"
            assert str(caught.value) == f"A {kind} {socket_name} was expected, got {sock!r}"

    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ({}, ValueError, "unexpected address family"),
            ({"local_addr": "127.0.0.1"}, TypeError, "2-tuple is expected"),
            ({"local_addr": ["127.0.0.1", 0]}, TypeError, "2-tuple is expected"),
            ({"remote_addr": ("127.0.0.1", 0, 0, 0)}, TypeError, "2-tuple is expected"),
            (
                {"local_addr": ("127.0.0.1", 0), "remote_addr": ("::1", 9)},
                ValueError,
                "can not get address information",
            ),
        ],
    )
    def test_addresses_that_do_not_fit(self, run, endpoint, arguments, error, text):
        with pytest.raises(error) as caught:
            run(endpoint(**arguments))
        assert str(caught.value) == text

    def test_no_address_found(self, loop, run, endpoint):
        async def nothing(*_args, **_kwargs):
            return []

        loop.getaddrinfo = nothing
        with pytest.raises(OSError, match=r"^getaddrinfo\(\) returned empty list$"):
            run(endpoint(local_addr=("name.invalid", 9)))

    def test_the_first_error_counts(self, loop, run, endpoint):
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taken.bind(LOCALHOST)

        async def two(*_args, **_kwargs):
            info = (socket.AF_INET, socket.SOCK_DGRAM, 17, "", taken.getsockname())
            other = (socket.AF_INET, socket.SOCK_DGRAM, 0, "", ("203.0.113.1", 9))
            return [info, other]

        loop.getaddrinfo = two
        with taken, pytest.raises(OSError, match="in use"):
            run(endpoint(local_addr=("name.invalid", 9)))

    def test_later_addresses_are_tried(self, loop, run, endpoint):
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taken.bind(LOCALHOST)

        async def two(*_args, **_kwargs):
            info = (socket.AF_INET, socket.SOCK_DGRAM, 17, "", taken.getsockname())
            return [info, (socket.AF_INET, socket.SOCK_DGRAM, 0, "", LOCALHOST)]

        async def main():
            transport, _ = await endpoint(local_addr=("name.invalid", 9))
            assert transport.get_extra_info("sockname")[0] == "127.0.0.1"
            await closed(transport)

        loop.getaddrinfo = two
        with taken:
            run(main())

    def test_several_sockets_on_one_port(self, run, endpoint):
        async def main():
            one, _ = await endpoint(local_addr=LOCALHOST, reuse_port=True)
            address = one.get_extra_info("sockname")
            other, _ = await endpoint(local_addr=address, reuse_port=True)
            assert other.get_extra_info("sockname") == address
            with pytest.raises(OSError):
                await endpoint(local_addr=address)
            await closed(one, other)

        run(main())

    def test_broadcast_does_not_connect(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            address = server.get_extra_info("sockname")
            client, _ = await endpoint(remote_addr=address, allow_broadcast=True)
            sock = client.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
            assert client.get_extra_info("peername") is None
            client.sendto(b"to the only address")
            client.sendto(b"twice", address)
            with pytest.raises(ValueError, match="Invalid address"):
                client.sendto(b"x", ("127.0.0.1", 1))
            assert await at_server.received(2) == [b"to the only address", b"twice"]
            await closed(client, server)

        run(main())

    def test_family_alone(self, run, endpoint):
        async def main():
            transport, protocol = await endpoint(family=socket.AF_INET)
            assert transport.get_extra_info("sockname") == ("0.0.0.0", 0)
            server, _ = await endpoint(Echo, local_addr=LOCALHOST)
            transport.sendto(b"x", server.get_extra_info("sockname"))
            assert await protocol.received(1) == [b"X"]
            await closed(transport, server)

        run(main())

    def test_a_factory_that_fails_leaves_the_socket_alone(self, run, endpoint):
        def factory():
            raise ZeroDivisionError

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(ZeroDivisionError):
                run(endpoint(factory, sock=sock))
            assert sock.fileno() >= 0

    @pytest.mark.yibu_only
    def test_a_factory_that_fails_leaves_no_socket(self, run, endpoint):
        def factory():
            raise ZeroDivisionError

        run(asyncio.sleep(0))  # the loop opens its own descriptors
        before = os.listdir("/proc/self/fd")
        with pytest.raises(ZeroDivisionError):
            run(endpoint(factory, local_addr=LOCALHOST))
        assert len(os.listdir("/proc/self/fd")) == len(before)

    def test_a_descriptor_of_another_transport(self, loop, run, endpoint):
        async def main():
            transport, _ = await endpoint(local_addr=LOCALHOST)
            sock = transport.get_extra_info("socket")
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(sock, print)
            transport.close()
            await asyncio.sleep(0)

        run(main())


class TestErrors:
    def test_refused_by_the_peer(self, run, endpoint):
        async def main():
            server, _ = await endpoint(local_addr=LOCALHOST)
            address = server.get_extra_info("sockname")
            await closed(server)
            client, protocol = await endpoint(remote_addr=address)
            client.sendto(b"nobody is there")
            await protocol.until(lambda: protocol.errors)
            assert [type(error) for error in protocol.errors] == [ConnectionRefusedError]
            assert protocol.errors[0].args == (111, "Connection refused")
            # The socket goes on.
            server, _ = await endpoint(Echo, local_addr=address)
            client.sendto(b"somebody is")
            assert await protocol.received(1) == [b"SOMEBODY IS"]
            await closed(client, server)

        run(main())

    @pytest.mark.parametrize("connected", [True, False])
    def test_too_long(self, run, endpoint, connected):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            address = server.get_extra_info("sockname")
            where = {"remote_addr": address} if connected else {"local_addr": LOCALHOST}
            client, protocol = await endpoint(**where)
            client.sendto(bytes(70_000), address)
            assert [str(error) for error in protocol.errors] == ["[Errno 90] Message too long"]
            client.sendto(b"short", address)
            assert await at_server.received(1) == [b"short"]
            await closed(client, server)

        run(main())

    def test_error_received_may_raise(self, run, endpoint):
        class Protocol(Recorder):
            def error_received(self, error):
                raise ZeroDivisionError

        async def main():
            client, _ = await endpoint(Protocol, remote_addr=("127.0.0.1", 9))
            with pytest.raises(ZeroDivisionError) as caught:
                client.sendto(bytes(70_000))
            assert str(caught.value.__context__) == "[Errno 90] Message too long"
            assert not client.is_closing()
            await closed(client)

        run(main())

    def test_datagram_received_may_raise(self, run, endpoint, reports):
        class Protocol(Recorder):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                if data == b"bad":
                    raise ZeroDivisionError

        async def main():
            server, at_server = await endpoint(Protocol, local_addr=LOCALHOST)
            client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
            for data in b"good", b"bad", b"better":
                client.sendto(data)
            assert await at_server.received(3) == [b"good", b"bad", b"better"]
            [report] = reports
            assert type(report["exception"]) is ZeroDivisionError
            assert report["message"].startswith("Exception in callback ")
            assert report["message"].split(" at ")[0].endswith("._read_ready()")
            await closed(client, server)

        run(main())

    @pytest.mark.parametrize("exit_class", [SystemExit, KeyboardInterrupt])
    def test_exits_leave_the_loop(self, loop, run, endpoint, exit_class):
        class Protocol(Recorder):
            def datagram_received(self, data, address):
                raise exit_class

        async def main():
            server, _ = await endpoint(Protocol, local_addr=LOCALHOST)
            return server

        server = run(main())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"x", server.get_extra_info("sockname"))
        with pytest.raises(exit_class):
            loop.run_forever()
        run(closed(server))

    def test_a_socket_closed_by_the_program(self, run, endpoint):
        async def main():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            transport, protocol = await endpoint(sock=sock)
            sock.close()
            transport.sendto(b"x", ("127.0.0.1", 9))
            assert [type(error) for error in protocol.errors] == [OSError]
            assert protocol.errors[0].errno == 9
            await closed(transport)

        run(main())

    def test_fatal_errors(self, run, endpoint, reports, loop, caplog):
        async def main():
            transport, protocol = await endpoint(local_addr=LOCALHOST)
            error = OSError("network")
            transport._fatal_error(error, "message")
            assert await protocol.lost is error
            assert reports == []
            transport, protocol = await endpoint(local_addr=LOCALHOST)
            error = ZeroDivisionError()
            transport._fatal_error(error)
            assert await protocol.lost is error
            assert [report["message"] for report in reports] == ["Fatal error on transport"]

        run(main())


class TestFlow:
    def test_what_waits_is_sent_in_order(self, run, narrow):
        async def main():
            transport, protocol, peer = await narrow()
            sent = fill(transport)
            for number in range(sent, sent + 50):
                transport.sendto(numbered(number))
            assert len(transport._buffer) == 51
            assert transport.get_write_buffer_size() == 51 * (8 + HEADER)
            assert transport._buffer[0] == (numbered(sent - 1), transport._address)
            received = [await asyncio.to_thread(peer.recv, 100) for _ in range(sent + 50)]
            assert received == [numbered(number) for number in range(sent + 50)]
            assert protocol.events == ["made"]
            await closed(transport)

        run(main())

    @miscounting
    def test_marks(self, run, narrow):
        async def main():
            transport, protocol, peer = await narrow()
            assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
            fill(transport)
            each = 8 + HEADER
            transport.set_write_buffer_limits(high=3 * each, low=each)
            assert transport.get_write_buffer_limits() == (each, 3 * each)
            assert protocol.events == ["made"]
            transport.sendto(numbered(0))
            transport.sendto(numbered(0))
            assert protocol.events == ["made"]
            transport.sendto(numbered(0))
            transport.sendto(numbered(0))
            assert protocol.events == ["made", "pause"]
            while "resume" not in protocol.events:
                await asyncio.to_thread(peer.recv, 100)
            assert protocol.events == ["made", "pause", "resume"]
            assert transport.get_write_buffer_size() <= each
            transport.abort()
            await protocol.lost

        run(main())

    def test_new_limits_count_at_once(self, run, narrow):
        async def main():
            transport, protocol, _ = await narrow()
            fill(transport)
            transport.set_write_buffer_limits(high=1)
            assert protocol.events == ["made", "pause"]
            with pytest.raises(ValueError, match=r"^high \(1\) must be >= low \(2\) must be >= 0$"):
                transport.set_write_buffer_limits(1, 2)
            transport.abort()
            await protocol.lost

        run(main())

    def test_empty_datagrams_fill_a_buffer_too(self, run, narrow):
        async def main():
            transport, protocol, _ = await narrow()
            fill(transport)
            before = transport.get_write_buffer_size()
            for _ in range(10):
                transport.sendto(b"")
            assert transport.get_write_buffer_size() == before + 10 * HEADER
            transport.abort()
            await protocol.lost

        run(main())

    def test_a_protocol_that_fails_to_pause(self, run, narrow, reports):
        class Protocol(Recorder):
            def pause_writing(self):
                raise ZeroDivisionError

        async def main():
            transport, protocol, _ = await narrow(Protocol)
            transport.set_write_buffer_limits(high=0)
            fill(transport)
            assert [report["message"] for report in reports] == ["protocol.pause_writing() failed"]
            transport.abort()
            await protocol.lost

        run(main())

    def test_what_waits_is_a_copy(self, run, narrow):
        async def main():
            transport, protocol, peer = await narrow()
            count = fill(transport)
            data = bytearray(b"original")
            transport.sendto(data)
            transport.sendto(memoryview(data))
            data[:] = b"changed!"
            transport.close()
            received = [await asyncio.to_thread(peer.recv, 100) for _ in range(count + 2)]
            assert received[-2:] == [b"original"] * 2
            assert await protocol.lost is None

        run(main())

    def test_close_sends_what_waits(self, run, narrow):
        async def main():
            transport, protocol, peer = await narrow()
            count = fill(transport)
            transport.close()
            assert transport.is_closing()
            transport.sendto(b"while closing")
            assert protocol.events == ["made"]
            received = [await asyncio.to_thread(peer.recv, 100) for _ in range(count + 1)]
            assert received == [*map(numbered, range(count)), b"while closing"]
            assert await protocol.lost is None
            assert protocol.events == ["made", "lost"]

        run(main())

    def test_abort_sends_nothing_more(self, run, narrow):
        async def main():
            transport, protocol, peer = await narrow()
            count = fill(transport)
            transport.abort()
            assert len(transport._buffer) == 0
            assert await protocol.lost is None
            received = [peer.recv(100) for _ in range(count - 1)]
            assert received == [*map(numbered, range(count - 1))]
            peer.setblocking(False)
            with pytest.raises((BlockingIOError, ConnectionResetError)):
                peer.recv(100)

        run(main())

    @miscounting
    def test_the_protocol_may_send_when_it_resumes(self, run, narrow):
        class Protocol(Recorder):
            def resume_writing(self):
                super().resume_writing()
                self.transport.sendto(b"resumed")

        async def main():
            transport, protocol, peer = await narrow(Protocol)
            transport.set_write_buffer_limits(high=0)
            count = fill(transport)
            received = [await asyncio.to_thread(peer.recv, 100) for _ in range(count + 1)]
            assert received[-1] == b"resumed"
            transport.abort()
            await protocol.lost

        run(main())

    def test_a_full_socket_and_names_to_resolve(self, run, loop, endpoint):
        """What the socket object sends waits its turn like everything else."""

        class Full(socket.socket):
            room = 2

            def sendto(self, data, address):
                if self.room == 0:
                    raise BlockingIOError
                self.room -= 1
                return super().sendto(data, address)

        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            address = server.get_extra_info("sockname")
            sock = Full(socket.AF_INET, socket.SOCK_DGRAM)
            transport, _ = await endpoint(sock=sock)
            for number in range(5):
                transport.sendto(numbered(number), address)
            assert list(transport._buffer) == [(numbered(number), address) for number in range(2, 5)]
            assert await at_server.received(2) == [numbered(0), numbered(1)]
            sock.room = 9
            assert await at_server.received(5) == [numbered(number) for number in range(5)]
            assert not transport._buffer
            await closed(transport, server)

        run(main())

    def test_sockets_of_a_class_of_their_own(self, run, endpoint):
        calls = []

        class Own(socket.socket):
            def recvfrom(self, size):
                calls.append("recvfrom")
                data, address = super().recvfrom(size)
                return data[::-1], address

            def sendto(self, data, address):
                calls.append("sendto")
                return super().sendto(data[1:], address)

        async def main():
            server, _ = await endpoint(Echo, local_addr=LOCALHOST)
            sock = Own(socket.AF_INET, socket.SOCK_DGRAM)
            transport, protocol = await endpoint(sock=sock)
            transport.sendto(b"_abc", server.get_extra_info("sockname"))
            assert await protocol.received(1) == [b"CBA"]
            assert calls == ["sendto", "recvfrom"]
            await closed(transport, server)

        run(main())


class TestReading:
    def test_pause_and_resume(self, loop, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            assert server.is_reading()
            server.pause_reading()
            server.pause_reading()
            assert not server.is_reading()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"kept", server.get_extra_info("sockname"))
            await one_poll(loop)
            assert at_server.datagrams == []
            server.resume_reading()
            server.resume_reading()
            assert await at_server.received(1) == [b"kept"]
            await closed(server)
            assert not server.is_reading()

        run(main())

    def test_paused_in_the_middle(self, loop, run, endpoint):
        class Protocol(Recorder):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                self.transport.pause_reading()

        async def main():
            server, at_server = await endpoint(Protocol, local_addr=LOCALHOST)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                for number in range(5):
                    peer.sendto(numbered(number), server.get_extra_info("sockname"))
            for number in range(5):
                await at_server.received(number + 1)
                await one_poll(loop)
                assert len(at_server.datagrams) == number + 1
                server.resume_reading()
            await closed(server)

        run(main())

    def test_closed_in_the_middle(self, run, endpoint):
        class Protocol(Recorder):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                self.transport.close()

        async def main():
            server, at_server = await endpoint(Protocol, local_addr=LOCALHOST)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                for number in range(5):
                    peer.sendto(numbered(number), server.get_extra_info("sockname"))
            await at_server.lost
            assert at_server.events == ["made", "datagram", "lost"]

        run(main())

    def test_another_protocol(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            other = Recorder()
            assert server.get_protocol() is at_server
            server.set_protocol(other)
            assert server.get_protocol() is other
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"for the other", server.get_extra_info("sockname"))
            assert await other.received(1) == [b"for the other"]
            assert at_server.events == ["made"]
            await closed(server)
            assert server.get_protocol() is None

        run(main())

    def test_context(self, run, endpoint):
        variable = contextvars.ContextVar("variable", default="default")
        seen = []

        class Protocol(Recorder):
            def connection_made(self, transport):
                seen.append(variable.get())
                super().connection_made(transport)

            def datagram_received(self, data, address):
                seen.append(variable.get())
                variable.set("by the protocol")
                super().datagram_received(data, address)

        async def main():
            variable.set("when made")
            server, at_server = await endpoint(Protocol, local_addr=LOCALHOST)
            variable.set("later")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"one", server.get_extra_info("sockname"))
                peer.sendto(b"two", server.get_extra_info("sockname"))
            await at_server.received(2)
            assert seen == ["when made", "when made", "by the protocol"]
            await closed(server)

        run(main())

    def test_by_hand(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            server._read_ready()
            assert at_server.events == ["made"]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"x", server.get_extra_info("sockname"))
                own = peer.getsockname()
            server._read_ready()
            assert [data for data, _ in at_server.datagrams] == [b"x"]
            assert at_server.datagrams[0][1][1] == own[1]
            server._sendto_ready()
            await closed(server)

        run(main())


class TestEnding:
    def test_late_datagrams_for_the_only_address(self, run, endpoint, caplog):
        async def main():
            transport, protocol = await endpoint(remote_addr=("127.0.0.1", 9))
            transport.abort()
            with caplog.at_level(logging.WARNING, "asyncio"):
                for _ in range(7):
                    transport.sendto(b"late")
            assert transport._conn_lost == 8
            assert [record.getMessage() for record in caplog.records] == [
                "socket.send() raised exception."
            ] * 3
            await protocol.lost
            transport.sendto(b"later")

        run(main())

    @pytest.mark.yibu_only  # stock fails when its socket is gone
    def test_late_datagrams_for_anybody(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            address = server.get_extra_info("sockname")
            transport, protocol = await endpoint(local_addr=LOCALHOST)
            transport.close()
            transport.sendto(b"the socket is still there", address)
            assert await at_server.received(1) == [b"the socket is still there"]
            await protocol.lost
            await closed(server)

        run(main())

    @pytest.mark.yibu_only  # asyncio stumbles over what it has let go of
    def test_datagrams_for_anybody_after_the_end_are_dropped(self, run, endpoint, caplog):
        async def main():
            transport, protocol = await endpoint(local_addr=LOCALHOST)
            transport.close()
            await protocol.lost
            for _ in range(6):
                transport.sendto(b"too late", ("127.0.0.1", 9))
            assert protocol.events == ["made", "lost"]

        run(main())
        assert "socket.send() raised exception." in caplog.messages

    @pytest.mark.yibu_only  # asyncio takes a socket whose peer has no name for one that is not connected
    def test_a_pair_without_names(self, run, endpoint):
        async def main():
            near, far = socket.socketpair(type=socket.SOCK_DGRAM)
            far.setblocking(False)
            transport, _protocol = await endpoint(sock=near)
            with far:
                transport.sendto(b"no address")
                transport.sendto(b"nor here", None)
                assert [far.recv(100), far.recv(100)] == [b"no address", b"nor here"]
                sent = 0
                while not transport.get_write_buffer_size():
                    transport.sendto(b"%d" % sent)
                    sent += 1
                for number in range(sent):
                    assert far.recv(100) == b"%d" % number
                    await asyncio.sleep(0)
                await closed(transport)

        run(main())

    def test_close_and_abort_again(self, run, endpoint):
        async def main():
            transport, protocol = await endpoint(local_addr=LOCALHOST)
            transport.close()
            transport.close()
            transport.abort()
            assert protocol.events == ["made"]
            await protocol.lost
            transport.close()
            assert protocol.events == ["made", "lost"]

        run(main())

    def test_nothing_is_received_after_close(self, run, endpoint):
        async def main():
            server, at_server = await endpoint(local_addr=LOCALHOST)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"x", server.get_extra_info("sockname"))
            server.close()
            await at_server.lost
            assert at_server.events == ["made", "lost"]

        run(main())

    def test_a_transport_that_nobody_closes_warns(self, run, endpoint):
        class Forgetful(asyncio.DatagramProtocol):
            """Does not keep its transport."""

        async def forget():
            transport, _ = await endpoint(Forgetful, local_addr=LOCALHOST)
            transport.pause_reading()
            return transport.get_extra_info("socket").fileno()

        with pytest.warns(ResourceWarning, match="unclosed transport <.*Transport fd="):
            number = run(forget())
            gc.collect()
        with pytest.raises(OSError):
            os.fstat(number)

    def test_a_cancelled_opening_closes_its_socket(self, loop, run, endpoint):
        run(asyncio.sleep(0))  # the loop opens its own descriptors
        before = len(os.listdir("/proc/self/fd"))
        made = []

        class Protocol(Recorder):
            def __init__(self):
                super().__init__()
                made.append(self)

        async def main():
            task = loop.create_task(endpoint(Protocol, local_addr=LOCALHOST))
            while not made:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await made[0].lost is None

        run(main())
        assert len(os.listdir("/proc/self/fd")) == before

    def test_nothing_keeps_a_closed_transport(self, run, endpoint):
        async def main():
            transport, protocol = await endpoint(Recorder, local_addr=LOCALHOST)
            await closed(transport)
            return weakref.ref(transport), weakref.ref(protocol)

        references = run(main())
        gc.collect()
        assert [reference() for reference in references] == [None, None]


class TestAttributes:
    def test_class(self, run, endpoint):
        async def main():
            transport, _ = await endpoint(local_addr=LOCALHOST)
            assert isinstance(transport, asyncio.Transport)
            if sys.version_info >= (3, 12):
                assert isinstance(transport, asyncio.DatagramTransport)
            assert type(transport).max_size == 256 * 1024
            if sys.version_info >= (3, 14):
                assert transport._header_size == HEADER
            transport.own_attribute = 1
            assert vars(transport)["own_attribute"] == 1
            await closed(transport)

        run(main())

    def test_values(self, loop, run, endpoint):
        async def main():
            server, _ = await endpoint(local_addr=LOCALHOST)
            address = server.get_extra_info("sockname")
            transport, protocol = await endpoint(remote_addr=address)
            number = transport._sock.fileno()
            assert transport._loop is loop
            assert transport._protocol is protocol
            assert transport._address == address
            assert server._address is None
            assert transport._sock_fd == number
            assert loop._transports[number] is transport
            assert (transport._conn_lost, transport._closing, transport._paused) == (0, False, False)
            assert (transport._buffer_size, transport._server) == (0, None)
            assert not transport._buffer
            assert transport._extra["peername"] == address
            assert isinstance(transport.get_extra_info("socket"), asyncio.trsock.TransportSocket)
            assert transport.get_extra_info("nothing") is None
            assert transport.get_extra_info("nothing", 5) == 5
            assert (transport._low_water, transport._high_water) == (16 * 1024, 64 * 1024)
            await closed(transport, server)
            assert (transport._sock, transport._loop, transport._protocol) == (None, None, None)
            assert transport._sock_fd == number
            assert transport.get_extra_info("peername") == address

        run(main())

    @miscounting
    def test_repr(self, run, narrow):
        async def main():
            transport, protocol, _ = await narrow()
            number = transport._sock_fd

            def text():
                name, _, rest = repr(transport).partition(" ")
                assert name.endswith("Transport")
                return rest

            assert text() == f"fd={number} read=polling write=<idle, bufsize=0>>"
            fill(transport)
            size = transport.get_write_buffer_size()
            assert text() == f"fd={number} read=polling write=<polling, bufsize={size}>>"
            transport.pause_reading()
            assert text() == f"fd={number} read=idle write=<polling, bufsize={size}>>"
            transport.close()
            assert text() == f"closing fd={number} read=idle write=<polling, bufsize={size}>>"
            transport.abort()
            await protocol.lost
            assert text() == f"closed fd={number}>"

        run(main())

    def test_debug_mode_tells(self, loop, run, endpoint, caplog):
        loop.set_debug(True)
        loop.slow_callback_duration = 100

        async def main():
            server, _ = await endpoint(local_addr=LOCALHOST)
            address = server.get_extra_info("sockname")
            client, _ = await endpoint(remote_addr=address)
            server.pause_reading()
            server.resume_reading()
            messages = [record.getMessage() for record in caplog.records]
            for expected in (
                f"Datagram endpoint local_addr={LOCALHOST!r} remote_addr=None created: ({server!r}",
                f"Datagram endpoint remote_addr={address!r} created: ({client!r}",
            ):
                # The state of the transport was another one then.
                start, _, _ = expected.partition(" read=")
                assert [text for text in messages if text.startswith(start)]
            assert [text.split()[-2:] for text in messages if text.endswith(" reading")] == [
                ["pauses", "reading"],
                ["resumes", "reading"],
            ]
            await closed(client, server)

        with caplog.at_level(logging.DEBUG, "asyncio"):
            run(main())
