"""asyncio.unix_events: pipes. What is read, what is written, and how either end goes."""

import asyncio
import contextlib
import contextvars
import errno
import gc
import io
import logging
import os
import re
import socket
import struct
import tty
import weakref

import pytest

from tests.unit.programs import assert_no_growth, turn
from tests.unit.protocols import Recorder

MEBIBYTE = bytes(range(256)) * 4096


class Listener(Recorder):
    """Notes whether its pipe is still open when it hears of the end."""

    open_at_the_end = None

    def connection_lost(self, error):
        self.open_at_the_end = not self.transport.get_extra_info("pipe").closed
        super().connection_lost(error)


class Ends:
    """Two descriptors: what is written to `sink` can be read from `source`."""

    def __init__(self, source, sink):
        self.source = source
        self.sink = sink
        self.files = []

    def file(self, fd, mode):
        file = io.FileIO(fd, mode)
        self.files.append(file)
        return file

    def reading(self):
        """A file object for what is to be read, which owns its descriptor."""
        source, self.source = self.source, None
        return self.file(source, "r")

    def writing(self):
        """A file object for what is to be written, which owns its descriptor."""
        sink, self.sink = self.sink, None
        return self.file(sink, "w")

    def close_source(self):
        source, self.source = self.source, None
        os.close(source)

    def close_sink(self):
        sink, self.sink = self.sink, None
        os.close(sink)

    def read(self, count):
        """Read so many bytes, waiting for none."""
        os.set_blocking(self.source, False)
        return os.read(self.source, count)

    def written(self, count):
        """Read so many bytes that were written: of a terminal the kernel hands them on a moment later."""
        os.set_blocking(self.source, True)
        data = b""
        while len(data) < count:
            data += os.read(self.source, count - len(data))
        return data

    def close(self):
        for fd in self.source, self.sink:
            if fd is not None:
                os.close(fd)
        for file in self.files:
            with contextlib.suppress(OSError):
                file.close()


def make_pipe(_path):
    return os.pipe()


