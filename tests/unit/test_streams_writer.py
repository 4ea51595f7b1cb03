"""asyncio.streams.StreamWriter over a transport that records: drain, wait_closed, flow control."""

import asyncio
import gc

import pytest

from tests.unit.streams import Transport, turns, waiting


@pytest.fixture
def run(run_on_each_loop):
    return run_on_each_loop


@pytest.fixture
def connect(connect_streams):
    return connect_streams


@pytest.fixture
def flow_control(impl):
    """`FlowControlMixin`, which has no name in the package."""
    return impl.StreamReaderProtocol.__mro__[1]


class TestWriter:
    def test_passes_on(self, run, connect):
        async def main():
            each = connect()
            writer, transport = each.writer, each.transport
            assert writer.transport is transport
            assert writer.write(b"a") is None
            assert writer.writelines([b"b", b"c"]) is None
            assert writer.can_write_eof() is True
            writer.write_eof()
            assert writer.get_extra_info("name") is None
            assert writer.get_extra_info("name", 5) == 5
            assert writer.get_extra_info("peername") == "somebody"
            assert not writer.is_closing()
            writer.close()
            assert writer.is_closing()
            assert transport.calls == ["write", "writelines", "write_eof", "close"]
            assert transport.written == b"abc"

        run(main)

    def test_passes_on_what_the_transport_refuses(self, run, connect):
        async def main():
            writer = connect().writer
            with pytest.raises(TypeError):
                writer.write("text")
            with pytest.raises(TypeError):
                writer.write()
            with pytest.raises(TypeError):
                writer.writelines([1])

        run(main)

    def test_its_reader_is_a_reader(self, run, connect, impl):
        async def main():
            each, loop = connect(), asyncio.get_running_loop()
            each.transport.closing = True
            writer = impl.StreamWriter(each.transport, each.protocol, None, loop)
            await writer.drain()
            assert repr(writer) == f"<StreamWriter transport={each.transport!r}>"

        run(main)

    def test_attributes(self, run, connect):
        async def main():
            each = connect()
            assert each.writer._transport is each.transport
            assert each.writer._protocol is each.protocol
            assert each.writer._reader is each.reader
            assert each.writer._loop is asyncio.get_running_loop()
            assert each.writer._complete_fut.done()
            assert each.writer._complete_fut.result() is None
            other = each.writer._transport = Transport()
            assert each.writer.transport is other
            each.writer.write(b"x")
            assert other.written == b"x"
            other.closing = True
            assert isinstance(each.writer, asyncio.StreamWriter)

        run(main)

    def test_repr(self, run, connect):
        async def main():
            each = connect()
            expected = f"<StreamWriter transport={each.transport!r} reader={each.reader!r}>"
            assert repr(each.writer) == expected

        run(main)

    def test_of_a_subclass(self, run, connect, impl):
        calls = []

        class Writer(impl.StreamWriter):
            def write(self, data):
                calls.append(data)
                super().write(data.upper())

            async def drain(self):
                calls.append("drain")
                await super().drain()

        async def main():
            each = connect()
            writer = Writer(each.transport, each.protocol, each.reader, asyncio.get_running_loop())
            writer.write(b"x")
            await writer.drain()
            assert calls == [b"x", "drain"]
            assert each.transport.written == b"X"
            assert repr(writer).startswith("<Writer transport=")
            each.transport.closing = True

        run(main)


