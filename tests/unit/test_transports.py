"""Socket transports: what a protocol is told, writing and its flow control, closing, extra information."""

import asyncio
import contextlib
import gc
import logging
import math
import socket
import sys

import pytest

from tests.unit.protocols import LARGE, Recorder, drain_peer, one_poll, receive, tcp_pair


class TestProtocolCalls:
    def test_data_and_eof(self, connect, run):
        async def main():
            _, protocol, peer = await connect()
            peer.sendall(b"hello")
            assert await protocol.received(5) == b"hello"
            peer.shutdown(socket.SHUT_WR)
            assert await protocol.lost is None
            return protocol.order

        assert run(main()) == ["made", "data", "eof", ("lost", None)]

    def test_connection_made_comes_before_create_connection_returns(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            assert protocol.events == ["made"]
            assert protocol.transport is transport
            transport.close()
            await protocol.lost

        run(main())

    def test_data_that_was_there_before_comes_after_connection_made(self, loop, pair, run):
        ours, peer = pair
        peer.sendall(b"early")
        peer.shutdown(socket.SHUT_WR)

        async def main():
            _, protocol = await loop.create_connection(Recorder, sock=ours)
            await protocol.lost
            return protocol.order, bytes(protocol.data)

        assert run(main()) == (["made", "data", "eof", ("lost", None)], b"early")

    def test_every_byte_arrives_in_order(self, connect, run, loop):
        payload = bytes(range(256)) * 16384

        async def main():
            transport, protocol, peer = await connect()
            peer.setblocking(False)
            sender = loop.create_task(loop.sock_sendall(peer, payload))
            assert await protocol.received(len(payload)) == payload
            await sender
            transport.close()
            await protocol.lost

        run(main())

    def test_reset_by_the_peer(self, connect, run):
        async def main():
            _, protocol, peer = await connect()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            error = await protocol.lost
            assert isinstance(error, ConnectionResetError)
            return protocol.order[0], len(protocol.order)

        assert run(main()) == ("made", 2)

    def test_keep_open_after_eof(self, connect, run):
        async def main():
            transport, protocol, peer = await connect(lambda: Recorder(keep_open=True))
            peer.sendall(b"question")
            peer.shutdown(socket.SHUT_WR)
            await protocol.until(lambda: "eof" in protocol.events)
            assert not transport.is_closing()
            transport.write(b"answer")
            transport.close()
            assert await protocol.lost is None
            return receive(peer, 100)

        assert run(main()) == b"answer"

    def test_write_inside_data_received(self, connect, run):
        class Echo(Recorder):
            def data_received(self, data):
                super().data_received(data)
                self.transport.write(data)

        async def main():
            transport, protocol, peer = await connect(Echo)
            peer.sendall(b"ping")
            await protocol.received(4)
            assert receive(peer, 4) == b"ping"
            transport.close()
            await protocol.lost

        run(main())

    def test_close_inside_connection_made(self, connect, run):
        class Closing(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                transport.close()

        async def main():
            _, protocol, peer = await connect(Closing)
            peer.sendall(b"never read")
            assert await protocol.lost is None
            return protocol.events

        assert run(main()) == ["made", ("lost", None)]

    def test_close_inside_data_received_stops_reading(self, connect, run):
        class Closing(Recorder):
            def data_received(self, data):
                super().data_received(data)
                self.transport.close()

        async def main():
            _, protocol, peer = await connect(Closing)
            peer.sendall(b"first")
            await protocol.lost
            return protocol.order

        assert run(main()) == ["made", "data", ("lost", None)]

    def test_callbacks_run_in_the_context_of_the_connection(self, connect, run):
        import contextvars

        variable = contextvars.ContextVar("variable", default="default")
        seen = []

        class Looking(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                seen.append(variable.get())

            def connection_lost(self, error):
                seen.append(variable.get())
                super().connection_lost(error)

        async def main():
            variable.set("connecting")
            transport, protocol, _ = await connect(Looking)
            transport.close()
            await protocol.lost

        run(main())
        assert seen == ["connecting", "connecting"]


class TestReading:
    def test_pause_and_resume(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            assert transport.is_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            peer.sendall(b"later")
            await one_poll(asyncio.get_running_loop())
            assert not protocol.data
            transport.resume_reading()
            assert transport.is_reading()
            assert await protocol.received(5) == b"later"
            transport.close()
            assert not transport.is_reading()
            await protocol.lost

        run(main())

    def test_pausing_and_resuming_twice_is_harmless(self, connect, run):
        async def main():
            transport, protocol, peer = await connect()
            transport.pause_reading()
            transport.pause_reading()
            transport.resume_reading()
            transport.resume_reading()
            peer.sendall(b"once")
            assert await protocol.received(4) == b"once"
            transport.close()
            await protocol.lost
            transport.pause_reading()
            transport.resume_reading()
            assert not transport.is_reading()

        run(main())

    def test_pause_inside_connection_made(self, connect, run):
        class Paused(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                transport.pause_reading()

        async def main():
            transport, protocol, peer = await connect(Paused)
            peer.sendall(b"held")
            await one_poll(asyncio.get_running_loop())
            assert protocol.events == ["made"]
            transport.resume_reading()
            await protocol.received(4)
            transport.close()
            await protocol.lost

        run(main())

    def test_pause_inside_data_received(self, connect, run, loop):
        class OneAtATime(Recorder):
            def data_received(self, data):
                super().data_received(data)
                self.transport.pause_reading()

        async def main():
            transport, protocol, peer = await connect(OneAtATime)
            peer.sendall(b"one")
            await protocol.received(3)
            peer.sendall(b"two")
            await one_poll(asyncio.get_running_loop())
            assert protocol.data == b"one"
            transport.resume_reading()
            assert await protocol.received(6) == b"onetwo"
            transport.close()
            await protocol.lost

        run(main())

    def test_eof_is_seen_only_when_reading(self, connect, run):
        async def main():
            transport, protocol, peer = await connect()
            transport.pause_reading()
            peer.shutdown(socket.SHUT_WR)
            await one_poll(asyncio.get_running_loop())
            assert protocol.events == ["made"]
            transport.resume_reading()
            await protocol.lost
            return protocol.order

        assert run(main()) == ["made", "eof", ("lost", None)]


class TestWriting:
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_kinds_of_data(self, connect, run, kind):
        async def main():
            transport, protocol, peer = await connect()
            transport.write(kind(b"data"))
            transport.write(b"")
            transport.close()
            await protocol.lost
            return receive(peer, 100)

        assert run(main()) == b"data"

    def test_memoryview_of_wider_items(self, connect, run):
        import array

        numbers = array.array("I", range(1000))

        async def main():
            transport, protocol, peer = await connect()
            transport.write(memoryview(numbers))
            transport.close()
            await protocol.lost
            return receive(peer, 10000)

        assert run(main())[: len(numbers)] == numbers.tobytes()[: len(numbers)]

    def test_a_buffer_changed_after_write(self, connect, run, loop):
        """What is still unsent when write() returns must not follow later changes of the caller's buffer."""

        async def main():
            transport, protocol, peer = await connect()
            transport.write(b"x" * LARGE)
            data = bytearray(b"before")
            transport.write(data)
            if transport.get_write_buffer_size() > LARGE:
                pytest.fail("more is kept than was written")
            transport.close()
            received = await drain_peer(loop, peer, LARGE + 6)
            await protocol.lost
            return received[LARGE:]

        assert run(main()) == b"before"

    def test_writelines(self, connect, run):
        async def main():
            transport, protocol, peer = await connect()
            transport.writelines([b"one", bytearray(b"two"), memoryview(b"three")])
            transport.writelines([])
            transport.writelines(iter([b"four"]) if sys.version_info < (3, 12) else [b"four"])
            transport.close()
            await protocol.lost
            return receive(peer, 100)

        assert run(main()) == b"onetwothreefour"

    def test_writelines_of_more_chunks_than_one_call_takes(self, connect, run, loop):
        chunks = [bytes([number % 251]) * 700 for number in range(5000)]

        async def main():
            transport, protocol, peer = await connect()
            transport.writelines(chunks)
            transport.write(b"end")
            transport.close()
            data = await drain_peer(loop, peer, 700 * 5000 + 3)
            await protocol.lost
            return data

        assert run(main()) == b"".join(chunks) + b"end"

    def test_order_of_many_writes_under_pressure(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            expected = bytearray()
            for number in range(300):
                chunk = number.to_bytes(4, "big") * (1 + 37 * (number % 50))
                expected += chunk
                transport.write(chunk * 50)
            transport.close()
            received = await drain_peer(loop, peer, len(expected) * 50)
            await protocol.lost
            return len(received), received == b"".join(
                number.to_bytes(4, "big") * (1 + 37 * (number % 50)) * 50 for number in range(300)
            )

        assert run(main())[1]

    def test_write_buffer_size(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            assert transport.get_write_buffer_size() == 0
            transport.write(b"small")
            transport.write(b"x" * LARGE)
            first = transport.get_write_buffer_size()
            assert 0 < first <= LARGE + 5
            transport.write(b"y" * 1000)
            assert transport.get_write_buffer_size() == first + 1000
            await drain_peer(loop, peer, LARGE + 1005)
            while transport.get_write_buffer_size():
                await asyncio.sleep(0)
            transport.close()
            await protocol.lost

        run(main())

    def test_write_after_close_is_ignored(self, connect, run, caplog):
        async def main():
            transport, protocol, peer = await connect()
            transport.close()
            transport.write(b"too late")
            await protocol.lost
            return receive(peer, 100)

        with caplog.at_level(logging.WARNING, "asyncio"):
            assert run(main()) == b""

    def test_writes_after_the_connection_was_lost_are_logged(self, connect, run, caplog):
        """The first few are let pass; from the fifth on each is logged, and none raises."""

        async def main():
            transport, protocol, _ = await connect()
            transport.abort()
            for _ in range(7):
                transport.write(b"data")
            await protocol.lost

        run(main())
        messages = [record.getMessage() for record in caplog.records]
        assert messages == ["socket.send() raised exception."] * 3

    @pytest.mark.yibu_only(since=(3, 12), before=(3, 14))  # stock failed
    def test_writelines_after_the_connection_was_lost(self, connect, run, caplog):
        async def main():
            transport, protocol, _ = await connect()
            transport.abort()
            for _ in range(7):
                transport.writelines([b"data"])
            await protocol.lost

        run(main())
        messages = [record.getMessage() for record in caplog.records]
        assert messages == ["socket.send() raised exception."] * 3

    @pytest.mark.yibu_only(since=(3, 12), before=(3, 14))  # stock kept an empty chunk for ever
    def test_empty_chunks(self, connect, run):
        async def main():
            transport, protocol, peer = await connect()
            transport.writelines([b"", b"a", b"", bytearray(), b"b", memoryview(b"")])
            transport.writelines([b"", b""])
            assert transport.get_write_buffer_size() == 0
            transport.close()
            await protocol.lost
            return receive(peer, 10)

        assert run(main()) == b"ab"

    def test_write_to_a_peer_that_is_gone(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect(lambda: Recorder(keep_open=True))
            transport.pause_reading()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            while not transport.is_closing():
                transport.write(b"into the void")
                await asyncio.sleep(0)
            return await protocol.lost

        assert isinstance(run(main()), (BrokenPipeError, ConnectionResetError))


class TestFlowControl:
    def test_limits(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            limits = [transport.get_write_buffer_limits()]
            for arguments in (
                {},
                {"high": 1000},
                {"low": 100},
                {"high": 10, "low": 5},
                {"high": 0},
                {"low": 0},
            ):
                transport.set_write_buffer_limits(**arguments)
                limits.append(transport.get_write_buffer_limits())
            for bad in ({"high": 1, "low": 2}, {"low": -1}, {"high": -1}):
                with pytest.raises(ValueError, match=r"^high \(.*\) must be >= low \(.*\) must be >= 0$"):
                    transport.set_write_buffer_limits(**bad)
            transport.close()
            await protocol.lost
            return limits

        default = (16384, 65536)
        assert run(main()) == [default, default, (250, 1000), (100, 400), (5, 10), (0, 0), (0, 0)]

    def test_pause_and_resume(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            transport.set_write_buffer_limits(high=1000, low=100)
            transport.write(b"x" * LARGE)
            assert protocol.events == ["made", "pause"]
            transport.write(b"y")
            assert protocol.events == ["made", "pause"]
            await drain_peer(loop, peer, LARGE + 1)
            await protocol.until(lambda: "resume" in protocol.events)
            assert transport.get_write_buffer_size() <= 100
            transport.write(b"x" * LARGE)
            assert protocol.events == ["made", "pause", "resume", "pause"]
            await drain_peer(loop, peer, LARGE)
            await protocol.until(lambda: protocol.events.count("resume") == 2)
            transport.close()
            await protocol.lost
            return protocol.events

        assert run(main()) == ["made", "pause", "resume", "pause", "resume", ("lost", None)]

    def test_nothing_is_paused_when_all_is_sent_at_once(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            transport.set_write_buffer_limits(high=0)
            for _ in range(100):
                transport.write(b"small")
            transport.close()
            await protocol.lost
            return protocol.events

        assert run(main()) == ["made", ("lost", None)]

    def test_limits_that_are_no_numbers(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            for high, low in (math.nan, None), (math.inf, None), (None, math.nan), (math.nan, math.nan):
                with pytest.raises(ValueError, match=r"must be >= low .* must be >= 0"):
                    transport.set_write_buffer_limits(high, low)
            transport.set_write_buffer_limits(math.inf, 5)
            transport.abort()
            await protocol.lost

        run(main())

    def test_setting_limits_below_the_size_pauses_at_once(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            transport.set_write_buffer_limits(high=2 * LARGE)
            transport.write(b"x" * LARGE)
            assert "pause" not in protocol.events
            transport.set_write_buffer_limits(high=10)
            paused = "pause" in protocol.events
            transport.write(b"y")
            assert "pause" in protocol.events
            await drain_peer(loop, peer, LARGE + 1)
            transport.close()
            await protocol.lost
            return paused

        assert run(main()) is True

    def test_a_failing_pause_writing_is_reported(self, connect, run, loop, reports):
        class Failing(Recorder):
            def pause_writing(self):
                super().pause_writing()
                raise ZeroDivisionError("pause")

            def resume_writing(self):
                super().resume_writing()
                raise ZeroDivisionError("resume")

        async def main():
            transport, protocol, peer = await connect(Failing)
            transport.write(b"x" * LARGE)
            assert await drain_peer(loop, peer, LARGE) == b"x" * LARGE
            await protocol.until(lambda: "resume" in protocol.events)
            transport.close()
            await protocol.lost
            return transport, protocol

        transport, protocol = run(main())
        assert [context["message"] for context in reports] == [
            "protocol.pause_writing() failed",
            "protocol.resume_writing() failed",
        ]
        for context in reports:
            assert set(context) == {"message", "exception", "transport", "protocol"}
            assert context["transport"] is transport and context["protocol"] is protocol

    @pytest.mark.yibu_only(since=(3, 12), before=(3, 14))  # stock did not look at the limits here
    def test_writelines_pauses_too(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            transport.writelines([b"x" * LARGE, b"y"])
            assert protocol.events == ["made", "pause"]
            await drain_peer(loop, peer, LARGE + 1)
            await protocol.until(lambda: "resume" in protocol.events)
            transport.close()
            await protocol.lost

        run(main())

    def test_resume_comes_before_connection_lost(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            transport.write(b"x" * LARGE)
            transport.close()
            await drain_peer(loop, peer, LARGE)
            await protocol.lost
            return protocol.events

        assert run(main()) == ["made", "pause", "resume", ("lost", None)]


class TestHalfClose:
    def test_write_eof(self, connect, run):
        async def main():
            transport, protocol, peer = await connect()
            assert transport.can_write_eof() is True
            transport.write(b"request")
            transport.write_eof()
            assert receive(peer, 100) == b"request"
            peer.sendall(b"response")
            assert await protocol.received(8) == b"response"
            peer.close()
            assert await protocol.lost is None

        run(main())

    def test_write_eof_waits_for_the_buffer(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            transport.write(b"x" * LARGE)
            transport.write_eof()
            data = await drain_peer(loop, peer, LARGE + 1)
            peer.close()
            await protocol.lost
            return data == b"x" * LARGE

        assert run(main())

    def test_write_after_write_eof(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            transport.write_eof()
            transport.write_eof()
            with pytest.raises(RuntimeError, match=r"^Cannot call write\(\) after write_eof\(\)$"):
                transport.write(b"late")
            transport.close()
            await protocol.lost

        run(main())

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="writelines was write in 3.11")
    def test_writelines_after_write_eof(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            transport.write_eof()
            with pytest.raises(RuntimeError, match=r"^Cannot call writelines\(\) after write_eof\(\)$"):
                transport.writelines([b"late"])
            transport.close()
            await protocol.lost

        run(main())

    def test_write_eof_after_close(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            transport.close()
            transport.write_eof()
            await protocol.lost

        run(main())


class TestClosing:
    def test_close(self, connect, run):
        async def main():
            transport, protocol, peer = await connect()
            assert transport.is_closing() is False
            assert transport.close() is None
            assert transport.is_closing() is True
            assert not protocol.lost.done()
            transport.close()
            assert await protocol.lost is None
            return receive(peer, 1), protocol.events

        assert run(main()) == (b"", ["made", ("lost", None)])

    def test_close_flushes(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            transport.write(b"x" * LARGE)
            transport.close()
            assert not protocol.lost.done()
            data = await drain_peer(loop, peer, LARGE + 1)
            assert await protocol.lost is None
            return len(data)

        assert run(main()) == LARGE

    def test_abort_drops_the_buffer(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            transport.write(b"x" * LARGE)
            assert transport.abort() is None
            assert transport.is_closing()
            assert transport.get_write_buffer_size() == 0
            assert await protocol.lost is None
            with contextlib.suppress(ConnectionResetError):
                assert len(await drain_peer(loop, peer, LARGE)) < LARGE

        run(main())

    def test_abort_while_closing(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            transport.write(b"x" * LARGE)
            transport.close()
            transport.abort()
            transport.abort()
            assert await protocol.lost is None
            return protocol.events.count(("lost", None))

        assert run(main()) == 1

    def test_connection_lost_comes_on_a_later_turn(self, connect, run):
        async def main():
            transport, protocol, _ = await connect()
            transport.abort()
            assert "lost" not in str(protocol.events)
            await protocol.lost

        run(main())

    def test_the_descriptor_is_closed(self, connect, run, pair):
        async def main():
            transport, protocol, _ = await connect()
            descriptor = pair[0].fileno()
            transport.close()
            await protocol.lost
            await asyncio.sleep(0)
            return descriptor

        assert run(main()) >= 0
        assert pair[0].fileno() == -1

    def test_unclosed_transport_warns(self, loop, run):
        ours, peer = tcp_pair()

        async def main():
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            transport.pause_reading()  # now nobody refers to it any more

        with pytest.warns(ResourceWarning, match=r"unclosed transport <"):
            run(main())
            gc.collect()
        assert ours.fileno() == -1
        peer.close()

    def test_peer_closing_both_ways_while_we_write(self, connect, run, loop):
        async def main():
            transport, protocol, peer = await connect()
            transport.write(b"x" * LARGE)
            peer.close()
            error = await protocol.lost
            return error is None or isinstance(error, OSError)

        assert run(main())
