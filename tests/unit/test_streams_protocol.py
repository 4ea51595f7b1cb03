"""asyncio.streams.StreamReaderProtocol over a transport that records, what it serves, and how it all dies."""

import asyncio
import gc
import sys
import weakref

import pytest

from tests.unit.streams import Connection, Transport, turns, waiting

SINCE_313 = sys.version_info >= (3, 13)
SINCE_314 = sys.version_info >= (3, 14)


@pytest.fixture
def run(run_on_each_loop):
    return run_on_each_loop


@pytest.fixture
def connect(connect_streams):
    return connect_streams


class TestProtocol:
    def test_feeds_the_reader(self, run, connect):
        async def main():
            each = connect()
            line = await waiting(each.reader.readline())
            each.protocol.data_received(b"line\nrest")
            assert await line == b"line\n"
            assert each.protocol.eof_received() is True
            assert await each.reader.read() == b"rest"

        run(main)

    def test_does_not_stay_open_behind_tls(self, run, connect):
        async def main():
            each = connect()
            each.protocol._over_ssl = True
            assert each.protocol.eof_received() is False

        run(main)

    def test_feeds_a_reader_of_a_subclass(self, run, connect, impl):
        calls = []

        class Reader(impl.StreamReader):
            def set_transport(self, transport):
                calls.append("transport")
                super().set_transport(transport)

            def feed_data(self, data):
                calls.append(data)
                super().feed_data(data)

            def feed_eof(self):
                calls.append("end")
                super().feed_eof()

            def set_exception(self, exc):
                calls.append(exc)
                super().set_exception(exc)

        async def main():
            each, error = connect(reader_class=Reader), ValueError("lost")
            each.protocol.data_received(b"data")
            each.protocol.eof_received()
            each.protocol.connection_lost(error)
            assert calls == ["transport", b"data", "end", error]
            assert each.protocol._transport is None
            calls.clear()

        run(main)

    def test_attributes(self, run, connect):
        async def main():
            protocol = (each := connect()).protocol
            assert protocol._stream_reader is each.reader
            assert protocol._stream_reader_wr() is each.reader
            assert protocol._transport is each.transport
            assert protocol._client_connected_cb is None
            assert protocol._reject_connection is protocol._over_ssl is False
            assert protocol._task is None
            assert not protocol._closed.done()
            assert protocol._get_close_waiter(None) is protocol._closed
            assert protocol._source_traceback is None
            assert isinstance(protocol, asyncio.StreamReaderProtocol)
            assert isinstance(protocol, asyncio.Protocol)

        run(main)

    def test_without_a_reader(self, run, impl):
        async def main():
            protocol = impl.StreamReaderProtocol(None)
            assert protocol._stream_reader is None
            protocol.connection_made(Transport())
            protocol.data_received(b"nobody reads")
            assert protocol.eof_received()
            protocol.connection_lost(None)

        run(main)

    def test_does_not_keep_the_reader(self, run, connect):
        async def main():
            each = connect()
            each.writer._reader = None
            dead = weakref.ref(each.reader)
            each.reader = None
            gc.collect()
            assert dead() is None
            assert each.protocol._stream_reader is None
            each.protocol.data_received(b"nobody reads")

        run(main)

    def test_rejects(self, run, impl, reports):
        async def main():
            reader = impl.StreamReader()
            protocol, transport = impl.StreamReaderProtocol(reader), Transport()
            protocol._reject_connection = True
            protocol.connection_made(transport)
            assert transport.calls == ["abort"]
            (report,) = reports
            assert report["message"].startswith("An open stream was garbage collected prior to establishing")
            reports.clear()

        run(main)

    def test_init_of_its_own(self, run, impl):
        class Protocol(impl.StreamReaderProtocol):
            def __init__(self):
                self.reader = impl.StreamReader(limit=10)
                super().__init__(self.reader, self.connected)
                self.writers = []

            def connected(self, reader, writer):
                assert reader is self.reader
                self.writers.append(writer)

        async def main():
            protocol, transport = Protocol(), Transport()
            protocol.connection_made(transport)
            (writer,) = protocol.writers
            writer.write(b"x")
            assert transport.written == b"x"
            writer.close()
            protocol.writers.clear()

        run(main)

    def test_used_again(self, run, impl):
        """A second `__init__` begins anew, as with any class."""

        async def main():
            protocol = impl.StreamReaderProtocol(impl.StreamReader())
            protocol.connection_made(Transport())
            protocol.pause_writing()
            protocol.connection_lost(None)
            reader = impl.StreamReader()
            protocol.__init__(reader)
            assert not protocol._closed.done()
            transport = Transport()
            protocol.connection_made(transport)
            protocol.data_received(b"x")
            assert await reader.read(1) == b"x"

        run(main)

    def test_replaced_transport(self, run, impl, connect):
        async def main():
            each, transport = connect(), Transport()
            if SINCE_313:
                each.protocol._replace_transport(transport)
            else:
                each.writer._transport.closing = True
                each.writer._transport = transport
                each.protocol._replace_writer(each.writer)
            assert each.protocol._transport is transport
            assert each.protocol._over_ssl is False
            if SINCE_314 or not impl.is_stock:
                assert each.reader._transport is transport
            transport.closing = True

        run(main)


