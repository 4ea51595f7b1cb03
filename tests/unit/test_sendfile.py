"""sendfile and sock_sendfile: by the kernel, by copying, and what is left when they end too early."""

import asyncio
import io
import os
import socket
import sys

import pytest

from tests.unit.protocols import LARGE, Recorder, drain_peer, one_poll, receive, tcp_pair
from tests.unit.tls import client_context, server_context


@pytest.fixture
def content():
    return os.urandom(100_000)


@pytest.fixture
def file(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with open(path, "rb") as file:
        yield file


@pytest.fixture
def large(tmp_path):
    """More than fits into any connection."""
    path = tmp_path / "large"
    path.write_bytes(bytes(LARGE))
    with open(path, "rb") as file:
        yield file


@pytest.fixture
def copying(loop):
    """Make the loop copy, as a system without sendfile does."""

    async def refuse(*_):
        raise asyncio.SendfileNotAvailableError("not here")

    loop._sendfile_native = refuse
    loop._sock_sendfile_native = refuse


async def refused(awaitable):
    """Return the exception that awaiting raises."""
    with pytest.raises(BaseException) as raised:  # the caller looks at it
        await awaitable
    return raised.value


class TestSockSendfile:
    def test_all_of_it(self, loop, run, pair, file, content):
        ours, peer = pair

        async def main():
            received = asyncio.ensure_future(drain_peer(loop, peer, len(content)))
            assert await loop.sock_sendfile(ours, file) == len(content)
            assert await received == content

        run(main())
        assert file.tell() == len(content)

    @pytest.mark.parametrize(
        ("offset", "count", "sent"),
        [
            (0, 10, 10),
            (5, 10, 10),
            (5, None, 99_995),
            (99_990, 50, 10),
            (100_000, None, 0),
            (200_000, None, 0),
            (200_000, 5, 0),
            (True, True, 1),
            (7, 2**70, 99_993),
        ],
    )
    def test_a_part_of_it(self, impl, loop, run, pair, file, content, offset, count, sent):
        ours, peer = pair
        file.seek(3)

        async def main():
            received = asyncio.ensure_future(drain_peer(loop, peer, sent))
            if count == 2**70 and sys.version_info < (3, 13) and impl.is_stock:
                error = await refused(loop.sock_sendfile(ours, file, offset, count))
                text = "Python int too large to convert to C ssize_t"
                assert repr(error) == f"OverflowError({text!r})"
                received.cancel()
                return
            assert await loop.sock_sendfile(ours, file, offset, count) == sent
            assert await received == content[offset : offset + sent]
            if sent or sys.version_info >= (3, 14) or not impl.is_stock:
                assert file.tell() == offset + sent

        run(main())

    def test_more_than_the_kernel_takes(self, loop, run, pair, large):
        ours, peer = pair

        async def main():
            sending = asyncio.ensure_future(loop.sock_sendfile(ours, large))
            await one_poll(loop)
            assert not sending.done()
            assert len(await drain_peer(loop, peer, LARGE)) == LARGE
            assert await sending == LARGE

        run(main())
        assert large.tell() == LARGE

    def test_empty_file(self, loop, run, pair, tmp_path):
        (tmp_path / "empty").write_bytes(b"")

        async def main():
            with open(tmp_path / "empty", "rb") as file:
                return await loop.sock_sendfile(pair[0], file)

        assert run(main()) == 0

    def test_beyond_two_gibibytes(self, loop, run, pair, tmp_path):
        """The file is a hole but for its last bytes."""
        ours, peer = pair
        start = 3 * 2**30
        with open(tmp_path / "sparse", "w+b") as file:
            file.seek(start)
            file.write(b"far away")
            file.flush()
            assert run(loop.sock_sendfile(ours, file, start)) == 8
            assert receive(peer, 8) == b"far away"
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == start + 8

    def test_unix_sockets(self, loop, run, file, content):
        async def main():
            ours, peer = socket.socketpair()
            with ours, peer:
                ours.setblocking(False)
                received = asyncio.ensure_future(drain_peer(loop, peer, len(content)))
                assert await loop.sock_sendfile(ours, file) == len(content)
                assert await received == content

        run(main())

    def test_file_that_grows(self, loop, run, pair, large):
        """What is appended while it is sent is sent, too; not so when the amount was given."""
        ours, peer = pair

        async def main(count):
            sending = asyncio.ensure_future(loop.sock_sendfile(ours, large, 0, count))
            await one_poll(loop)
            with open(large.name, "ab") as more:
                more.write(b"more")
            expected = LARGE + (4 if count is None else 0)
            data = await drain_peer(loop, peer, expected)
            assert await sending == expected
            return data[LARGE:]

        assert run(main(LARGE)) == b""
        os.truncate(large.name, LARGE)
        assert run(main(None)) == b"more"

    def test_file_that_shrinks(self, loop, run, pair, large):
        ours, peer = pair

        async def main():
            sending = asyncio.ensure_future(loop.sock_sendfile(ours, large, 0, LARGE))
            await one_poll(loop)
            os.truncate(large.name, 0)
            received = asyncio.ensure_future(drain_peer(loop, peer, LARGE))
            sent = await sending
            assert 0 < sent < LARGE
            ours.close()
            assert len(await received) == sent

        run(main())

    def test_mixed_with_other_data(self, loop, run, pair, file, content):
        ours, peer = pair

        async def main():
            received = asyncio.ensure_future(drain_peer(loop, peer, len(content) + 8))
            await loop.sock_sendall(ours, b"head")
            await loop.sock_sendfile(ours, file)
            await loop.sock_sendall(ours, b"foot")
            return await received

        assert run(main()) == b"head" + content + b"foot"

    @pytest.mark.parametrize("offset", [0, 5])
    def test_no_descriptor(self, loop, run, pair, content, offset):
        """A file in memory is read by the executor."""
        ours, peer = pair
        file = io.BytesIO(content)

        async def main():
            received = asyncio.ensure_future(drain_peer(loop, peer, len(content) - offset))
            assert await loop.sock_sendfile(ours, file, offset) == len(content) - offset
            assert await received == content[offset:]

        run(main())
        assert file.tell() == len(content)

    def test_no_descriptor_and_no_fallback(self, loop, run, pair, content):
        error = run(refused(loop.sock_sendfile(pair[0], io.BytesIO(content), fallback=False)))
        assert type(error) is asyncio.SendfileNotAvailableError
        assert str(error) == "not a regular file"
        assert isinstance(error.__context__, io.UnsupportedOperation)

    def test_no_file_at_all(self, loop, run, pair):
        error = run(refused(loop.sock_sendfile(pair[0], object(), fallback=False)))
        assert type(error) is asyncio.SendfileNotAvailableError
        assert isinstance(error.__context__, AttributeError)

    def test_bad_descriptor(self, loop, run, pair):
        class File(io.BytesIO):
            def fileno(self):
                return 1_000_000

        error = run(refused(loop.sock_sendfile(pair[0], File(), fallback=False)))
        assert type(error) is asyncio.SendfileNotAvailableError
        assert str(error) == "not a regular file"
        assert isinstance(error.__context__, OSError)

    @pytest.mark.yibu_only(since=(3, 14))  # stock may stumble over the position that the file does not have
    def test_what_the_kernel_does_not_copy(self, loop, run, pair):
        """A terminal, or anything else that has to be read."""
        ours, _ = pair
        fd = os.eventfd(1) if hasattr(os, "eventfd") else os.open("/dev/tty", os.O_RDWR)
        with open(fd, "rb", buffering=0) as file:
            error = run(refused(loop.sock_sendfile(ours, file, 0, 8, fallback=False)))
        assert type(error) is asyncio.SendfileNotAvailableError
        assert str(error) == "os.sendfile call failed"

    def test_nothing_to_be_read(self, loop, run, pair, content):
        """A file in memory with a count beyond its end."""
        ours, peer = pair
        file = io.BytesIO(content)
        assert run(loop.sock_sendfile(ours, file, 99_000, 5_000)) == 1_000
        assert receive(peer, 1_000) == content[99_000:]
        assert file.tell() == 100_000

    def test_read_in_large_pieces(self, loop, run, pair):
        class File(io.BytesIO):
            def readinto(self, buffer):
                sizes.append(len(buffer))
                return super().readinto(buffer)

        sizes = []
        ours, peer = pair
        size = 600_000

        async def main():
            received = asyncio.ensure_future(drain_peer(loop, peer, size))
            await loop.sock_sendfile(ours, File(bytes(size)), 0, size)
            await received

        run(main())
        assert sizes == [256 * 1024, 256 * 1024, size - 512 * 1024]

    def test_file_that_cannot_seek(self, loop, run, pair):
        class File:
            mode = "rb"
            data = io.BytesIO(b"content")

            def readinto(self, buffer):
                return self.data.readinto(buffer)

        ours, peer = pair
        assert run(loop.sock_sendfile(ours, File())) == 7
        assert receive(peer, 7) == b"content"

    @pytest.mark.usefixtures("copying")
    def test_failing_read(self, loop, run, pair):
        class File(io.BytesIO):
            def readinto(self, buffer):
                if self.tell() > 0:
                    raise LookupError("unreadable")
                return super().readinto(buffer)

        ours, peer = pair
        file = File(bytes(300 * 1024))

        async def main():
            received = asyncio.ensure_future(drain_peer(loop, peer, 256 * 1024))
            error = await refused(loop.sock_sendfile(ours, file))
            await received
            return error

        assert repr(run(main())) == "LookupError('unreadable')"
        assert file.tell() == 256 * 1024

    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ((0, "count"), TypeError, "count must be a positive integer (got 'count')"),
            ((0, 1.5), TypeError, "count must be a positive integer (got 1.5)"),
            ((0, 0), ValueError, "count must be a positive integer (got 0)"),
            ((0, -1), ValueError, "count must be a positive integer (got -1)"),
            (("offset",), TypeError, "offset must be a non-negative integer (got 'offset')"),
            ((None,), TypeError, "offset must be a non-negative integer (got None)"),
            ((-1,), ValueError, "offset must be a non-negative integer (got -1)"),
        ],
    )
    def test_refused(self, loop, run, pair, file, arguments, error, text):
        raised = run(refused(loop.sock_sendfile(pair[0], file, *arguments)))
        assert type(raised) is error
        assert str(raised) == text

    def test_refused_offset_beyond_all_files(self, loop, run, pair, file):
        assert isinstance(run(refused(loop.sock_sendfile(pair[0], file, 2**70))), OverflowError)

    def test_refused_text(self, loop, run, pair, tmp_path):
        with open(tmp_path / "text", "w+") as file:
            error = run(refused(loop.sock_sendfile(pair[0], file)))
        assert repr(error) == "ValueError('file should be opened in binary mode')"

    def test_refused_closed_file(self, loop, run, pair, file):
        file.close()
        assert isinstance(run(refused(loop.sock_sendfile(pair[0], file))), ValueError)

    def test_refused_datagrams(self, loop, run, file):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            error = run(refused(loop.sock_sendfile(sock, file)))
        assert repr(error) == "ValueError('only SOCK_STREAM type sockets are supported')"

    def test_refused_blocking_socket_in_debug_mode(self, loop, run, pair, file):
        loop.set_debug(True)
        error = run(refused(loop.sock_sendfile(pair[1], file)))
        assert repr(error) == "ValueError('the socket must be non-blocking')"

    def test_refused_tls_socket(self, loop, run, file):
        with socket.socket() as plain, client_context().wrap_socket(plain, server_hostname="h") as sock:
            error = run(refused(loop.sock_sendfile(sock, file)))
        assert repr(error) == "TypeError('Socket cannot be of type SSLSocket')"

    def test_cancelled_while_it_waits(self, loop, run, pair, large):
        ours, peer = pair

        async def main():
            sending = asyncio.ensure_future(loop.sock_sendfile(ours, large))
            await one_poll(loop)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await one_poll(loop)
            assert loop.remove_writer(ours) is False
            peer.setblocking(False)
            received = 0
            while True:
                try:
                    received += len(peer.recv(1 << 20))
                except BlockingIOError:
                    return received

        received = run(main())
        assert 0 < received < LARGE

    @pytest.mark.yibu_only
    def test_position_after_cancellation(self, loop, run, pair, large):
        """The position tells what was sent, as it does after any other error."""
        ours, _ = pair

        async def main():
            sending = asyncio.ensure_future(loop.sock_sendfile(ours, large))
            await one_poll(loop)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending

        run(main())
        assert 0 < os.lseek(large.fileno(), 0, os.SEEK_CUR) < LARGE

    @pytest.mark.usefixtures("copying")
    def test_cancelled_while_it_copies(self, loop, run, pair, large):
        ours, _ = pair

        async def main():
            sending = asyncio.ensure_future(loop.sock_sendfile(ours, large))
            while not large.tell():
                await one_poll(loop)
            await one_poll(loop)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert loop.remove_writer(ours) is False

        run(main())

    def test_peer_is_gone(self, loop, run, pair, large):
        ours, peer = pair

        async def main():
            sending = asyncio.ensure_future(loop.sock_sendfile(ours, large))
            await one_poll(loop)
            peer.close()
            with pytest.raises(ConnectionError):
                await sending

        run(main())
        assert 0 < large.tell() < LARGE

    def test_peer_is_gone_before(self, loop, run, pair, file):
        """An error before the first byte may be about the file, so copying is tried: it knows better."""
        ours, peer = pair
        peer.close()

        async def main():
            while True:
                try:
                    ours.send(b"x")
                except ConnectionError:
                    break
                except BlockingIOError:
                    await one_poll(loop)
            error = await refused(loop.sock_sendfile(ours, file, fallback=False))
            assert repr(error) == "SendfileNotAvailableError('os.sendfile call failed')"
            with pytest.raises(BrokenPipeError):
                await loop.sock_sendfile(ours, file)

        run(main())

    def test_socket_of_a_transport(self, loop, run, connect, large):
        async def main():
            transport, protocol, _ = await connect()
            borrowed = socket.socket(fileno=transport.get_extra_info("socket").fileno())
            try:
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await loop.sock_sendfile(borrowed, large)
            finally:
                borrowed.detach()
            transport.abort()
            await protocol.lost

        run(main())


