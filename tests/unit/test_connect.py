"""Making connections: create_connection with its keywords, happy eyeballs, and the resolution of names."""

import asyncio
import errno
import gc
import socket
import sys

import pytest

from tests.unit.protocols import Recorder, tcp_pair


@pytest.fixture
def listener():
    """A listening TCP socket of the test's own."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as sock:
        yield sock


def unused_port():
    """Return a port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def address(host, port, family=socket.AF_INET):
    """Return one entry of what getaddrinfo gives."""
    target = (host, port) if family == socket.AF_INET else (host, port, 0, 0)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", target)


async def close(transport, protocol):
    transport.close()
    await protocol.lost


class TestCreateConnection:
    def test_host_and_port(self, loop, run, listener):
        async def main():
            transport, protocol = await loop.create_connection(Recorder, *listener.getsockname())
            assert transport.get_extra_info("peername") == listener.getsockname()
            assert protocol.transport is transport
            await close(transport, protocol)

        run(main())

    def test_port_as_text(self, loop, run, listener):
        async def main():
            transport, protocol = await loop.create_connection(
                Recorder, "127.0.0.1", str(listener.getsockname()[1])
            )
            await close(transport, protocol)

        run(main())

    def test_by_name(self, loop, run, listener):
        async def main():
            transport, protocol = await loop.create_connection(
                Recorder, "localhost", listener.getsockname()[1], family=socket.AF_INET
            )
            await close(transport, protocol)

        run(main())

    def test_tcp_nodelay_is_set(self, loop, run, listener):
        async def main():
            transport, protocol = await loop.create_connection(Recorder, *listener.getsockname())
            sock = transport.get_extra_info("socket")
            option = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            await close(transport, protocol)
            return option

        assert run(main()) == 1

    def test_local_address(self, loop, run, listener):
        async def main():
            transport, protocol = await loop.create_connection(
                Recorder, *listener.getsockname(), local_addr=("127.0.0.2", 0)
            )
            name = transport.get_extra_info("sockname")
            await close(transport, protocol)
            return name

        assert run(main())[0] == "127.0.0.2"

    def test_local_address_in_use(self, loop, run, listener):
        taken = listener.getsockname()

        async def main():
            await loop.create_connection(Recorder, *taken, local_addr=taken)

        with pytest.raises(OSError) as caught:
            run(main())
        assert caught.value.errno == errno.EADDRINUSE
        expected = f"error while attempting to bind on address {taken!r}: "
        assert caught.value.strerror.startswith(expected)
        assert caught.value.strerror.endswith("address already in use")

    def test_given_socket(self, loop, run):
        ours, peer = tcp_pair()

        async def main():
            transport, protocol = await loop.create_connection(Recorder, sock=ours)
            peer.sendall(b"over it")
            assert await protocol.received(7) == b"over it"
            await close(transport, protocol)

        run(main())
        peer.close()

    def test_refused(self, loop, run):
        port = unused_port()

        async def main():
            await loop.create_connection(Recorder, "127.0.0.1", port)

        with pytest.raises(ConnectionRefusedError) as caught:
            run(main())
        assert caught.value.errno == errno.ECONNREFUSED
        assert f"('127.0.0.1', {port})" in str(caught.value)

    def test_unresolvable(self, loop, run):
        async def main():
            await loop.create_connection(Recorder, "nothing.invalid", 80)

        with pytest.raises(socket.gaierror):
            run(main())

    @pytest.mark.yibu_only(before=(3, 14))  # stock forgets the socket
    def test_a_factory_that_raises(self, loop, run, listener):
        async def main():
            await loop.create_connection(lambda: 1 / 0, *listener.getsockname())

        with pytest.raises(ZeroDivisionError):
            run(main())

    def test_cancelled_while_connecting(self, loop, run):
        """A connection attempt that is cancelled closes its socket."""

        async def main():
            with socket.socket() as full:
                full.bind(("127.0.0.1", 0))
                full.listen(0)
                fillers = []
                for _ in range(4):
                    filler = socket.socket()
                    filler.setblocking(False)
                    filler.connect_ex(full.getsockname())
                    fillers.append(filler)
                task = loop.create_task(loop.create_connection(Recorder, *full.getsockname()))
                for _ in range(5):
                    await asyncio.sleep(0)
                assert not task.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                for filler in fillers:
                    filler.close()

        run(main())


