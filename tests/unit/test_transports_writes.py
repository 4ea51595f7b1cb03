"""Socket transports: what was written reaches the peer, whatever happens in the callback that wrote it."""

import asyncio
import signal
import socket
import threading

import pytest

from tests.unit.programs import turn
from tests.unit.protocols import Recorder, receive, tcp_pair

PIECES = [b"one ", b"two ", b"three ", b"four"]
WHOLE = b"".join(PIECES)


@pytest.fixture
def opened(loop, run):
    """A transport that is open, its protocol, and the blocking peer."""
    ours, peer = tcp_pair()

    async def open_it():
        return await loop.create_connection(Recorder, sock=ours)

    transport, protocol = run(open_it())
    yield transport, protocol, peer
    if not loop.is_closed():
        transport.abort()
        run(protocol.lost)
    peer.close()


def write_all(transport):
    for piece in PIECES:
        transport.write(piece)


class TestWhereverItIsWritten:
    @pytest.mark.parametrize(
        "schedule",
        [
            lambda loop, call: loop.call_soon(call),
            lambda loop, call: loop.call_soon_threadsafe(call),
            lambda loop, call: loop.call_later(0, call),
        ],
        ids=["call_soon", "call_soon_threadsafe", "call_later"],
    )
    def test_scheduled_callbacks(self, loop, opened, schedule):
        transport, _, peer = opened
        schedule(loop, lambda: (write_all(transport), loop.stop()))
        loop.run_forever()
        assert receive(peer, len(WHOLE)) == WHOLE

    def test_outside_the_running_loop(self, opened):
        transport, _, peer = opened
        write_all(transport)
        assert receive(peer, len(WHOLE)) == WHOLE

    def test_the_last_thing_before_the_loop_closes(self, loop, opened):
        transport, _, peer = opened
        loop.call_soon(lambda: (write_all(transport), loop.stop()))
        loop.run_forever()
        transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        assert receive(peer, 100) == WHOLE

    def test_a_done_callback(self, loop, opened):
        transport, _, peer = opened
        future = loop.create_future()
        future.add_done_callback(lambda _: write_all(transport))
        future.set_result(None)
        turn(loop)
        assert receive(peer, len(WHOLE)) == WHOLE

    def test_a_reader_callback(self, loop, opened):
        transport, _, peer = opened
        one, two = socket.socketpair()
        loop.add_reader(one, lambda: (one.recv(1), write_all(transport), loop.stop()))
        two.send(b"x")
        loop.run_forever()
        loop.remove_reader(one)
        one.close()
        two.close()
        assert receive(peer, len(WHOLE)) == WHOLE

    def test_a_signal_handler(self, loop, opened):
        transport, _, peer = opened
        loop.add_signal_handler(signal.SIGUSR1, lambda: (write_all(transport), loop.stop()))
        signal.raise_signal(signal.SIGUSR1)
        loop.run_forever()
        loop.remove_signal_handler(signal.SIGUSR1)
        assert receive(peer, len(WHOLE)) == WHOLE

    def test_steps_of_a_task(self, run, opened):
        transport, _, peer = opened

        async def main():
            for piece in PIECES:
                transport.write(piece)
                transport.write(b"|")
                await asyncio.sleep(0)

        run(main())
        assert receive(peer, len(WHOLE) + 4) == b"|".join(PIECES) + b"|"

    def test_a_write_that_is_followed_by_blocking(self, loop, opened):
        """A program that writes once and then blocks its loop until the peer has answered goes on."""
        transport, _, peer = opened
        answers = []

        def ask():
            transport.write(b"question")
            answers.append(receive(peer, 8))

        for _ in range(3):
            loop.call_soon(ask)
        turn(loop)
        assert answers == [b"question"] * 3

    def test_several_transports_in_one_callback(self, loop, run):
        pairs = [tcp_pair() for _ in range(3)]

        async def main():
            transports = [(await loop.create_connection(asyncio.Protocol, sock=ours))[0] for ours, _ in pairs]
            for piece in PIECES:
                for transport in transports:
                    transport.write(piece)
            await asyncio.sleep(0)
            received = [receive(peer, len(WHOLE)) for _, peer in pairs]
            for transport in transports:
                transport.abort()
            await asyncio.sleep(0)
            return received

        assert run(main()) == [WHOLE] * 3
        for _, peer in pairs:
            peer.close()