class TestDrain:
    def test_does_not_give_way(self, run, connect):
        async def main():
            each, ran = connect(), []
            asyncio.get_running_loop().call_soon(ran.append, True)
            for _ in range(3):
                assert await each.writer.drain() is None
            assert ran == []

        run(main)

    def test_several_wait(self, run, connect):
        async def main():
            each = connect()
            each.protocol.pause_writing()
            tasks = [await waiting(each.writer.drain()) for _ in range(5)]
            assert len(each.protocol._drain_waiters) == 5
            tasks[1].cancel()
            await turns()
            assert len(each.protocol._drain_waiters) == 4
            each.protocol.resume_writing()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [
                asyncio.CancelledError if number == 1 else type(None) for number in range(5)
            ]
            assert len(each.protocol._drain_waiters) == 0

        run(main)

    @pytest.mark.parametrize("error", [None, ConnectionResetError("reset by peer")])
    def test_the_connection_is_lost_meanwhile(self, run, connect, error):
        async def main():
            each = connect()
            each.protocol.pause_writing()
            tasks = [await waiting(each.writer.drain()) for _ in range(3)]
            each.protocol.connection_lost(error)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert results == [error] * 3

        run(main)

    def test_after_the_connection_was_lost(self, run, connect):
        async def main():
            each = connect()
            each.protocol.connection_lost(None)
            with pytest.raises(ConnectionResetError, match=r"^Connection lost$"):
                await each.writer.drain()
            each = connect()
            each.protocol.connection_lost(OSError("broken"))
            with pytest.raises(OSError, match="broken"):
                await each.writer.drain()

        run(main)

    def test_gives_way_while_closing(self, run, connect):
        async def main():
            each, ran = connect(), []
            each.writer.close()
            asyncio.get_running_loop().call_soon(ran.append, True)
            await each.writer.drain()
            assert ran == [True]
            asyncio.get_running_loop().call_soon(each.protocol.connection_lost, None)
            with pytest.raises(ConnectionResetError, match="Connection lost"):
                await each.writer.drain()

        run(main)

    def test_cancelled_while_closing(self, run, connect):
        async def main():
            each = connect()
            each.writer.close()
            task = asyncio.ensure_future(each.writer.drain())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main)

    def test_asks_the_reader_of_a_subclass(self, run, connect, impl):
        class Reader(impl.StreamReader):
            def exception(self):
                return ZeroDivisionError("mine")

        async def main():
            with pytest.raises(ZeroDivisionError, match="mine"):
                await connect(reader_class=Reader).writer.drain()

        run(main)

    def test_asks_the_protocol_of_a_subclass(self, run, connect, impl):
        calls = []

        class Protocol(impl.StreamReaderProtocol):
            async def _drain_helper(self):
                calls.append("drain")
                await super()._drain_helper()

            def _get_close_waiter(self, stream):
                calls.append(stream)
                return super()._get_close_waiter(stream)

        async def main():
            each = connect(protocol_class=Protocol)
            await each.writer.drain()
            each.protocol.connection_lost(None)
            await each.writer.wait_closed()
            assert calls == ["drain", each.writer]
            calls.clear()

        run(main)

    def test_waits_again(self, run, connect):
        async def main():
            each = connect()
            for _ in range(3):
                each.protocol.pause_writing()
                task = await waiting(each.writer.drain())
                each.protocol.resume_writing()
                await task
            await each.writer.drain()

        run(main)


class TestFlowControl:
    def test_states(self, run, flow_control):
        async def main():
            flow = flow_control()
            assert flow._loop is asyncio.get_running_loop()
            assert (flow._paused, flow._connection_lost) == (False, False)
            with pytest.raises(AssertionError):
                flow.resume_writing()
            flow.pause_writing()
            assert flow._paused
            with pytest.raises(AssertionError):
                flow.pause_writing()
            flow.resume_writing()
            await flow._drain_helper()
            flow.connection_lost(None)
            assert flow._connection_lost
            with pytest.raises(ConnectionResetError, match=r"^Connection lost$"):
                await flow._drain_helper()
            with pytest.raises(NotImplementedError):
                flow._get_close_waiter(None)

        run(main)

    def test_a_protocol_of_ones_own(self, run, flow_control, impl):
        class Protocol(flow_control, asyncio.Protocol):
            def __init__(self):
                super().__init__(loop=asyncio.get_running_loop())
                self.closed = self._loop.create_future()

            def _get_close_waiter(self, stream):
                return self.closed

        async def main():
            protocol, transport = Protocol(), Transport()
            writer = impl.StreamWriter(transport, protocol, None, asyncio.get_running_loop())
            protocol.pause_writing()
            task = await waiting(writer.drain())
            protocol.resume_writing()
            await task
            closed = await waiting(writer.wait_closed())
            protocol.closed.set_result(None)
            await closed
            transport.closing = True

        run(main)


class TestWaitClosed:
    def test_before_and_after(self, run, connect):
        async def main():
            each = connect()
            tasks = [await waiting(each.writer.wait_closed()) for _ in range(2)]
            each.writer.close()
            each.protocol.connection_lost(None)
            assert await asyncio.gather(*tasks) == [None, None]
            for _ in range(2):
                await each.writer.wait_closed()

        run(main)

    def test_raises_what_the_connection_ended_with(self, run, connect):
        async def main():
            each = connect()
            task = await waiting(each.writer.wait_closed())
            error = ConnectionResetError("reset")
            each.protocol.connection_lost(error)
            assert (await asyncio.gather(task, return_exceptions=True))[0] is error
            with pytest.raises(ConnectionResetError, match="reset"):
                await each.writer.wait_closed()

        run(main)

    def test_cancelling_one_cancels_the_future(self, run, connect):
        async def main():
            each = connect()
            task = await waiting(each.writer.wait_closed())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            each.protocol.connection_lost(ValueError("late"))
            with pytest.raises(asyncio.CancelledError):
                await each.writer.wait_closed()

        run(main)

    def test_an_error_nobody_looks_at_is_not_reported(self, run, connect):
        async def main():
            connection = connect()
            connection.protocol.connection_lost(ValueError("unseen"))

        run(main)
        gc.collect()