class TestSeveralAddresses:
    """The addresses come from `loop.getaddrinfo`, which whoever likes replaces on the loop."""

    @staticmethod
    def resolve_to(loop, *addresses):
        async def getaddrinfo(host, port, **hints):
            return list(addresses)

        loop.getaddrinfo = getaddrinfo

    def test_next_address_after_a_refusal(self, loop, run, listener):
        self.resolve_to(loop, address("127.0.0.1", unused_port()), address(*listener.getsockname()))

        async def main():
            transport, protocol = await loop.create_connection(Recorder, "example.invalid", 80)
            peer = transport.get_extra_info("peername")
            await close(transport, protocol)
            return peer

        assert run(main()) == listener.getsockname()

    def test_all_refuse_in_the_same_way(self, loop, run):
        ports = [unused_port()]
        self.resolve_to(loop, address("127.0.0.1", ports[0]), address("127.0.0.1", ports[0]))

        async def main():
            await loop.create_connection(Recorder, "example.invalid", 80)

        with pytest.raises(ConnectionRefusedError):
            run(main())

    def test_different_errors_are_listed(self, loop, run):
        one, two = unused_port(), unused_port()
        self.resolve_to(loop, address("127.0.0.1", one), address("127.0.0.2", two))

        async def main():
            await loop.create_connection(Recorder, "example.invalid", 80)

        with pytest.raises(OSError) as caught:
            run(main())
        text = str(caught.value)
        assert text.startswith("Multiple exceptions: [Errno ")
        assert f"('127.0.0.1', {one})" in text and f"('127.0.0.2', {two})" in text

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_all_errors(self, loop, run):
        port = unused_port()
        self.resolve_to(loop, address("127.0.0.1", port), address("127.0.0.2", port))

        async def main():
            await loop.create_connection(Recorder, "example.invalid", 80, all_errors=True)

        with pytest.raises(ExceptionGroup) as caught:
            run(main())
        assert caught.value.message == "create_connection failed"
        assert [type(error) for error in caught.value.exceptions] == [ConnectionRefusedError] * 2

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_all_errors_of_one_address(self, loop, run):
        async def main():
            await loop.create_connection(Recorder, "127.0.0.1", unused_port(), all_errors=True)

        with pytest.raises(ExceptionGroup) as caught:
            run(main())
        assert len(caught.value.exceptions) == 1

    def test_no_addresses(self, loop, run):
        self.resolve_to(loop)

        async def main():
            await loop.create_connection(Recorder, "example.invalid", 80)

        with pytest.raises(OSError, match=r"^getaddrinfo\(\) returned empty list$"):
            run(main())

    def test_no_local_address_of_the_family(self, loop, run, listener):
        async def getaddrinfo(host, port, **hints):
            if host == "local.invalid":
                return [address("::1", 0, socket.AF_INET6)]
            return [address(*listener.getsockname())]

        loop.getaddrinfo = getaddrinfo

        async def main():
            await loop.create_connection(Recorder, "example.invalid", 80, local_addr=("local.invalid", 0))

        with pytest.raises(OSError, match=r"^no matching local address with family=.*AF_INET.* found$"):
            run(main())