def make_fifo(path):
    os.mkfifo(path / "fifo")
    source = os.open(path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    return source, os.open(path / "fifo", os.O_WRONLY)


def make_sockets(_path):
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def make_terminal(_path):
    master, slave = os.openpty()
    tty.setraw(slave)
    return master, slave


KINDS = [make_pipe, make_fifo, make_sockets, make_terminal]


@pytest.fixture
def ends():
    ends = Ends(*os.pipe())
    yield ends
    ends.close()


@pytest.fixture(params=KINDS, ids=lambda make: make.__name__)
def any_ends(request, tmp_path):
    ends = Ends(*request.param(tmp_path))
    yield ends
    ends.close()


@pytest.fixture
def read_from(loop):
    async def read_from(ends, factory=Listener):
        return await loop.connect_read_pipe(factory, ends.reading())

    return read_from


@pytest.fixture
def write_to(loop):
    async def write_to(ends, factory=Listener):
        return await loop.connect_write_pipe(factory, ends.writing())

    return write_to


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


async def two_polls():
    """Wait until the loop has asked the kernel twice, and done what was to be done."""
    loop = asyncio.get_running_loop()
    source, sink = os.pipe()
    os.write(sink, b"x")
    for _ in range(2):
        asked = asyncio.Event()
        loop.add_reader(source, asked.set)
        await asked.wait()
        loop.remove_reader(source)
        await turns()
    os.close(source)
    os.close(sink)


class TestReading:
    def test_whatever_the_kind(self, run, any_ends, read_from):
        async def main():
            transport, protocol = await read_from(any_ends)
            os.write(any_ends.sink, b"one")
            assert await protocol.received(3) == b"one"
            os.write(any_ends.sink, b" two")
            assert await protocol.received(7) == b"one two"
            assert transport.is_reading()
            transport.close()
            assert await protocol.lost is None
            assert protocol.order == ["made", "data", ("lost", None)]

        run(main())

    @pytest.mark.parametrize("answer", [None, True])
    def test_the_end_is_told_and_then_the_pipe_closed(self, run, ends, read_from, answer):
        async def main():
            transport, protocol = await read_from(ends, lambda: Listener(keep_open=answer))
            pipe = transport.get_extra_info("pipe")
            os.write(ends.sink, b"last words")
            ends.close_sink()
            assert await protocol.lost is None
            assert protocol.data == b"last words"
            assert protocol.order == ["made", "data", "eof", ("lost", None)]
            assert protocol.open_at_the_end
            assert pipe.closed
            assert transport.is_closing()
            assert not transport.is_reading()
            assert transport.get_extra_info("pipe") is pipe

        run(main())

    def test_pausing_loses_nothing(self, run, ends, read_from):
        async def main():
            transport, protocol = await read_from(ends)
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            os.write(ends.sink, b"kept")
            await two_polls()
            assert protocol.data == b""
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading()
            assert await protocol.received(4) == b"kept"
            transport.close()
            transport.pause_reading()
            transport.resume_reading()
            assert not transport.is_reading()
            assert await protocol.lost is None
            transport.pause_reading()
            transport.resume_reading()
            assert not transport.is_reading()

        run(main())

    def test_paused_before_it_began(self, run, ends, read_from):
        class Paused(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                transport.pause_reading()

        async def main():
            os.write(ends.sink, b"early")
            transport, protocol = await read_from(ends, Paused)
            await two_polls()
            assert protocol.events == ["made"]
            transport.resume_reading()
            assert await protocol.received(5) == b"early"
            transport.close()
            await protocol.lost

        run(main())

    def test_closing_reads_no_more(self, run, ends, read_from):
        async def main():
            transport, protocol = await read_from(ends)
            pipe = transport.get_extra_info("pipe")
            os.write(ends.sink, b"too late")
            transport.close()
            transport.close()
            assert transport.is_closing()
            assert protocol.events == ["made"], "not before the next turn"
            assert await protocol.lost is None
            assert protocol.open_at_the_end
            await two_polls()
            assert protocol.events == ["made", ("lost", None)]
            assert pipe.closed

        run(main())

    @pytest.mark.parametrize("event", ["connection_made", "data_received", "eof_received"])
    def test_closed_by_its_protocol(self, run, ends, read_from, event):
        def closing(self, *args):
            getattr(Recorder, event)(self, *args)
            self.transport.close()

        async def main():
            os.write(ends.sink, b"x")
            ends.close_sink()
            _, protocol = await read_from(ends, type("Closing", (Recorder,), {event: closing}))
            assert await protocol.lost is None
            await two_polls()
            whole = ["made", "data", "eof"]
            told = {"connection_made": whole[:1], "data_received": whole[:2], "eof_received": whole}[event]
            assert protocol.events == [*told, ("lost", None)]

        run(main())

    def test_a_protocol_may_be_exchanged(self, run, ends, read_from):
        async def main():
            transport, first = await read_from(ends)
            assert transport.get_protocol() is first
            second = Listener()
            second.transport = transport
            transport.set_protocol(second)
            assert transport.get_protocol() is second
            os.write(ends.sink, b"for you")
            assert await second.received(7) == b"for you"
            transport.close()
            assert await second.lost is None
            assert first.events == ["made"]
            assert transport.get_protocol() is None

        run(main())

    def test_failures_of_the_protocol_are_reported_and_change_nothing(self, run, ends, read_from, reports):
        class Failing(Recorder):
            def data_received(self, data):
                super().data_received(data)
                raise ZeroDivisionError

            def eof_received(self):
                super().eof_received()
                raise KeyError

            def connection_lost(self, error):
                super().connection_lost(error)
                raise LookupError

        async def main():
            transport, protocol = await read_from(ends, Failing)
            pipe = transport.get_extra_info("pipe")
            for text in (b"one", b"two"):
                os.write(ends.sink, text)
                await protocol.until(lambda text=text: protocol.data.endswith(text))
            ends.close_sink()
            await protocol.lost
            await two_polls()
            assert pipe.closed
            assert protocol.order == ["made", "data", "eof", ("lost", None)]

        run(main())
        raised = [type(report["exception"]) for report in reports]
        assert raised == [ZeroDivisionError, ZeroDivisionError, KeyError, LookupError]
        assert all(report["message"].startswith("Exception in callback") for report in reports)

    def test_an_interrupt_leaves_the_loop(self, loop, ends, read_from):
        class Interrupted(Recorder):
            def data_received(self, data):
                super().data_received(data)
                if data == b"now":
                    raise KeyboardInterrupt

        transport, protocol = loop.run_until_complete(read_from(ends, Interrupted))
        os.write(ends.sink, b"now")
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        os.write(ends.sink, b" and later")
        assert loop.run_until_complete(protocol.received(13)) == b"now and later"
        transport.close()
        loop.run_until_complete(protocol.lost)

    def test_the_end_of_a_terminal_is_nobody_s_fault(self, run, tmp_path, read_from):
        ends = Ends(*make_terminal(tmp_path))

        async def main():
            _, protocol = await read_from(ends)
            ends.close_sink()
            error = await protocol.lost
            assert isinstance(error, OSError)
            assert error.errno == errno.EIO
            assert protocol.events == ["made", ("lost", error)]

        run(main())
        ends.close()

    def test_other_errors_are_reported(self, run, pair, loop, reports):
        ours, peer = pair
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        file = io.FileIO(ours.detach(), "r")

        async def main():
            transport, protocol = await loop.connect_read_pipe(Recorder, file)
            peer.close()
            error = await protocol.lost
            assert isinstance(error, ConnectionResetError)
            assert reports == [
                {
                    "message": "Fatal read error on pipe transport",
                    "exception": error,
                    "transport": transport,
                    "protocol": protocol,
                }
            ]

        run(main())
        assert file.closed

    def test_what_the_kernel_does_not_watch(self, run, loop, reports):
        async def main():
            with io.FileIO("/dev/null") as file:
                transport, protocol = await loop.connect_read_pipe(Recorder, file)
                await two_polls()
                assert [type(report["exception"]) for report in reports] == [PermissionError]
                transport.close()
                assert await protocol.lost is None

        run(main())

    def test_into_a_stream(self, impl, run, ends, loop):
        async def main():
            reader = impl.StreamReader(limit=1000)
            transport, _ = await loop.connect_read_pipe(
                lambda: impl.StreamReaderProtocol(reader), ends.reading()
            )
            os.write(ends.sink, b"one\ntwo\n" + bytes(100))
            assert await reader.readline() == b"one\n"
            assert await reader.readline() == b"two\n"
            assert await reader.readexactly(100) == bytes(100)
            sunk = os.write(ends.sink, bytes(60_000))
            await two_polls()
            assert not transport.is_reading(), "a reader takes a little more than twice its limit at most"
            waiting = asyncio.ensure_future(reader.read())
            ends.close_sink()
            assert await waiting == bytes(sunk)
            assert reader.at_eof()

        run(main())


class TestWriting:
    def test_whatever_the_kind(self, run, any_ends, write_to):
        async def main():
            transport, protocol = await write_to(any_ends)
            transport.write(b"one")
            assert any_ends.written(3) == b"one"
            transport.write(bytearray(b" two"))
            transport.write(memoryview(b" three"))
            transport.write(b"")
            assert any_ends.written(10) == b" two three"
            transport.writelines([b"four", bytearray(b" five")])
            assert any_ends.written(9) == b"four five"
            assert transport.get_write_buffer_size() == 0
            transport.close()
            assert await protocol.lost is None
            assert protocol.events == ["made", ("lost", None)]

        run(main())

    def test_to_a_device_that_takes_everything(self, run, loop):
        async def main():
            with io.FileIO("/dev/null", "w") as file:
                transport, protocol = await loop.connect_write_pipe(Recorder, file)
                transport.write(MEBIBYTE)
                assert transport.get_write_buffer_size() == 0
                transport.close()
                assert await protocol.lost is None

        run(main())

    def test_each_write_is_a_message_of_its_own(self, run, write_to):
        source, sink = socket.socketpair(type=socket.SOCK_SEQPACKET)
        ends = Ends(source.detach(), sink.detach())

        async def main():
            transport, protocol = await write_to(ends)
            for _ in range(2):
                for text in (b"a", b"b", b"c"):
                    transport.write(text)
                assert [ends.read(100) for _ in range(3)] == [b"a", b"b", b"c"]
                await asyncio.sleep(0)
            transport.close()
            await protocol.lost

        run(main())
        ends.close()

    @pytest.mark.parametrize("data", ["text", None, 5, [b"x"]])
    def test_what_is_no_bytes(self, run, ends, write_to, data):
        async def main():
            transport, protocol = await write_to(ends)
            with pytest.raises(AssertionError, match=re.escape(repr(data))):
                transport.write(data)
            assert not transport.is_closing()
            transport.close()
            await protocol.lost

        run(main())

    def test_what_is_not_contiguous(self, run, ends, write_to, reports):
        async def main():
            transport, protocol = await write_to(ends)
            transport.write(memoryview(b"abcdef")[::2])
            error = await protocol.lost
            assert isinstance(error, BufferError)
            [report] = reports
            assert report["message"] == "Fatal write error on pipe transport"
            assert (report["exception"], report["transport"]) == (error, transport)

        run(main())

    def test_a_device_that_is_full(self, run, loop, reports):
        async def main():
            with io.FileIO("/dev/full", "w") as file:
                transport, protocol = await loop.connect_write_pipe(Recorder, file)
                transport.write(b"x")
                error = await protocol.lost
                assert error.errno == errno.ENOSPC
            assert reports == []

        run(main())

    def test_what_does_not_fit_waits(self, run, ends, write_to):
        async def main():
            transport, protocol = await write_to(ends)
            data = bytearray(MEBIBYTE)
            transport.write(data)
            data[:] = bytes(len(data))
            transport.write(b"the end")
            assert protocol.events == ["made", "pause"]
            waiting = transport.get_write_buffer_size()
            assert 0 < waiting < len(MEBIBYTE) + 7
            assert bytes(transport._buffer) == (MEBIBYTE + b"the end")[-waiting:]
            received = bytearray()
            while len(received) < len(MEBIBYTE) + 7:
                with contextlib.suppress(BlockingIOError):
                    received += ends.read(50_000)
                await asyncio.sleep(0)
            assert received == MEBIBYTE + b"the end"
            await protocol.until(lambda: "resume" in protocol.events)
            assert transport.get_write_buffer_size() == 0
            assert protocol.events == ["made", "pause", "resume"]
            transport.close()
            await protocol.lost

        run(main())

    def test_limits(self, run, ends, write_to):
        async def main():
            transport, protocol = await write_to(ends)
            assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
            transport.set_write_buffer_limits(low=10)
            assert transport.get_write_buffer_limits() == (10, 40)
            transport.set_write_buffer_limits(high=100)
            assert transport.get_write_buffer_limits() == (25, 100)
            with pytest.raises(ValueError, match=re.escape("high (1) must be >= low (2) must be >= 0")):
                transport.set_write_buffer_limits(1, 2)
            while not transport.get_write_buffer_size():
                transport.write(bytes(64))
            assert protocol.events == ["made"]
            transport.set_write_buffer_limits(high=65)
            transport.write(b"x")
            assert protocol.events == ["made"]
            transport.write(b"y")
            assert protocol.events == ["made", "pause"]
            transport.abort()
            await protocol.lost

        run(main())

    def test_new_limits_count_at_once(self, run, ends, write_to):
        async def main():
            transport, protocol = await write_to(ends)
            while not transport.get_write_buffer_size():
                transport.write(bytes(64))
            transport.set_write_buffer_limits(high=10)
            assert protocol.events == ["made", "pause"]
            transport.abort()
            await protocol.lost

        run(main())

    def test_resuming_waits_for_an_empty_buffer(self, run, ends, write_to):
        async def main():
            transport, protocol = await write_to(ends)
            transport.set_write_buffer_limits(high=100_000, low=90_000)
            transport.write(MEBIBYTE)
            sizes = []
            protocol.resume_writing = lambda: sizes.append(transport.get_write_buffer_size())
            received = 0
            while not sizes:
                with contextlib.suppress(BlockingIOError):
                    received += len(ends.read(30_000))
                await asyncio.sleep(0)
            assert sizes == [0]
            transport.abort()
            await protocol.lost

        run(main())

    def test_writing_when_resumed(self, run, ends, write_to):
        class Greedy(Recorder):
            rounds = 0

            def resume_writing(self):
                super().resume_writing()
                self.rounds += 1
                if self.rounds < 3:
                    self.transport.write(MEBIBYTE)
                else:
                    self.transport.close()

        async def main():
            transport, protocol = await write_to(ends, Greedy)
            transport.write(MEBIBYTE)
            received = bytearray()
            while not protocol.lost.done():
                with contextlib.suppress(BlockingIOError):
                    received += ends.read(100_000)
                await asyncio.sleep(0)
            while rest := ends.read(100_000):
                received += rest
            assert received == MEBIBYTE * 3
            assert protocol.order == ["made", *["pause", "resume"] * 3, ("lost", None)]

        run(main())

    @pytest.mark.parametrize("method", ["close", "write_eof"])
    def test_closing_writes_what_waits(self, run, ends, write_to, method, caplog):
        async def main():
            transport, protocol = await write_to(ends)
            assert transport.can_write_eof()
            transport.write(MEBIBYTE)
            getattr(transport, method)()
            getattr(transport, method)()
            transport.close()
            transport.write(b"too late")
            assert transport.is_closing()
            await two_polls()
            assert not protocol.lost.done()
            received = bytearray()
            while not protocol.lost.done():
                with contextlib.suppress(BlockingIOError):
                    received += ends.read(100_000)
                await asyncio.sleep(0)
            while rest := ends.read(100_000):
                received += rest
            assert received == MEBIBYTE
            assert await protocol.lost is None
            assert protocol.open_at_the_end
            transport.close()

        run(main())
        assert caplog.records == []

    def test_aborting_writes_no_more(self, run, ends, write_to):
        async def main():
            transport, protocol = await write_to(ends)
            transport.write(MEBIBYTE)
            transport.abort()
            assert transport.get_write_buffer_size() == 0
            assert transport.is_closing()
            assert not protocol.lost.done()
            assert await protocol.lost is None
            await two_polls()
            assert protocol.events == ["made", "pause", ("lost", None)]
            received = 0
            while rest := ends.read(100_000):
                received += len(rest)
            assert 0 < received < len(MEBIBYTE)

        run(main())

    @pytest.mark.parametrize("make", KINDS[:3], ids=lambda make: make.__name__)
    @pytest.mark.parametrize("waiting", [b"", MEBIBYTE], ids=["idle", "busy"])
    @pytest.mark.parametrize("closing", [False, True], ids=["open", "closing"])
    def test_the_reader_leaves(self, run, tmp_path, write_to, make, waiting, closing):
        ends = Ends(*make(tmp_path))

        async def main():
            transport, protocol = await write_to(ends)
            pipe = transport.get_extra_info("pipe")
            transport.write(waiting)
            if closing:
                transport.close()
            ends.close_source()
            error = await protocol.lost
            assert type(error) is (BrokenPipeError if waiting else type(None))
            assert transport.is_closing()
            await two_polls()
            assert protocol.order == ["made", *["pause"][: len(waiting)], ("lost", error)]
            assert protocol.open_at_the_end
            assert pipe.closed

        run(main())
        ends.close()

    def test_a_socket_that_can_be_read_counts_as_left(self, run, write_to):
        ends = Ends(*make_sockets(None))

        async def main():
            _, protocol = await write_to(ends)
            os.write(ends.source, b"anything")
            assert await protocol.lost is None

        run(main())
        ends.close()

    def test_writing_to_nobody(self, run, ends, write_to, reports, caplog):
        async def main():
            transport, protocol = await write_to(ends)
            ends.close_source()
            for _ in range(7):
                transport.write(b"x")
            assert transport.is_closing()
            assert transport._conn_lost == 7
            error = await protocol.lost
            assert type(error) is BrokenPipeError
            assert error.errno == errno.EPIPE
            await two_polls()
            assert protocol.events == ["made", ("lost", error)]

        run(main())
        assert reports == []
        warning = "pipe closed by peer or os.write(pipe, data) raised exception."
        assert [record.getMessage() for record in caplog.records] == [warning] * 2

    def test_writing_after_the_end(self, run, ends, write_to, caplog):
        async def main():
            transport, protocol = await write_to(ends)
            transport.close()
            counts = []
            for _ in range(6):
                transport.write(b"x")
                counts.append((transport._conn_lost, len(caplog.records)))
            assert counts == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 1)]
            await protocol.lost
            transport.write(b"x")
            assert len(caplog.records) == 2

        run(main())

    @pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
    def test_failures_of_the_protocol_are_reported(self, run, ends, write_to, reports, method):
        def failing(self):
            getattr(Recorder, method)(self)
            raise ZeroDivisionError

        async def main():
            transport, protocol = await write_to(ends, type("Failing", (Recorder,), {method: failing}))
            transport.write(MEBIBYTE)
            received = 0
            while received < len(MEBIBYTE):
                with contextlib.suppress(BlockingIOError):
                    received += len(ends.read(100_000))
                await asyncio.sleep(0)
            await protocol.until(lambda: "resume" in protocol.events)
            assert protocol.events == ["made", "pause", "resume"]
            [report] = reports
            assert report["message"] == f"protocol.{method}() failed"
            assert isinstance(report["exception"], ZeroDivisionError)
            assert (report["transport"], report["protocol"]) == (transport, protocol)
            transport.close()
            await protocol.lost

        run(main())

    def test_written_and_closed_before_it_began(self, run, ends, write_to):
        class Hasty(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                transport.write(b"all there is")
                transport.close()

        async def main():
            _, protocol = await write_to(ends, Hasty)
            assert await protocol.lost is None
            assert ends.read(100) == b"all there is"
            assert ends.read(100) == b""

        run(main())

    def test_from_a_stream(self, impl, run, ends, loop):
        async def main():
            transport, protocol = await loop.connect_write_pipe(
                lambda: impl.StreamReaderProtocol(impl.StreamReader()), ends.writing()
            )
            writer = impl.StreamWriter(transport, protocol, None, loop)
            writer.write(MEBIBYTE)
            draining = asyncio.ensure_future(writer.drain())
            received = bytearray()
            while not draining.done():
                with contextlib.suppress(BlockingIOError):
                    received += ends.read(100_000)
                await asyncio.sleep(0)
            writer.close()
            await writer.wait_closed()
            while rest := ends.read(100_000):
                received += rest
            assert received == MEBIBYTE

        run(main())


class TestBothEnds:
    def test_a_mebibyte_to_a_slow_reader(self, run, ends, read_from, write_to):
        class Slow(Recorder):
            def data_received(self, data):
                super().data_received(data)
                self.transport.pause_reading()
                loop = asyncio.get_running_loop()
                loop.call_soon(loop.call_soon, self.transport.resume_reading)

        async def main():
            _, reader = await read_from(ends, Slow)
            writing, writer = await write_to(ends)
            writing.write(MEBIBYTE)
            writing.close()
            await reader.lost
            await writer.lost
            assert reader.data == MEBIBYTE
            assert reader.order == ["made", "data", "eof", ("lost", None)]
            assert writer.order == ["made", "pause", "resume", ("lost", None)]

        run(main())

    def test_a_terminal_both_ways(self, run, loop):
        master, slave = os.openpty()
        tty.setraw(slave)
        files = [io.FileIO(master, "r"), io.FileIO(os.dup(master), "w")]
        files += [io.FileIO(slave, "r"), io.FileIO(os.dup(slave), "w")]

        async def main():
            one, hears_one = await loop.connect_read_pipe(Recorder, files[0])
            two, hears_two = await loop.connect_read_pipe(Recorder, files[2])
            to_two, _ = await loop.connect_write_pipe(Recorder, files[1])
            to_one, _ = await loop.connect_write_pipe(Recorder, files[3])
            to_two.write(b"ping")
            assert await hears_two.received(4) == b"ping"
            to_one.write(b"pong")
            assert await hears_one.received(4) == b"pong"
            for transport in one, two, to_one, to_two:
                transport.close()
            await two_polls()

        run(main())
        assert all(file.closed for file in files)

    def test_leaves_nothing(self, loop):
        async def rounds(count):
            for _ in range(count):
                source, sink = os.pipe()
                _, reader = await loop.connect_read_pipe(Recorder, io.FileIO(source, "r"))
                writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, io.FileIO(sink, "w"))
                writing.write(b"x")
                writing.close()
                await reader.lost

        before = len(os.listdir("/proc/self/fd"))
        assert_no_growth(loop, rounds)
        assert len(os.listdir("/proc/self/fd")) <= before + 4  # the loop may open its own