class TestConnected:
    def test_a_plain_function(self, run, impl):
        called = []

        async def main():
            protocol = impl.StreamReaderProtocol(impl.StreamReader(), lambda *ends: called.append(ends))
            transport = Transport()
            protocol.connection_made(transport)
            ((reader, writer),) = called
            assert isinstance(reader, impl.StreamReader)
            assert writer.transport is transport
            assert protocol._task is None
            # Who has the writer has the reader.
            del reader
            gc.collect()
            protocol.data_received(b"data")
            assert await writer._reader.read(4) == b"data"
            transport.closing = True
            called.clear()

        run(main)

    def test_a_coroutine_function(self, run, impl):
        async def main():
            lines = []

            async def connected(reader, writer):
                lines.append(await reader.readline())
                writer.close()

            protocol = impl.StreamReaderProtocol(impl.StreamReader(), connected)
            transport = Transport()
            protocol.connection_made(transport)
            assert isinstance(protocol._task, asyncio.Task)
            gc.collect()
            protocol.data_received(b"line\n")
            await protocol._task
            assert lines == [b"line\n"]
            protocol.connection_lost(None)
            assert protocol._task is None

        run(main)

    def test_a_coroutine_that_fails(self, run, impl, reports):
        error = ValueError("in the server")

        async def connected(reader, writer):
            raise error

        async def main():
            protocol, transport = impl.StreamReaderProtocol(impl.StreamReader(), connected), Transport()
            protocol.connection_made(transport)
            await turns()
            (report,) = reports
            assert report["message"] == "Unhandled exception in client_connected_cb"
            assert report["exception"] is error
            assert report["transport"] is transport
            assert transport.calls[0] == "close"
            reports.clear()

        run(main)

    def test_a_coroutine_that_is_cancelled(self, run, impl, reports):
        async def connected(reader, writer):
            writer_kept.append(writer)
            await reader.read(1)

        writer_kept = []

        async def main():
            protocol, transport = impl.StreamReaderProtocol(impl.StreamReader(), connected), Transport()
            protocol.connection_made(transport)
            await turns()
            protocol._task.cancel()
            await turns()
            if SINCE_313 or not impl.is_stock:
                assert transport.calls == ["close"]
            else:
                # The callback itself raised, which the loop reported.
                (report,) = reports
                assert isinstance(report["exception"], asyncio.CancelledError)
                reports.clear()
            transport.closing = True
            writer_kept.clear()

        run(main)

    def test_a_function_that_fails(self, run, impl, reports):
        def connected(reader, writer):
            raise ZeroDivisionError

        async def main():
            protocol, transport = impl.StreamReaderProtocol(impl.StreamReader(), connected), Transport()
            # The writer dies with the exception.
            transport.closing = True
            if SINCE_314 or not impl.is_stock:
                protocol.connection_made(transport)
                assert transport.calls == ["close"]
                assert isinstance(reports.pop()["exception"], ZeroDivisionError)
                assert protocol._strong_reader is None
            else:
                with pytest.raises(ZeroDivisionError):
                    protocol.connection_made(transport)

        run(main)


class TestFinalizers:
    def test_an_open_writer_is_closed(self, run, impl):
        async def main():
            each = Connection(impl)
            transport = each.transport
            with pytest.warns(ResourceWarning, match=r"^unclosed <StreamWriter transport=.* reader=.*>$"):
                each.writer = None
                gc.collect()
            assert transport.calls == ["close"]

        run(main)

    def test_a_closed_writer_says_nothing(self, run, impl):
        async def main():
            each = Connection(impl)
            each.writer.close()
            transport, each.writer = each.transport, None
            gc.collect()
            assert transport.calls == ["close"]

        run(main)

    def test_a_writer_that_outlives_its_loop(self, impl, make_loop):
        loop = make_loop()

        async def main():
            return Connection(impl)

        each = loop.run_until_complete(main())
        loop.close()
        with pytest.warns(ResourceWarning, match=r"^loop is closed$"):
            each.writer = None
            gc.collect()
        assert each.transport.calls == []

    def test_everything_dies(self, run, impl):
        async def main():
            each = Connection(impl)
            each.transport.closing = True
            each.transport.protocol = each.protocol
            dead = [weakref.ref(part) for part in (each.reader, each.protocol, each.writer)]
            del each
            gc.collect()
            assert [each() for each in dead] == [None] * 3

        run(main)

    def test_a_failed_constructor(self, impl):
        for kind in (impl.StreamReader, impl.StreamReaderProtocol):
            kind.__new__(kind)
        gc.collect()