class TestHappyEyeballs:
    def test_a_silent_address_is_overtaken(self, loop, run, listener):
        """The first address never answers; the second is tried after the delay and wins."""
        silent = ("127.0.0.1", 1)
        attempts = []
        original = loop.sock_connect

        async def sock_connect(sock, target):
            attempts.append(target)
            if target == silent:
                await loop.create_future()
            await original(sock, target)

        loop.sock_connect = sock_connect
        TestSeveralAddresses.resolve_to(loop, address(*silent), address(*listener.getsockname()))

        async def main():
            transport, protocol = await loop.create_connection(
                Recorder, "example.invalid", 80, happy_eyeballs_delay=0.001
            )
            peer = transport.get_extra_info("peername")
            await close(transport, protocol)
            return peer

        assert run(main()) == listener.getsockname()
        assert attempts == [silent, listener.getsockname()]

    def test_a_failure_starts_the_next_at_once(self, loop, run, listener):
        TestSeveralAddresses.resolve_to(
            loop, address("127.0.0.1", unused_port()), address(*listener.getsockname())
        )

        async def main():
            transport, protocol = await loop.create_connection(
                Recorder, "example.invalid", 80, happy_eyeballs_delay=1000
            )
            await close(transport, protocol)

        run(main())

    @pytest.mark.parametrize("delay", ["x", [], 1j])
    @pytest.mark.filterwarnings("ignore:coroutine 'Event.wait' was never awaited", "ignore:unclosed")
    def test_a_delay_that_is_none(self, loop, run, listener, delay):
        """Since 3.14 the race puts what its tasks raise into a group."""

        async def main():
            grouped = sys.version_info >= (3, 14)
            with pytest.raises(ExceptionGroup if grouped else TypeError) as caught:
                await loop.create_connection(Recorder, *listener.getsockname(), happy_eyeballs_delay=delay)
            if grouped:
                assert caught.value.message == "staggered race failed"
                [error] = caught.value.exceptions
                assert isinstance(error, TypeError)

        run(main())

    def test_families_are_interleaved(self, loop, run):
        tried = []

        async def sock_connect(sock, target):
            tried.append(target[0])
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"not {target[0]}")

        loop.sock_connect = sock_connect
        TestSeveralAddresses.resolve_to(
            loop,
            *[address(f"::{number}", 1, socket.AF_INET6) for number in (1, 2, 3)],
            *[address(f"127.0.0.{number}", 1) for number in (1, 2)],
        )

        async def attempt(**keywords):
            tried.clear()
            with pytest.raises(OSError):
                await loop.create_connection(Recorder, "example.invalid", 80, **keywords)
            return list(tried)

        async def main():
            plain = await attempt()
            by_default = await attempt(happy_eyeballs_delay=1000)
            two_first = await attempt(happy_eyeballs_delay=1000, interleave=2)
            without_delay = await attempt(interleave=1)
            return plain, by_default, two_first, without_delay

        six, four = ["::1", "::2", "::3"], ["127.0.0.1", "127.0.0.2"]
        alternating = [six[0], four[0], six[1], four[1], six[2]]
        plain, by_default, two_first, without_delay = run(main())
        assert plain == six + four
        assert by_default == alternating
        assert two_first == [six[0], six[1], four[0], six[2], four[1]]
        assert without_delay == alternating

    def test_losers_are_closed(self, loop, run, listener):
        sockets = []
        original = loop.sock_connect

        async def sock_connect(sock, target):
            sockets.append(sock)
            if len(sockets) < 3:
                await loop.create_future()
            await original(sock, target)

        loop.sock_connect = sock_connect
        TestSeveralAddresses.resolve_to(
            loop, address("127.0.0.1", 1), address("127.0.0.1", 2), address(*listener.getsockname())
        )

        async def main():
            transport, protocol = await loop.create_connection(
                Recorder, "example.invalid", 80, happy_eyeballs_delay=0.001
            )
            await asyncio.sleep(0)
            closed = [sock.fileno() == -1 for sock in sockets]
            await close(transport, protocol)
            return closed

        assert run(main()) == [True, True, False]

    def test_all_fail(self, loop, run):
        port = unused_port()
        TestSeveralAddresses.resolve_to(loop, address("127.0.0.1", port), address("127.0.0.2", port))

        async def main():
            await loop.create_connection(Recorder, "example.invalid", 80, happy_eyeballs_delay=0.001)

        with pytest.raises(OSError, match=r"^Multiple exceptions: "):
            run(main())


