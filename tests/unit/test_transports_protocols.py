"""Socket transports: protocols that raise, that receive into buffers, that change; transports as objects."""

import asyncio
import gc
import socket
import weakref

import pytest

from tests.unit.protocols import LARGE, BufferedRecorder, Recorder, receive, tcp_pair


class TestRaisingProtocols:
    """A protocol method that raises closes its own connection, is reported, and disturbs nobody else."""

    def run_one(self, run, connect, factory, provoke):
        async def main():
            transport, protocol, peer = await connect(factory)
            await provoke(transport, protocol, peer)
            return transport, protocol

        return run(main())

    def check(self, reports, text, transport, protocol):
        (context,) = reports
        assert context["message"] == text
        assert isinstance(context["exception"], ZeroDivisionError)
        assert context["transport"] is transport
        assert context["protocol"] is protocol

    def test_data_received(self, run, connect, reports):
        class Failing(Recorder):
            def data_received(self, data):
                raise ZeroDivisionError

        async def provoke(transport, protocol, peer):
            peer.sendall(b"data")
            assert isinstance(await protocol.lost, ZeroDivisionError)

        transport, protocol = self.run_one(run, connect, Failing, provoke)
        self.check(reports, "Fatal error: protocol.data_received() call failed.", transport, protocol)

    def test_eof_received(self, run, connect, reports):
        class Failing(Recorder):
            def eof_received(self):
                raise ZeroDivisionError

        async def provoke(transport, protocol, peer):
            peer.shutdown(socket.SHUT_WR)
            assert isinstance(await protocol.lost, ZeroDivisionError)

        transport, protocol = self.run_one(run, connect, Failing, provoke)
        self.check(reports, "Fatal error: protocol.eof_received() call failed.", transport, protocol)

    def test_get_buffer(self, run, connect, reports):
        class Failing(BufferedRecorder):
            def get_buffer(self, sizehint):
                raise ZeroDivisionError

        async def provoke(transport, protocol, peer):
            peer.sendall(b"data")
            assert isinstance(await protocol.lost, ZeroDivisionError)

        transport, protocol = self.run_one(run, connect, Failing, provoke)
        self.check(reports, "Fatal error: protocol.get_buffer() call failed.", transport, protocol)

    def test_buffer_updated(self, run, connect, reports):
        class Failing(BufferedRecorder):
            def buffer_updated(self, count):
                raise ZeroDivisionError

        async def provoke(transport, protocol, peer):
            peer.sendall(b"data")
            assert isinstance(await protocol.lost, ZeroDivisionError)

        transport, protocol = self.run_one(run, connect, Failing, provoke)
        self.check(reports, "Fatal error: protocol.buffer_updated() call failed.", transport, protocol)

    def test_connection_made(self, run, connect, reports, loop):
        class Failing(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                raise ZeroDivisionError

        async def main():
            transport, protocol, _ = await connect(Failing)
            transport.abort()
            await protocol.lost

        run(main())
        (context,) = reports
        assert context["message"].startswith("Exception in callback ")
        assert "connection_made" in context["message"]
        assert isinstance(context["exception"], ZeroDivisionError)

    def test_connection_lost(self, run, connect, reports, pair):
        class Failing(Recorder):
            def connection_lost(self, error):
                super().connection_lost(error)
                raise ZeroDivisionError

        async def main():
            transport, protocol, _ = await connect(Failing)
            transport.close()
            await protocol.lost
            await asyncio.sleep(0)

        run(main())
        (context,) = reports
        assert context["message"].startswith("Exception in callback ")
        assert isinstance(context["exception"], ZeroDivisionError)
        assert pair[0].fileno() == -1

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_exits_leave_the_loop(self, loop, pair, kind):
        ours, peer = pair

        class Failing(Recorder):
            def data_received(self, data):
                raise kind

        async def main():
            transport, protocol = await loop.create_connection(Failing, sock=ours)
            peer.sendall(b"data")
            box.append((transport, protocol))
            await protocol.lost

        box = []
        with pytest.raises(kind):
            loop.run_until_complete(main())
        transport, protocol = box[0]
        transport.abort()
        assert loop.run_until_complete(protocol.lost) is None

    def test_an_os_error_of_the_network_is_not_reported_outside_debug_mode(self, run, connect):
        async def main():
            _, protocol, peer = await connect()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            assert isinstance(await protocol.lost, ConnectionResetError)

        run(main())


class TestBufferedProtocol:
    def test_receives_into_the_protocols_buffer(self, run, connect):
        async def main():
            _, protocol, peer = await connect(BufferedRecorder)
            peer.sendall(bytes(range(256)))
            assert await protocol.received(256) == bytes(range(256))
            peer.shutdown(socket.SHUT_WR)
            assert await protocol.lost is None
            assert all(hint == -1 for hint in protocol.hints)
            return protocol.events

        events = run(main())
        assert events == [64, 64, 64, 64, "eof"]

    def test_memoryview_and_array_buffers(self, run, connect):
        import array

        for make in (lambda: memoryview(bytearray(16)), lambda: array.array("b", bytes(16))):
            buffers = make()

            class Own(BufferedRecorder):
                def get_buffer(self, sizehint, buffers=buffers):
                    return buffers

                def buffer_updated(self, count, buffers=buffers):
                    self.data += bytes(buffers)[:count]
                    self._changed.set()

            async def main(factory=Own):
                ours, peer = tcp_pair()
                transport, protocol = await asyncio.get_running_loop().create_connection(factory, sock=ours)
                peer.sendall(b"into it")
                assert await protocol.received(7) == b"into it"
                transport.close()
                await protocol.lost
                peer.close()

            run(main())

    def test_empty_buffer(self, run, connect, reports):
        class Empty(BufferedRecorder):
            def get_buffer(self, sizehint):
                return bytearray()

        async def main():
            _, protocol, peer = await connect(Empty)
            peer.sendall(b"data")
            return await protocol.lost

        assert str(run(main())) == "get_buffer() returned an empty buffer"
        assert [context["message"] for context in reports] == [
            "Fatal error: protocol.get_buffer() call failed."
        ]

    @pytest.mark.parametrize("returned", [None, b"read only", 5])
    def test_what_is_no_writable_buffer(self, run, connect, reports, returned):
        class Bad(BufferedRecorder):
            def get_buffer(self, sizehint):
                return returned

        async def main():
            _, protocol, peer = await connect(Bad)
            peer.sendall(b"data")
            return await protocol.lost

        assert isinstance(run(main()), (TypeError, BufferError))
        assert len(reports) == 1

    def test_switching_protocols(self, run, connect):
        async def main():
            transport, plain, peer = await connect()
            peer.sendall(b"plain")
            await plain.received(5)
            buffered = BufferedRecorder()
            transport.set_protocol(buffered)
            assert transport.get_protocol() is buffered
            peer.sendall(b"buffered")
            assert await buffered.received(8) == b"buffered"
            transport.set_protocol(plain)
            peer.sendall(b"again")
            assert await plain.received(10) == b"plainagain"
            transport.close()
            await plain.lost
            assert not buffered.lost.done()

        run(main())

    def test_switching_inside_data_received(self, run, connect):
        """The rest of the stream goes to the new protocol, from the next piece that is read."""

        async def main():
            second = Recorder()

            class First(Recorder):
                def data_received(self, data):
                    super().data_received(data)
                    self.transport.set_protocol(second)

            transport, first, peer = await connect(First)
            peer.sendall(b"first")
            await first.received(5)
            peer.sendall(b"second")
            assert await second.received(6) == b"second"
            transport.close()
            await second.lost
            return bytes(first.data)

        assert run(main()) == b"first"


class TestObject:
    def test_instance_checks(self, run, connect):
        async def main():
            transport, protocol, _ = await connect()
            assert isinstance(transport, asyncio.Transport)
            assert isinstance(transport, asyncio.BaseTransport)
            transport.close()
            await protocol.lost

        run(main())

    def test_extra_info(self, run, connect, pair):
        async def main():
            transport, protocol, peer = await connect()
            sock = transport.get_extra_info("socket")
            assert isinstance(sock, asyncio.trsock.TransportSocket)
            assert sock.fileno() == pair[0].fileno()
            assert transport.get_extra_info("sockname") == peer.getpeername()
            assert transport.get_extra_info("peername") == peer.getsockname()
            assert transport.get_extra_info("nothing") is None
            assert transport.get_extra_info("nothing", "default") == "default"
            transport.close()
            await protocol.lost
            assert transport.get_extra_info("peername") == peer.getsockname()

        run(main())

    def test_repr(self, run, connect, pair):
        async def main():
            transport, protocol, _ = await connect()
            descriptor = pair[0].fileno()
            seen = [repr(transport)]
            transport.pause_reading()
            seen.append(repr(transport))
            transport.write(b"x" * LARGE)
            size = transport.get_write_buffer_size()
            seen.append(repr(transport))
            transport.abort()
            seen.append(repr(transport))
            await protocol.lost
            await asyncio.sleep(0)
            seen.append(repr(transport))
            return type(transport).__name__, descriptor, size, seen

        name, descriptor, size, seen = run(main())
        start = f"<{name} "
        assert seen[0] == f"{start}fd={descriptor} read=polling write=<idle, bufsize=0>>"
        assert seen[1] == f"{start}fd={descriptor} read=idle write=<idle, bufsize=0>>"
        assert seen[2] == f"{start}fd={descriptor} read=idle write=<polling, bufsize={size}>>"
        assert seen[3] == f"{start}closing fd={descriptor} read=idle write=<idle, bufsize=0>>"
        assert seen[4] == f"{start}closed fd={descriptor}>"

    def test_methods_may_be_replaced_on_the_instance(self, run, connect):
        async def main():
            transport, protocol, peer = await connect()
            written = []
            original = transport.write
            transport.write = lambda data: (written.append(data), original(data))
            transport.write(b"seen")
            assert receive(peer, 4) == b"seen"
            transport.anything = 1
            transport.close()
            await protocol.lost
            return written

        assert run(main()) == [b"seen"]

    def test_subclass_of_its_class(self, run, connect):
        async def main():
            transport, protocol, _ = await connect()

            class Own(type(transport)):
                """A subclass may be made, whoever needs one."""

            transport.close()
            await protocol.lost
            return issubclass(Own, asyncio.Transport)

        assert run(main())

    def test_weak_reference(self, run, connect):
        async def main():
            transport, protocol, _ = await connect()
            reference = weakref.ref(transport)
            assert reference() is transport
            transport.close()
            await protocol.lost
            protocol.transport = None
            del transport
            await asyncio.sleep(0)
            gc.collect()
            return reference()

        assert run(main()) is None

    def test_nothing_keeps_a_closed_connection(self, run, connect):
        async def main():
            transport, protocol, _ = await connect()
            references = [weakref.ref(transport), weakref.ref(protocol)]
            transport.close()
            await protocol.lost
            del transport, protocol
            await asyncio.sleep(0)
            gc.collect()
            return [reference() for reference in references]

        assert run(main()) == [None, None]

    def test_protocol_without_any_method(self, loop, run):
        """The base class is a protocol: it ignores everything, and its connection ends at end of file."""
        ours, peer = tcp_pair()

        async def main():
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            peer.sendall(b"ignored")
            peer.shutdown(socket.SHUT_WR)
            while not transport.is_closing():
                await asyncio.sleep(0)
            await asyncio.sleep(0)

        run(main())
        peer.close()

    def test_protocol_that_is_no_protocol(self, loop, run, reports):
        """Duck typing is enough, and a missing method is reported as the failure of a callback."""
        ours, peer = tcp_pair()

        class Duck:
            def connection_made(self, transport):
                self.transport = transport

            def connection_lost(self, error):
                lost.set_result(error)

        async def main():
            await loop.create_connection(Duck, sock=ours)
            peer.sendall(b"quack")
            return await lost

        lost = loop.create_future()
        assert isinstance(run(main()), AttributeError)
        assert reports[0]["message"] == "Fatal error: protocol.data_received() call failed."
        peer.close()
