"""Values of `asyncio.constants` that a program sets are used, each when asyncio reads it."""

import asyncio
import asyncio.constants
import errno
import logging
import os
import socket
import sys

import pytest

from tests.unit.protocols import tcp_pair
from tests.unit.tls import client_protocol

HOST = "127.0.0.1"


@pytest.fixture
def constant(monkeypatch):
    def set_constant(name, value):
        monkeypatch.setattr(asyncio.constants, name, value)

    return set_constant


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "asyncio")
    return lambda: [record.getMessage() for record in caplog.records]


class TestLostWrites:
    @pytest.mark.parametrize("threshold", [1, 3, 100])
    def test_of_sockets(self, loop, run, constant, warnings, threshold):
        ours, peer = tcp_pair()

        async def main():
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            constant("LOG_THRESHOLD_FOR_CONNLOST_WRITES", threshold)
            transport.abort()
            for _ in range(6):
                transport.write(b"late")

        run(main())
        peer.close()
        assert len(warnings()) == max(0, 7 - threshold)

    def test_of_datagrams(self, loop, run, constant, warnings):
        async def main():
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(HOST, 9)
            )
            constant("LOG_THRESHOLD_FOR_CONNLOST_WRITES", 2)
            transport.abort()
            for _ in range(3):
                transport.sendto(b"late")

        run(main())
        assert warnings() == ["socket.send() raised exception."] * 2

    def test_of_pipes(self, loop, run, constant, warnings):
        reader, writer = os.pipe()

        async def main():
            transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(writer, "wb", 0))
            constant("LOG_THRESHOLD_FOR_CONNLOST_WRITES", 1)
            transport.close()
            for _ in range(3):
                transport.write(b"late")
            await asyncio.sleep(0)

        run(main())
        os.close(reader)
        assert len(warnings()) == 2


class TestTls:
    def test_time_limits(self, impl, loop, constant):
        constant("SSL_HANDSHAKE_TIMEOUT", 7)
        constant("SSL_SHUTDOWN_TIMEOUT", 8)
        protocol = client_protocol(impl, loop)
        assert (protocol._ssl_handshake_timeout, protocol._ssl_shutdown_timeout) == (7, 8)
        protocol._app_transport._closed = True

    def test_limits_of_buffers(self, impl, loop, constant):
        constant("FLOW_CONTROL_HIGH_WATER_SSL_READ", 4)
        constant("FLOW_CONTROL_HIGH_WATER_SSL_WRITE", 8)
        protocol = client_protocol(impl, loop)
        transport = protocol._app_transport
        assert transport.get_read_buffer_limits() == (1024, 4096)
        assert transport.get_write_buffer_limits() == (2048, 8192)
        constant("FLOW_CONTROL_HIGH_WATER_SSL_WRITE", 12)
        transport.set_write_buffer_limits()
        assert transport.get_write_buffer_limits() == (3072, 12288)
        transport._closed = True


def test_how_much_sendfile_reads(loop, run, constant, tmp_path):
    constant("SENDFILE_FALLBACK_READBUFFER_SIZE", 1000)
    path = tmp_path / "file"
    path.write_bytes(bytes(2500))
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    asked = []

    class File:
        """One that has no descriptor: it is read."""

        def __init__(self, file):
            self.file = file

        def readinto(self, view):
            asked.append(len(view))
            return self.file.readinto(view)

        def seek(self, *args):
            return self.file.seek(*args)

        def tell(self):
            return self.file.tell()

        mode = "rb"

    async def main():
        with path.open("rb") as file:
            return await loop.sock_sendfile(ours, File(file))

    assert run(main()) == 2500
    assert asked == [1000] * 4
    ours.close()
    peer.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="runners pass no limit")
def test_how_long_a_runner_waits_for_threads(impl, constant):
    constant("THREAD_JOIN_TIMEOUT", 17)
    limits = []
    with impl.Runner() as runner:
        loop = runner.get_loop()
        original = loop.shutdown_default_executor

        def shut_down(timeout):
            limits.append(timeout)
            return original(timeout)

        loop.shutdown_default_executor = shut_down
        runner.run(asyncio.sleep(0))
    assert limits == [17]


def test_when_a_server_tries_again(loop, constant):
    constant("ACCEPT_RETRY_DELAY", 0.25)
    delays = []

    class Listener(socket.socket):
        def accept(self):
            raise OSError(errno.EMFILE, "out of descriptors")

    listener = Listener()
    listener.bind((HOST, 0))
    listener.listen()
    listener.setblocking(False)
    loop.set_exception_handler(lambda _loop, _context: loop.stop())
    original = loop.call_later
    loop.call_later = lambda delay, *args: delays.append(delay) or original(delay, *args)
    loop._start_serving(asyncio.Protocol, listener)
    with socket.create_connection(listener.getsockname()):
        loop.run_forever()
        loop.call_soon(loop.stop)
        loop.run_forever()
    loop._stop_serving(listener)
    assert set(delays) == {0.25}


def test_how_deep_origins_of_coroutines_go(loop, run, constant):
    constant("DEBUG_STACK_DEPTH", 3)
    loop.set_debug(True)

    async def main():
        return sys.get_coroutine_origin_tracking_depth()

    assert run(main()) == 3