class TestSendfile:
    def test_all_of_it(self, loop, run, connect, file, content):
        async def main():
            transport, protocol, peer = await connect()
            received = asyncio.ensure_future(drain_peer(loop, peer, len(content)))
            assert await loop.sendfile(transport, file) == len(content)
            assert await received == content
            assert transport.is_reading()
            transport.close()
            await protocol.lost

        run(main())
        assert file.tell() == len(content)

    @pytest.mark.parametrize("copied", [False, True])
    @pytest.mark.parametrize("over_tls", [False, True])
    def test_between_writes(self, loop, run, file, content, copied, over_tls, request):
        """Whatever the way: order, position, and a protocol that reads again afterwards."""
        if copied:
            request.getfixturevalue("copying")

        class Server(Recorder):
            def data_received(self, data):
                super().data_received(data)
                if len(self.data) == len(content) + 8 - 100:
                    self.transport.write(b"thanks")

        async def main():
            protocols = []

            def factory():
                protocols.append(Server())
                return protocols[-1]

            contexts = (server_context(), client_context()) if over_tls else (None, None)
            server = await loop.create_server(factory, "127.0.0.1", 0, ssl=contexts[0])
            transport, protocol = await loop.create_connection(
                Recorder,
                *server.sockets[0].getsockname(),
                ssl=contexts[1],
                server_hostname="localhost" if over_tls else None,
            )
            transport.write(b"head")
            assert await loop.sendfile(transport, file, 100) == len(content) - 100
            assert transport.get_protocol() is protocol
            transport.write(b"foot")
            assert await protocol.received(6) == b"thanks"
            assert bytes(protocols[0].data) == b"head" + content[100:] + b"foot"
            transport.close()
            await protocol.lost
            await protocols[0].lost
            server.close()
            await server.wait_closed()

        run(main())
        assert file.tell() == len(content)

    @pytest.mark.yibu_only(before=(3, 14, 6))  # stock begins where the file stands
    def test_offset_zero_of_a_file_that_was_read(self, loop, run, connect, copying, file, content):
        async def main():
            transport, protocol, peer = await connect()
            received = asyncio.ensure_future(drain_peer(loop, peer, len(content)))
            file.seek(1_000)
            assert await loop.sendfile(transport, file, 0) == len(content)
            assert await received == content
            transport.close()
            await protocol.lost

        run(main())

    def test_over_unix_sockets(self, loop, run, file, content):
        async def main():
            ours, peer = socket.socketpair()
            with peer:
                transport, protocol = await loop.create_unix_connection(Recorder, sock=ours)
                received = asyncio.ensure_future(drain_peer(loop, peer, 50))
                assert await loop.sendfile(transport, file, 10, 50, fallback=False) == 50
                assert await received == content[10:60]
                transport.close()
                await protocol.lost

        run(main())
        assert file.tell() == 60

    def test_waits_for_what_was_written(self, loop, run, connect, file, content):
        async def main():
            transport, protocol, peer = await connect()
            transport.write(bytes(LARGE))
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            await one_poll(loop)
            assert not sending.done()
            assert file.tell() == 0
            data = await drain_peer(loop, peer, LARGE + len(content))
            assert await sending == len(content)
            assert data[LARGE:] == content
            transport.close()
            await protocol.lost

        run(main())

    def test_nothing_else_meanwhile(self, loop, run, connect, large):
        async def main():
            transport, protocol, peer = await connect()
            sending = asyncio.ensure_future(loop.sendfile(transport, large))
            await one_poll(loop)
            text = "sendfile is in progress"
            with pytest.raises(RuntimeError, match=f"unable to write; {text}"):
                transport.write(b"data")
            with pytest.raises(RuntimeError, match=text):
                transport.writelines([b"data"])
            assert not transport.is_reading()
            peer.sendall(b"early")
            await one_poll(loop)
            assert protocol.data == b""
            assert isinstance(await refused(loop.sendfile(transport, large)), KeyError)
            await drain_peer(loop, peer, LARGE)
            assert await sending == LARGE
            assert await protocol.received(5) == b"early"
            transport.write(b"later")
            transport.close()
            await protocol.lost

        run(main())

    def test_paused_before(self, loop, run, connect, file, content):
        """Who had paused reading finds it paused."""

        async def main():
            transport, protocol, peer = await connect()
            transport.pause_reading()
            received = asyncio.ensure_future(drain_peer(loop, peer, len(content)))
            await loop.sendfile(transport, file)
            await received
            assert not transport.is_reading()
            transport.close()
            await protocol.lost

        run(main())

    def test_descriptor_is_the_transport_s_again(self, loop, run, connect, file, content):
        async def main():
            transport, protocol, peer = await connect()
            received = asyncio.ensure_future(drain_peer(loop, peer, len(content)))
            await loop.sendfile(transport, file)
            await received
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_writer(transport.get_extra_info("socket").fileno(), print)
            assert loop._transports[transport.get_extra_info("socket").fileno()] is transport
            transport.close()
            await protocol.lost

        run(main())

    def test_cancelled_while_the_kernel_copies(self, loop, run, connect, large):
        async def main():
            transport, protocol, peer = await connect()
            sending = asyncio.ensure_future(loop.sendfile(transport, large))
            await one_poll(loop)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert transport.is_reading()
            peer.sendall(b"hello")
            assert await protocol.received(5) == b"hello"
            transport.write(b"afterwards")
            transport.close()
            received = asyncio.ensure_future(drain_peer(loop, peer, LARGE))
            await protocol.lost
            return await received

        data = run(main())
        assert data.endswith(b"\0afterwards")

    @pytest.mark.yibu_only
    def test_cancelled_while_it_waits_for_what_was_written(self, loop, run, connect, file):
        """Stock leaves the transport as it is at that moment: neither reading nor writing."""

        async def main():
            transport, protocol, peer = await connect()
            transport.write(bytes(LARGE))
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            await one_poll(loop)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert transport.is_reading()
            transport.write(b"end")
            assert (await drain_peer(loop, peer, LARGE + 3))[LARGE:] == b"end"
            transport.close()
            await protocol.lost

        run(main())

    @pytest.mark.usefixtures("copying")
    def test_cancelled_while_it_is_copied(self, loop, run, connect, large):
        async def main():
            transport, protocol, peer = await connect()
            sending = asyncio.ensure_future(loop.sendfile(transport, large))
            while not transport.get_write_buffer_size():
                await one_poll(loop)
            assert transport.get_protocol() is not protocol
            assert not transport.is_reading()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert transport.get_protocol() is protocol
            assert transport.is_reading()
            peer.sendall(b"hello")
            assert await protocol.received(5) == b"hello"
            transport.abort()
            await protocol.lost

        run(main())

    @pytest.mark.yibu_only
    def test_closed_meanwhile(self, loop, run, connect, large):
        """In stock it waits for ever."""

        async def main():
            transport, protocol, _ = await connect()
            sending = asyncio.ensure_future(loop.sendfile(transport, large))
            await one_poll(loop)
            transport.close()
            error = await refused(sending)
            assert repr(error) == "ConnectionError('Connection is closed by peer')"
            assert await protocol.lost is None

        run(main())

    def test_peer_is_gone(self, loop, run, connect, large):
        async def main():
            transport, protocol, peer = await connect()
            sending = asyncio.ensure_future(loop.sendfile(transport, large))
            await one_poll(loop)
            peer.close()
            assert isinstance(await refused(sending), ConnectionError)
            transport.abort()
            await protocol.lost

        run(main())
        assert 0 < large.tell() < LARGE

    def test_peer_is_gone_while_it_is_copied(self, loop, run, connect, large, copying):
        async def main():
            transport, protocol, peer = await connect()
            sending = asyncio.ensure_future(loop.sendfile(transport, large))
            while not transport.get_write_buffer_size():
                await one_poll(loop)
            peer.close()
            error = await refused(sending)
            assert isinstance(error, ConnectionError)
            assert (await protocol.lost) is not None
            assert protocol.order[:1] == ["made"]

        run(main())
        assert 0 < large.tell() < LARGE

    def test_closing_transport(self, loop, run, connect, file):
        async def main():
            transport, protocol, _ = await connect()
            transport.close()
            assert (
                repr(await refused(loop.sendfile(transport, file))) == "RuntimeError('Transport is closing')"
            )
            await protocol.lost

        run(main())

    def test_no_transport_for_files(self, loop, run, file):
        class Transport(asyncio.Transport):
            def is_closing(self):
                return False

            def __repr__(self):
                return "<transport>"

        error = run(refused(loop.sendfile(Transport(), file)))
        assert repr(error) == "RuntimeError('sendfile is not supported for transport <transport>')"

    def test_other_transport(self, loop, run, file):
        """One that says it can be copied over, and lacks what that takes."""

        class Transport(asyncio.Transport):
            _sendfile_compatible = asyncio.constants._SendfileMode.FALLBACK

            def is_closing(self):
                return False

            def __repr__(self):
                return "<transport>"

        error = run(refused(loop.sendfile(Transport(), file, fallback=False)))
        text = "fallback is disabled and native sendfile is not supported for transport <transport>"
        assert repr(error) == f"RuntimeError({text!r})"
        error = run(refused(loop.sendfile(Transport(), file)))
        assert repr(error) == "TypeError('transport should be _FlowControlMixin instance')"

    def test_without_the_kernel_and_without_fallback(self, loop, run, connect, file, copying):
        async def main():
            transport, protocol, _ = await connect()
            error = await refused(loop.sendfile(transport, file, fallback=False))
            assert repr(error) == "SendfileNotAvailableError('not here')"
            transport.close()
            await protocol.lost

        run(main())

    def test_in_memory(self, loop, run, connect, content):
        file = io.BytesIO(content)

        async def main():
            transport, protocol, peer = await connect()
            received = asyncio.ensure_future(drain_peer(loop, peer, len(content)))
            assert await loop.sendfile(transport, file) == len(content)
            assert await received == content
            assert transport.get_protocol() is protocol
            transport.close()
            await protocol.lost

        run(main())
        assert file.tell() == len(content)

    def test_pieces_of_a_copy(self, loop, run, connect, copying):
        class File(io.BytesIO):
            def readinto(self, buffer):
                sizes.append(len(buffer))
                return super().readinto(buffer)

        sizes = []

        async def main(**count):
            sizes.clear()
            transport, protocol, peer = await connect()
            received = asyncio.ensure_future(drain_peer(loop, peer, 40_000))
            assert await loop.sendfile(transport, File(bytes(40_000)), **count) == 40_000
            await received
            transport.close()
            await protocol.lost

        run(main())
        assert sizes == [16384, 16384, 16384, 16384]

    def test_count_of_a_copy(self, loop, run, connect, copying, file, content):
        async def main():
            transport, protocol, peer = await connect()
            assert await loop.sendfile(transport, file, 10, 20_000) == 20_000
            assert await drain_peer(loop, peer, 20_000) == content[10:20_010]
            transport.close()
            await protocol.lost

        run(main())
        assert file.tell() == 20_010

    @pytest.mark.yibu_only(since=(3, 12))
    def test_writing_paused_before_a_copy(self, loop, run, connect, copying, file, content):
        """The protocol was told to pause, and is told to go on when the copy is over.

        Stock reads the next piece into the buffer of one that its transport may not have sent yet.
        """

        async def main():
            transport, protocol, peer = await connect()
            transport.write(bytes(LARGE))
            assert protocol.events == ["made", "pause"]
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            data = await drain_peer(loop, peer, LARGE + len(content))
            assert await sending == len(content)
            assert data[LARGE:] == content
            assert protocol.events == ["made", "pause", "resume"]
            transport.close()
            await protocol.lost

        run(main())

    def test_protocol_in_place_of_another(self, loop, run, connect, copying, large):
        """What stands in for the protocol refuses what cannot happen."""

        async def main():
            transport, protocol, peer = await connect()
            sending = asyncio.ensure_future(loop.sendfile(transport, large))
            while transport.get_protocol() is protocol:
                await asyncio.sleep(0)
            stand_in = transport.get_protocol()
            assert isinstance(stand_in, asyncio.Protocol)
            text = "Invalid state: connection should have been established already."
            with pytest.raises(RuntimeError) as raised:
                stand_in.connection_made(transport)
            assert str(raised.value) == text
            for call in (lambda: stand_in.data_received(b""), stand_in.eof_received):
                with pytest.raises(RuntimeError) as raised:
                    call()
                assert str(raised.value) == "Invalid state: reading should be paused"
            await drain_peer(loop, peer, LARGE)
            assert await sending == LARGE
            transport.close()
            await protocol.lost

        run(main())


class TestOverrides:
    def test_replaced_sock_sendfile(self, loop, run, connect, file):
        """sendfile over a plain transport is sock_sendfile without fallback on its socket."""
        calls = []

        async def spy(sock, file, offset, count, *, fallback):
            calls.append((type(sock), offset, count, fallback))
            return 7

        async def main():
            transport, protocol, _ = await connect()
            loop.sock_sendfile = spy
            assert await loop.sendfile(transport, file, 1, 2) == 7
            transport.close()
            await protocol.lost

        run(main())
        assert calls == [(socket.socket, 1, 2, False)]

    def test_leaves_nothing(self, loop, run, file, content):
        """Neither sockets nor files nor transports are held when it is over."""
        import gc
        import weakref

        async def main():
            ours, peer = tcp_pair()
            with peer:
                transport, protocol = await loop.create_connection(Recorder, sock=ours)
                received = asyncio.ensure_future(drain_peer(loop, peer, len(content)))
                await loop.sendfile(transport, file)
                await received
                transport.close()
                await protocol.lost
                return weakref.ref(transport), weakref.ref(protocol)

        gone = run(main())
        run(asyncio.sleep(0))
        gc.collect()
        assert [reference() for reference in gone] == [None, None]