class TestConnecting:
    READ = "Pipe transport is for pipes/sockets only."
    WRITE = "Pipe transport is only for pipes, sockets and character devices"

    @pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
    def test_other_files_are_refused(self, run, loop, tmp_path, method):
        text = self.READ if "read" in method else self.WRITE

        async def main():
            with open(tmp_path / "regular", "w+b", 0) as file:
                with pytest.raises(ValueError, match=re.escape(text)):
                    await getattr(loop, method)(Recorder, file)
                assert not file.closed
                assert os.get_blocking(file.fileno())

        run(main())

    @pytest.mark.yibu_only()  # stock leaves a transport behind whose finalizer fails
    @pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
    def test_what_is_no_file(self, run, loop, method):
        async def main():
            connect = getattr(loop, method)
            with pytest.raises(AttributeError, match="fileno"):
                await connect(Recorder, object())
            with pytest.raises(io.UnsupportedOperation):
                await connect(Recorder, io.BytesIO())

        run(main())

    @pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
    def test_a_factory_that_fails(self, run, loop, ends, method):
        async def main():
            file = ends.reading() if "read" in method else ends.writing()
            with pytest.raises(ZeroDivisionError):
                await getattr(loop, method)(lambda: 1 / 0, file)
            assert not file.closed

        run(main())

    @pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_cancelled(self, run, loop, ends, method, after):
        async def main():
            file = ends.reading() if "read" in method else ends.writing()
            protocols = []
            connecting = asyncio.ensure_future(
                getattr(loop, method)(lambda: protocols.append(Recorder()) or protocols[-1], file)
            )
            await turns(after)
            assert not connecting.done()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await two_polls()
            assert [protocol.events for protocol in protocols] == [["made", ("lost", None)]][:after]
            assert file.closed is (after > 0)

        run(main())

    def test_the_descriptor_does_not_block_any_more(self, run, ends, read_from, write_to):
        async def main():
            reading, reader = await read_from(ends)
            writing, writer = await write_to(ends)
            for transport in reading, writing:
                assert not os.get_blocking(transport.get_extra_info("pipe").fileno())
                transport.close()
            await reader.lost
            await writer.lost

        run(main())


