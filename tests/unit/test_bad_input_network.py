"""Every misuse of sockets, servers, names and transports gives asyncio's own exception and text."""

import asyncio
import os
import re
import socket
import ssl
import sys

import pytest

from tests.unit.misuse import call, cases, check, create_protocol, lazy

ADDRESS = ("127.0.0.1", 0)
STREAM_EXPECTED = "A Stream Socket was expected, got {world.datagram!r}"
HANDSHAKE = "ssl_handshake_timeout is only meaningful with ssl"
SHUTDOWN = "ssl_shutdown_timeout is only meaningful with ssl"


def released():
    view = memoryview(b"released")
    view.release()
    return view


class TestConnections:
    @cases(
        (
            "nothing",
            call("create_connection", create_protocol),
            ValueError,
            "host and port was not specified and no sock specified",
        ),
        (
            "host and socket",
            call("create_connection", create_protocol, "localhost", 1, sock=lazy("stream")),
            ValueError,
            "host/port and sock can not be specified at the same time",
        ),
        (
            "datagram socket",
            call("create_connection", create_protocol, sock=lazy("datagram")),
            ValueError,
            STREAM_EXPECTED,
        ),
        (
            "server_hostname without ssl",
            call("create_connection", create_protocol, *ADDRESS, server_hostname="x"),
            ValueError,
            "server_hostname is only meaningful with ssl",
        ),
        (
            "ssl without a name",
            call("create_connection", create_protocol, sock=lazy("stream"), ssl=True),
            ValueError,
            "You must set server_hostname when using ssl without a host",
        ),
        (
            "handshake timeout without ssl",
            call("create_connection", create_protocol, *ADDRESS, ssl_handshake_timeout=1),
            ValueError,
            HANDSHAKE,
        ),
        (
            "shutdown timeout without ssl",
            call("create_connection", create_protocol, *ADDRESS, ssl_shutdown_timeout=1),
            ValueError,
            SHUTDOWN,
        ),
        (
            "a number as socket",
            call("create_connection", create_protocol, sock=1),
            AttributeError,
            "'int' object has no attribute 'type'",
        ),
        ("closed socket", call("create_connection", create_protocol, sock=lazy("closed")), OSError, None),
        (
            "accepted datagram",
            call("connect_accepted_socket", create_protocol, lazy("datagram")),
            ValueError,
            STREAM_EXPECTED,
        ),
        (
            "accepted, handshake timeout without ssl",
            call("connect_accepted_socket", create_protocol, lazy("stream"), ssl_handshake_timeout=1),
            ValueError,
            HANDSHAKE,
        ),
        (
            "accepted, shutdown timeout without ssl",
            call("connect_accepted_socket", create_protocol, lazy("stream"), ssl_shutdown_timeout=1),
            ValueError,
            SHUTDOWN,
        ),
        (
            "start_tls without a context",
            call("start_tls", 1, asyncio.Protocol(), 1),
            TypeError,
            "sslcontext is expected to be an instance of ssl.SSLContext, got 1",
        ),
        (
            "start_tls of a number",
            call("start_tls", 1, asyncio.Protocol(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
            TypeError,
            "transport 1 is not supported by start_tls()",
        ),
    )
    def test_client_texts(self, world, action, error, text):
        check(world, action, error, text)

    @cases(
        (
            "nothing",
            call("create_server", create_protocol),
            ValueError,
            "Neither host/port nor sock were specified",
        ),
        (
            "host and socket",
            call("create_server", create_protocol, "localhost", 1, sock=lazy("stream")),
            ValueError,
            "host/port and sock can not be specified at the same time",
        ),
        (
            "datagram socket",
            call("create_server", create_protocol, sock=lazy("datagram")),
            ValueError,
            STREAM_EXPECTED,
        ),
        (
            "ssl as a flag",
            call("create_server", create_protocol, *ADDRESS, ssl=True),
            TypeError,
            "ssl argument must be an SSLContext or None",
        ),
        (
            "handshake timeout without ssl",
            call("create_server", create_protocol, *ADDRESS, ssl_handshake_timeout=1),
            ValueError,
            HANDSHAKE,
        ),
        (
            "shutdown timeout without ssl",
            call("create_server", create_protocol, *ADDRESS, ssl_shutdown_timeout=1),
            ValueError,
            SHUTDOWN,
        ),
        (
            "unknown service",
            call("create_server", create_protocol, "127.0.0.1", "nosuchservice"),
            socket.gaierror,
            "[Errno -8] Servname not supported for ai_socktype",
        ),
        (
            "port out of range",
            call("create_server", create_protocol, "127.0.0.1", 99999),
            OverflowError,
            "bind(): port must be 0-65535.",
        ),
        (
            "address of another family",
            call("create_server", create_protocol, *ADDRESS, family=socket.AF_INET6),
            socket.gaierror,
            "[Errno -9] Address family for hostname not supported",
        ),
        (
            "unknown family",
            call("create_server", create_protocol, *ADDRESS, family=999),
            socket.gaierror,
            "[Errno -6] ai_family not supported",
        ),
        ("closed socket", call("create_server", create_protocol, sock=lazy("closed")), OSError, None),
    )
    def test_server_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.yibu_only  # stock forgets the socket
    def test_backlog_that_is_no_number(self, loop, run):
        with pytest.raises(TypeError, match=r"^'str' object cannot be interpreted as an integer$"):
            run(loop.create_server(asyncio.Protocol, *ADDRESS, backlog="x"))

    @pytest.mark.parametrize("host", ["\ud800", "127.0.0.1\udc80"])
    def test_host_that_is_no_unicode(self, loop, run, host):
        with pytest.raises(UnicodeEncodeError, match=r"^'utf-8' codec .* surrogates not allowed$"):
            run(loop.create_connection(asyncio.Protocol, host, 1))

    def test_host_that_is_no_text(self, loop, run):
        with pytest.raises(TypeError):
            run(loop.create_server(asyncio.Protocol, 1, 0))

    def test_factory_that_is_no_callable(self, loop, run):
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                with socket.create_connection(listener.getsockname()) as sock:
                    with pytest.raises(TypeError, match=r"^'int' object is not callable$"):
                        await loop.create_connection(1, sock=sock)

        run(main())

    @cases(
        (
            "unix connection to nothing",
            call("create_unix_connection", create_protocol),
            ValueError,
            "no path and sock were specified",
        ),
        (
            "unix connection to two things",
            call("create_unix_connection", create_protocol, "p", sock=lazy("stream")),
            ValueError,
            "path and sock can not be specified at the same time",
        ),
        (
            "unix connection over TCP",
            call("create_unix_connection", create_protocol, sock=lazy("stream")),
            ValueError,
            "A UNIX Domain Stream Socket was expected, got {world.stream!r}",
        ),
        (
            "unix server at nothing",
            call("create_unix_server", create_protocol),
            ValueError,
            "path was not specified, and no sock specified",
        ),
        (
            "unix server over TCP",
            call("create_unix_server", create_protocol, sock=lazy("stream")),
            ValueError,
            "A UNIX Domain Stream Socket was expected, got {world.stream!r}",
        ),
        (
            "datagrams from nothing",
            call("create_datagram_endpoint", create_protocol),
            ValueError,
            "unexpected address family",
        ),
        (
            "datagrams over a stream",
            call("create_datagram_endpoint", create_protocol, sock=lazy("stream")),
            ValueError,
            ("A datagram" if sys.version_info >= (3, 13) else "A UDP")
            + (" socket" if sys.version_info >= (3, 13) else " Socket")
            + " was expected, got {world.stream!r}",
        ),
        (
            "datagrams with an address that is none",
            call("create_datagram_endpoint", create_protocol, local_addr="x"),
            TypeError,
            "2-tuple is expected",
        ),
    )
    def test_texts_of_the_other_kinds(self, world, action, error, text):
        check(world, action, error, text)


class TestSockets:
    @cases(
        ("negative size", call("sock_recv", lazy("stream"), -1), ValueError, "negative buffersize in recv"),
        (
            "size as text",
            call("sock_recv", lazy("stream"), "x"),
            TypeError,
            "'str' object cannot be interpreted as an integer",
        ),
        (
            "read-only buffer",
            call("sock_recv_into", lazy("stream"), b"x"),
            TypeError,
            "recv_into() argument 1 must be read-write bytes-like object, not bytes",
        ),
        (
            "text to send",
            call("sock_sendall", lazy("stream"), "x"),
            TypeError,
            "a bytes-like object is required, not 'str'",
        ),
        (
            "datagram of text",
            call("sock_sendto", lazy("datagram"), "x", ("127.0.0.1", 1)),
            TypeError,
            "a bytes-like object is required, not 'str'",
        ),
        (
            "datagram to a number",
            call("sock_sendto", lazy("datagram"), b"x", 1),
            TypeError,
            "sendto(): AF_INET address must be tuple, not int",
        ),
        ("connect to a number", call("sock_connect", lazy("stream"), 1), TypeError, None),
        (
            "connect to half an address",
            call("sock_connect", lazy("stream"), ("127.0.0.1",)),
            ValueError,
            None,
        ),
        (
            "connect to an unknown service",
            call("sock_connect", lazy("stream"), ("127.0.0.1", "x")),
            socket.gaierror,
            "[Errno -8] Servname not supported for ai_socktype",
        ),
        (
            "connect to a port out of range",
            call("sock_connect", lazy("stream"), ("127.0.0.1", 99999)),
            OverflowError,
            "connect(): port must be 0-65535.",
        ),
        ("closed, receive", call("sock_recv", lazy("closed"), 1), OSError, "[Errno 9] Bad file descriptor"),
        (
            "closed, send",
            call("sock_sendall", lazy("closed"), b"x"),
            OSError,
            "[Errno 9] Bad file descriptor",
        ),
        ("closed, accept", call("sock_accept", lazy("closed")), OSError, "[Errno 9] Bad file descriptor"),
        (
            "closed, connect",
            call("sock_connect", lazy("closed"), ("127.0.0.1", 1)),
            OSError,
            "[Errno 9] Bad file descriptor",
        ),
        (
            "closed, reader",
            call("add_reader", lazy("closed"), print),
            ValueError,
            "Invalid file descriptor: -1",
        ),
        ("None as reader", call("add_reader", None, print), ValueError, "Invalid file object: None"),
        ("1.5 as reader", call("add_reader", 1.5, print), ValueError, "Invalid file object: 1.5"),
        (
            "sendfile of text",
            call("sock_sendfile", lazy("stream"), lazy("text_file")),
            ValueError,
            "file should be opened in binary mode",
        ),
        (
            "sendfile over datagrams",
            call("sock_sendfile", lazy("datagram"), lazy("file")),
            ValueError,
            "only SOCK_STREAM type sockets are supported",
        ),
        *[
            (
                f"sendfile {key}={value!r}",
                call("sock_sendfile", lazy("stream"), lazy("file"), **{key: value}),
                error,
                f"{key} must be a {wanted} integer (got {value!r})",
            )
            for key, value, error, wanted in [
                ("count", "x", TypeError, "positive"),
                ("count", 0, ValueError, "positive"),
                ("count", -1, ValueError, "positive"),
                ("offset", "x", TypeError, "non-negative"),
                ("offset", -1, ValueError, "non-negative"),
            ]
        ],
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.parametrize(
        "method",
        ["sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_accept"],
    )
    def test_a_number_is_no_socket(self, loop, run, method):
        arguments = {"sock_accept": (), "sock_sendall": (b"x",), "sock_recv": (1,), "sock_recvfrom": (1,)}
        with pytest.raises(AttributeError):
            run(getattr(loop, method)(1, *arguments.get(method, (bytearray(1),))))


class TestNames:
    @cases(
        (
            "service with a space",
            call("getaddrinfo", "127.0.0.1", "x y"),
            socket.gaierror,
            "[Errno -8] Servname not supported for ai_socktype",
        ),
        (
            "host as a number",
            call("getaddrinfo", 1, 80),
            TypeError,
            "getaddrinfo() argument 1 must be string or None",
        ),
        (
            "unknown type",
            call("getaddrinfo", "127.0.0.1", 80, type=999),
            socket.gaierror,
            "[Errno -7] ai_socktype not supported",
        ),
        (
            "unknown family",
            call("getaddrinfo", "127.0.0.1", 80, family=999),
            socket.gaierror,
            "[Errno -6] ai_family not supported",
        ),
        ("port as a list", call("getaddrinfo", "127.0.0.1", []), OSError, "Int or String expected"),
        (
            "nothing",
            call("getaddrinfo", None, None),
            socket.gaierror,
            "[Errno -2] Name or service not known",
        ),
        (
            "label too long",
            call("getaddrinfo", "a" * 100, 80),
            UnicodeEncodeError if sys.version_info >= (3, 13) else UnicodeError,
            None,
        ),
        (
            "negative port",
            call("getaddrinfo", "127.0.0.1", -1),
            socket.gaierror,
            "[Errno -8] Servname not supported for ai_socktype",
        ),
        ("no address", call("getnameinfo", 1), TypeError, "getnameinfo() argument 1 must be a tuple"),
        (
            "half an address",
            call("getnameinfo", ("127.0.0.1",)),
            TypeError,
            "getnameinfo(): illegal sockaddr argument",
        ),
        (
            "flags as text",
            call("getnameinfo", ("127.0.0.1", 80), "x"),
            TypeError,
            "'str' object cannot be interpreted as an integer",
        ),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.parametrize("port", [70000, 1 << 40, "00080", "80 ", 0, "", b"80", True, 80])
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "::1", "127.1", " 127.0.0.1", "0x7f000001", "1", "::1%1", "[::1]"]
    )
    def test_odd_numeric_addresses_are_what_socket_makes_of_them(self, loop, run, host, port):
        def outcome(resolve):
            try:
                return resolve()
            except (OSError, TypeError, ValueError, OverflowError) as error:
                return type(error), str(error)

        kind = socket.SOCK_STREAM
        expected = outcome(lambda: socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST))
        flags = socket.AI_NUMERICHOST
        assert outcome(lambda: run(loop.getaddrinfo(host, port, type=kind, flags=flags))) == expected


class TestTransports:
    @pytest.fixture
    def transport(self, loop, run):
        one, two = socket.socketpair()

        async def connect():
            return await loop.create_connection(asyncio.Protocol, sock=one)

        transport, _ = run(connect())
        yield transport
        transport.abort()
        run(asyncio.sleep(0))
        run(asyncio.sleep(0))
        two.close()

    @pytest.mark.parametrize("data", ["text", 1, None, [b"x"], object()])
    def test_write(self, transport, data):
        with pytest.raises(TypeError) as caught:
            transport.write(data)
        new = sys.version_info >= (3, 14)
        wanted = "bytes, bytearray, or memoryview object" if new else "bytes-like object"
        assert str(caught.value) == f"data argument must be a {wanted}, not {type(data).__name__!r}"

    def test_write_of_a_released_view_harms_no_connection(self, transport, loop, run, reports):
        with pytest.raises(ValueError, match=r"released memoryview"):
            transport.write(released())
        run(asyncio.sleep(0))
        assert not transport.is_closing()
        assert not reports

    def test_write_of_a_released_view_harms_no_pipe(self, loop, run, reports):
        async def main():
            read_end, write_end = os.pipe()
            with open(read_end, "rb", buffering=0) as reading, open(write_end, "wb", buffering=0) as pipe:
                transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, pipe)
                with pytest.raises(ValueError, match=r"released memoryview"):
                    transport.write(released())
                assert not transport.is_closing()
                transport.write(b"later")
                transport.close()
                return reading.read(100)

        assert run(main()) == b"later"
        run(asyncio.sleep(0))
        assert not reports

    @pytest.mark.parametrize("lines", [["text"], [1], 1, [b"x", 5]])
    def test_writelines(self, transport, lines):
        with pytest.raises(TypeError):
            transport.writelines(lines)

    @pytest.mark.parametrize(("high", "low"), [(1, 2), (-1, None), (None, -1), (0, 1)])
    def test_limits(self, transport, high, low):
        with pytest.raises(ValueError) as caught:
            transport.set_write_buffer_limits(high, low)
        assert re.fullmatch(r"high \(-?\d+\) must be >= low \(-?\d+\) must be >= 0", str(caught.value))
        assert transport.get_write_buffer_limits() == (16384, 65536)

    def test_limits_of_text(self, transport):
        with pytest.raises(TypeError):
            transport.set_write_buffer_limits("x")

    def test_sendfile_of_a_closing_transport(self, transport, loop, run):
        transport.close()
        with open(__file__, "rb") as file:
            with pytest.raises(RuntimeError, match=r"^Transport is closing$"):
                run(loop.sendfile(transport, file))