class TestNames:
    def test_getaddrinfo(self, loop, run):
        found = run(loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM))
        assert found == socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    def test_getaddrinfo_is_what_socket_gives(self, loop, run):
        for arguments, keywords in [
            (("localhost", 80), {"type": socket.SOCK_STREAM}),
            (("localhost", "http"), {"family": socket.AF_INET, "type": socket.SOCK_STREAM}),
            (("127.0.0.1", None), {"type": socket.SOCK_DGRAM}),
            ((None, 80), {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE}),
            (("::1", 80), {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}),
            (("127.0.0.1", "80"), {"type": socket.SOCK_STREAM}),
            ((b"127.0.0.1", 80), {"type": socket.SOCK_STREAM}),
        ]:
            assert run(loop.getaddrinfo(*arguments, **keywords)) == socket.getaddrinfo(*arguments, **keywords)

    def test_getaddrinfo_errors(self, loop, run):
        with pytest.raises(socket.gaierror):
            run(loop.getaddrinfo("nothing.invalid", 80))
        with pytest.raises(socket.gaierror):
            run(loop.getaddrinfo("127.0.0.1", 80, family=socket.AF_INET6))

    def test_getnameinfo(self, loop, run):
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        assert run(loop.getnameinfo(("127.0.0.1", 80), flags)) == ("127.0.0.1", "80")
        assert run(loop.getnameinfo(("127.0.0.1", 80))) == socket.getnameinfo(("127.0.0.1", 80), 0)

    def test_getnameinfo_errors(self, loop, run):
        with pytest.raises(socket.gaierror):
            run(loop.getnameinfo(("localhost.invalid", 80), 0))

    @pytest.mark.yibu_only
    def test_numeric_addresses_need_no_thread(self, loop, run):
        import threading

        async def main():
            before = threading.active_count()
            flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
            for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
                found = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
                assert found[0][0] == family
                await loop.getnameinfo((host, 80), flags)
            return threading.active_count() - before

        assert run(main()) == 0

    def test_debug_logs_the_resolution(self, make_loop, caplog):
        import logging

        loop = make_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 1000
        with caplog.at_level(logging.DEBUG, "asyncio"):
            loop.run_until_complete(loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM))
            loop.run_until_complete(loop.shutdown_default_executor())
        messages = [record.getMessage() for record in caplog.records]
        assert f"Get address info localhost:80, type={socket.SOCK_STREAM!r}" in messages
        assert any(message.startswith("Getting address info localhost:80, type=") for message in messages)


class TestNullCharacters:
    """A name is not cut off at a null character: nothing is asked of the network."""

    @pytest.mark.parametrize("host", ["127.0.0.1\0.example.invalid", "localhost\0", "\0", b"127.0.0.1\0x"])
    @pytest.mark.parametrize(
        "ask",
        {
            "getaddrinfo": lambda loop, host: loop.getaddrinfo(host, 80),
            "create_connection": lambda loop, host: loop.create_connection(Recorder, host, 80),
            "local address": lambda loop, host: loop.create_connection(
                Recorder, "127.0.0.1", 9, local_addr=(host, 0)
            ),
            "create_server": lambda loop, host: loop.create_server(Recorder, [host], 0),
            "datagrams from": lambda loop, host: loop.create_datagram_endpoint(Recorder, (host, 0)),
            "datagrams to": lambda loop, host: loop.create_datagram_endpoint(Recorder, remote_addr=(host, 9)),
        }.items(),
        ids=lambda item: item[0],
    )
    @pytest.mark.yibu_only
    def test_hosts(self, loop, run, host, ask):
        async def main():
            with pytest.raises(ValueError, match="null"):
                await ask[1](loop, host)

        run(main())

    @pytest.mark.yibu_only
    def test_services(self, loop, run):
        async def main():
            with pytest.raises(ValueError, match="null"):
                await loop.getaddrinfo("127.0.0.1", "80\0")

        run(main())

    def test_getnameinfo(self, loop, run):
        async def main():
            with pytest.raises(ValueError, match="null"):
                await loop.getnameinfo(("127.0.0.1\0.example.invalid", 80))

        run(main())


class TestFailedHosts:
    def test_several_that_cannot_be_resolved(self, loop, run, reports):
        async def main():
            for hosts in (["one..label", "two..labels", "three..labels"], ["a..b", "127.0.0.1"]):
                with pytest.raises(UnicodeError):
                    await loop.create_server(Recorder, hosts, 0)
            await asyncio.wait_for(loop.run_in_executor(None, gc.collect), 10)
            gc.collect()
            await asyncio.sleep(0)

        run(main())
        assert reports == []