def states(transport):
    """What a `repr` says after the name of the class, which is the implementation's own."""
    return repr(transport).partition(" ")[2].rstrip(">")


class TestTransports:
    def test_classes(self, run, ends, read_from, write_to):
        async def main():
            reading, reader = await read_from(ends)
            writing, writer = await write_to(ends)
            assert isinstance(reading, asyncio.ReadTransport)
            assert not isinstance(reading, asyncio.WriteTransport)
            assert not hasattr(reading, "write")
            assert not hasattr(reading, "abort") or reading.abort.__qualname__.startswith("BaseTransport")
            assert isinstance(writing, asyncio.WriteTransport)
            assert type(reading).max_size == 256 * 1024
            reading.anything = writing.anything = 1
            for transport, protocol in (reading, reader), (writing, writer):
                transport.close()
                await protocol.lost

        run(main())

    def test_what_is_known(self, run, ends, read_from, write_to):
        async def main():
            for transport, protocol in (await read_from(ends), await write_to(ends)):
                pipe = transport.get_extra_info("pipe")
                assert pipe in ends.files
                assert transport.get_extra_info("peername") is None
                assert transport.get_extra_info("peername", 5) == 5
                assert transport.get_extra_info("nothing", default=7) == 7
                assert transport._extra == {"pipe": pipe}
                transport.close()
                await protocol.lost

        run(main())

    def test_private_attributes(self, run, loop, ends, read_from, write_to):
        async def main():
            reading, reader = await read_from(ends)
            writing, writer = await write_to(ends)
            for transport, protocol in (reading, reader), (writing, writer):
                assert transport._loop is loop
                assert transport._protocol is protocol
                assert transport._pipe is transport.get_extra_info("pipe")
                assert transport._fileno == transport._pipe.fileno()
                assert transport._closing is False
            assert reading._paused is False
            reading.pause_reading()
            assert reading._paused is True
            assert (writing._conn_lost, writing._buffer) == (0, bytearray())
            assert (writing._low_water, writing._high_water) == (16 * 1024, 64 * 1024)
            assert writing._protocol_paused is False
            writing.write(MEBIBYTE)
            assert writing._protocol_paused is True
            assert type(writing._buffer) is bytearray
            assert len(writing._buffer) == writing.get_write_buffer_size()
            writing.abort()
            reading.close()
            for transport, protocol in (reading, reader), (writing, writer):
                fd = transport._fileno
                assert transport._closing is True
                await protocol.lost
                await two_polls()
                assert (transport._loop, transport._protocol, transport._pipe) == (None, None, None)
                assert transport._fileno == fd

        run(main())

    def test_repr(self, run, ends, read_from, write_to):
        async def main():
            reading, reader = await read_from(ends)
            writing, writer = await write_to(ends)
            one, other = reading._fileno, writing._fileno
            assert states(reading) == f"fd={one} polling"
            reading.pause_reading()
            assert states(reading) == f"fd={one} idle"
            assert states(writing) == f"fd={other} idle bufsize=0"
            writing.write(MEBIBYTE)
            size = writing.get_write_buffer_size()
            assert states(writing) == f"fd={other} polling bufsize={size}"
            writing.abort()
            assert states(writing) == f"closing fd={other} idle bufsize=0"
            reading.close()
            assert states(reading) == f"closing fd={one} idle"
            await reader.lost
            await writer.lost
            await two_polls()
            assert states(reading) == f"closed fd={one} closed"
            assert states(writing) == f"closed fd={other} closed"

        run(main())

    def test_left_open_when_the_loop_closes(self, loop, ends, read_from, write_to):
        async def main():
            return await read_from(ends), await write_to(ends)

        transports = [transport for transport, _ in loop.run_until_complete(main())]
        loop.close()
        while transports:
            transport = transports.pop()
            assert states(transport) == f"fd={transport._fileno} open"
            file = transport._pipe
            assert not file.closed
            # The protocol has the transport, and the other way round.
            with pytest.warns(ResourceWarning, match=re.escape(f"unclosed transport {transport!r}")):
                del transport
                gc.collect()
            assert file.closed

    def test_debug_log(self, run, loop, ends, read_from, write_to, caplog):
        loop.set_debug(True)
        caplog.set_level(logging.DEBUG, "asyncio")

        async def main():
            reading, reader = await read_from(ends)
            writing, writer = await write_to(ends)
            texts = [
                f"Read pipe {reading._fileno} connected: ({reading!r}, {reader!r})",
                f"Write pipe {writing._fileno} connected: ({writing!r}, {writer!r})",
            ]
            reading.pause_reading()
            texts.append(f"{reading!r} pauses reading")
            reading.resume_reading()
            texts.append(f"{reading!r} resumes reading")
            texts.append(f"{reading!r} was closed by peer")
            writing.close()
            await reader.lost
            await writer.lost
            records = [r for r in caplog.records if r.name == "asyncio" and "slow" not in r.getMessage()]
            got = [(r.levelname, r.message) for r in records]
            expected = [("DEBUG", text) for text in texts[:-1]] + [("INFO", texts[-1])]
            assert [line for line in got if "pipe" in line[1].lower()] == expected

        run(main())

    def test_debug_log_of_a_broken_pipe(self, run, loop, ends, write_to, caplog):
        loop.set_debug(True)
        caplog.set_level(logging.DEBUG, "asyncio")

        async def main():
            transport, protocol = await write_to(ends)
            ends.close_source()
            transport.write(b"x")
            await protocol.lost
            [record] = [r for r in caplog.records if "Fatal" in r.getMessage()]
            assert record.levelname == "DEBUG"
            assert record.getMessage().endswith(": Fatal write error on pipe transport")
            assert record.exc_info

        run(main())

    def test_failing_by_hand(self, run, ends, read_from, write_to, reports):
        async def main():
            pairs = [await read_from(ends), await write_to(ends)]
            for transport, protocol in pairs:
                error = LookupError()
                transport._fatal_error(error)
                assert transport.is_closing()
                assert await protocol.lost is error
                expected = {"message": "Fatal error on pipe transport", "exception": error}
                assert reports.pop() == expected | {"transport": transport, "protocol": protocol}

        run(main())

    def test_what_nobody_has_any_more_is_collected(self, loop, ends, read_from, write_to):
        async def main():
            reading, reader = await read_from(ends)
            writing, writer = await write_to(ends)
            reading.itself, writing.itself = reading, writing
            reading.close()
            writing.close()
            await reader.lost
            await writer.lost
            return [weakref.ref(each) for each in (reading, writing, reader, writer)]

        references = loop.run_until_complete(main())
        gc.collect()
        assert [reference() for reference in references] == [None] * 4

    def test_in_the_context_of_who_connected(self, run, ends, read_from):
        here = contextvars.ContextVar("here")

        class Aware(Recorder):
            def data_received(self, data):
                self.seen = here.get()
                super().data_received(data)

        async def main():
            here.set("main")
            transport, protocol = await read_from(ends, Aware)
            os.write(ends.sink, b"x")
            await protocol.received(1)
            assert protocol.seen == "main"
            transport.close()
            await protocol.lost

        run(main())

    def test_a_turn_each(self, loop, run, ends, read_from):
        """connection_lost comes in the turn after close(), not in the call."""
        transport, protocol = run(read_from(ends))
        transport.close()
        assert protocol.events == ["made"]
        turn(loop)
        assert protocol.events == ["made", ("lost", None)]