class TestWhateverFollows:
    def test_an_exception(self, loop, opened, reports):
        transport, _, peer = opened

        def write_and_fail():
            write_all(transport)
            raise ZeroDivisionError

        loop.call_soon(write_and_fail)
        turn(loop)
        assert receive(peer, len(WHOLE)) == WHOLE
        assert [type(context["exception"]) for context in reports] == [ZeroDivisionError]

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_leaving_the_loop(self, loop, opened, kind):
        transport, _, peer = opened

        def write_and_leave():
            write_all(transport)
            raise kind

        loop.call_soon(write_and_leave)
        with pytest.raises(kind):
            loop.run_forever()
        assert receive(peer, len(WHOLE)) == WHOLE

    def test_a_protocol_that_raises_after_it_answered(self, loop, run, reports):
        class Answering(Recorder):
            def data_received(self, data):
                write_all(self.transport)
                raise ZeroDivisionError

        ours, peer = tcp_pair()

        async def main():
            _, protocol = await loop.create_connection(Answering, sock=ours)
            peer.sendall(b"question")
            assert isinstance(await protocol.lost, ZeroDivisionError)

        run(main())
        assert receive(peer, 100) == WHOLE
        peer.close()
        assert len(reports) == 1

    @pytest.mark.parametrize("end", ["close", "abort", "write_eof"])
    def test_ending_the_connection(self, loop, run, opened, end):
        transport, _, peer = opened

        async def main():
            write_all(transport)
            getattr(transport, end)()

        run(main())
        if end != "write_eof":
            turn(loop)
        assert receive(peer, 100) == WHOLE

    def test_writelines(self, run, opened):
        transport, _, peer = opened

        async def main():
            write_all(transport)
            transport.writelines([b"-", b"lines"])
            transport.write(b"-")
            write_all(transport)

        run(main())
        expected = WHOLE + b"-lines-" + WHOLE
        assert receive(peer, len(expected)) == expected

    def test_looking_at_the_buffer(self, run, opened):
        transport, _, peer = opened

        async def main():
            sizes = []
            for piece in PIECES:
                transport.write(piece)
                sizes.append(transport.get_write_buffer_size())
            return sizes, receive(peer, len(WHOLE))

        assert run(main()) == ([0, 0, 0, 0], WHOLE)

    def test_changing_the_protocol(self, run, opened):
        transport, protocol, peer = opened

        async def main():
            write_all(transport)
            transport.set_protocol(Recorder())
            transport.set_protocol(protocol)

        run(main())
        assert receive(peer, len(WHOLE)) == WHOLE

    def test_changing_what_was_written(self, run, opened):
        """The caller's buffer is the caller's again when write() has returned."""
        transport, _, peer = opened

        async def main():
            buffer = bytearray(4)
            for number in range(4):
                buffer[:] = bytes([number]) * 4
                transport.write(buffer)
                transport.write(memoryview(buffer)[:2])
            buffer[:] = b"xxxx"
            buffer.clear()

        run(main())
        expected = b"".join(bytes([number]) * 6 for number in range(4))
        assert receive(peer, len(expected)) == expected

    def test_a_thread_that_reads_the_peer(self, run, opened):
        transport, _, peer = opened

        async def main():
            write_all(transport)
            return await asyncio.to_thread(receive, peer, len(WHOLE))

        assert run(main()) == WHOLE

    def test_sock_methods_come_after(self, loop, run, opened):
        """What a program sends on the peer's side, and what it writes here, keep their own order."""
        transport, protocol, peer = opened

        async def main():
            for number in range(50):
                transport.write(b"%d" % (number % 10))
                transport.write(b".")
                peer.sendall(b"%d" % (number % 10))
            await protocol.received(50)

        run(main())
        assert receive(peer, 100) == b"".join(b"%d." % (number % 10) for number in range(50))
        assert protocol.data == b"".join(b"%d" % (number % 10) for number in range(50))

    def test_a_peer_that_is_gone(self, loop, run, opened):
        """The error of a write that could not be sent ends the connection, and is raised to nobody."""
        transport, protocol, peer = opened
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()

        async def main():
            while not transport.is_closing():
                write_all(transport)
                await asyncio.sleep(0)
            return await protocol.lost

        assert isinstance(run(main()), (BrokenPipeError, ConnectionResetError))

    def test_many_small_writes_arrive_in_order(self, loop, run, opened):
        transport, _, peer = opened
        received = []
        reader = threading.Thread(target=lambda: received.append(receive(peer, 4 * 100_000)))
        reader.start()

        async def main():
            number = 0
            while number < 100_000:
                for _ in range(500):
                    transport.write(number.to_bytes(4, "big"))
                    number += 1
                while transport.get_write_buffer_size() > 1 << 16:
                    await asyncio.sleep(0.0001)
                await asyncio.sleep(0)
            while transport.get_write_buffer_size():
                await asyncio.sleep(0.0001)

        run(main())
        reader.join()
        assert received == [b"".join(number.to_bytes(4, "big") for number in range(100_000))]
