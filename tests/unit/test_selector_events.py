"""asyncio.selector_events: readers and writers on descriptors, and the sock_* coroutines."""

import asyncio
import contextvars
import gc
import os
import socket
import weakref

import pytest

from tests.unit.protocols import one_poll, receive, tcp_pair


@pytest.fixture
def pair():
    """Two connected, non-blocking stream sockets."""
    one, two = socket.socketpair()
    one.setblocking(False)
    two.setblocking(False)
    yield one, two
    one.close()
    two.close()


@pytest.fixture
def tcp():
    """A non-blocking TCP socket and the blocking socket at its other end."""
    ours, peer = tcp_pair()
    yield ours, peer
    ours.close()
    peer.close()


class TestReadersAndWriters:
    @pytest.mark.parametrize("as_number", [True, False])
    def test_reader(self, loop, run, pair, as_number):
        one, two = pair
        seen = []

        def readable(*args):
            seen.append((args, one.recv(10)))
            done.set_result(None)

        done = loop.create_future()
        target = one.fileno() if as_number else one
        assert loop.add_reader(target, readable, 1, "two") is None
        two.send(b"x")
        run(done)
        assert seen == [((1, "two"), b"x")]
        assert loop.remove_reader(target) is True
        assert loop.remove_reader(target) is False

    def test_writer(self, loop, run, pair):
        done = loop.create_future()

        def writable():
            loop.remove_writer(pair[0])
            done.set_result("writable")

        assert loop.add_writer(pair[0], writable) is None
        assert run(done) == "writable"
        assert loop.remove_writer(pair[0]) is False

    def test_called_as_long_as_there_is_something_to_read(self, loop, run, pair):
        one, two = pair
        two.send(b"abc")
        data = []
        done = loop.create_future()

        def readable():
            data.append(one.recv(1))
            if len(data) == 3:
                loop.remove_reader(one)
                done.set_result(None)

        loop.add_reader(one, readable)
        run(done)
        assert data == [b"a", b"b", b"c"]

    def test_adding_again_replaces(self, loop, run, pair):
        one, two = pair
        called = []
        done = loop.create_future()
        loop.add_reader(one, called.append, "first")
        loop.add_reader(
            one, lambda: (called.append("second"), loop.remove_reader(one), done.set_result(None))
        )
        two.send(b"x")
        run(done)
        assert called == ["second"]

    def test_reader_and_writer_on_one_descriptor(self, loop, run, pair):
        one, two = pair
        called = set()
        done = loop.create_future()

        def note(what, remove):
            called.add(what)
            remove(one)
            if called == {"read", "write"} and not done.done():
                done.set_result(None)

        loop.add_reader(one, note, "read", loop.remove_reader)
        loop.add_writer(one, note, "write", loop.remove_writer)
        two.send(b"x")
        run(done)
        assert called == {"read", "write"}

    def test_removing_the_writer_keeps_the_reader(self, loop, run, pair):
        one, two = pair
        done = loop.create_future()
        loop.add_writer(one, print)
        loop.add_reader(one, lambda: done.done() or done.set_result(one.recv(1)))
        assert loop.remove_writer(one) is True
        two.send(b"x")
        assert run(done) == b"x"
        loop.remove_reader(one)

    def test_removed_before_it_runs(self, loop, run, pair):
        """Both descriptors are ready in one poll; the first callback removes the second reader."""
        pairs = [socket.socketpair() for _ in range(2)]
        called = []

        def readable(mine, other):
            called.append(mine)
            loop.remove_reader(pairs[other][0])
            loop.remove_reader(pairs[mine][0])

        for number in range(2):
            loop.add_reader(pairs[number][0], readable, number, 1 - number)
            pairs[number][1].send(b"x")
        run(one_poll(loop))
        run(one_poll(loop))
        assert len(called) == 1
        for each in pairs:
            each[0].close()
            each[1].close()

    def test_end_of_file_is_readable(self, loop, run, pair):
        one, two = pair
        done = loop.create_future()
        loop.add_reader(one, lambda: done.done() or done.set_result(one.recv(1)))
        two.close()
        assert run(done) == b""
        loop.remove_reader(one)

    def test_pipes(self, loop, run):
        reading, writing = os.pipe()
        done = loop.create_future()
        loop.add_reader(reading, lambda: done.done() or done.set_result(os.read(reading, 10)))
        os.write(writing, b"through")
        assert run(done) == b"through"
        loop.remove_reader(reading)
        os.close(reading)
        os.close(writing)

    def test_hang_up_of_a_pipe_is_readable(self, loop, run):
        reading, writing = os.pipe()
        done = loop.create_future()
        loop.add_reader(reading, lambda: done.done() or done.set_result(os.read(reading, 10)))
        os.close(writing)
        assert run(done) == b""
        loop.remove_reader(reading)
        os.close(reading)

    def test_broken_pipe_is_writable(self, loop, run):
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        while True:
            try:
                os.write(writing, bytes(65536))
            except BlockingIOError:
                break
        done = loop.create_future()
        loop.add_writer(writing, lambda: done.done() or done.set_result(True))
        os.close(reading)
        assert run(done) is True
        loop.remove_writer(writing)
        os.close(writing)

    def test_a_raising_callback_is_reported_and_stays(self, loop, run, pair, reports):
        one, two = pair
        two.send(b"ab")
        done = loop.create_future()

        def readable():
            if one.recv(1) == b"b":
                loop.remove_reader(one)
                done.set_result(None)
            raise ZeroDivisionError

        loop.add_reader(one, readable)
        run(done)
        assert [type(context["exception"]) for context in reports] == [ZeroDivisionError] * 2
        assert all(context["message"].startswith("Exception in callback ") for context in reports)

    def test_context(self, loop, run, pair):
        variable = contextvars.ContextVar("variable", default="default")
        one, two = pair
        seen = []
        done = loop.create_future()

        def readable():
            seen.append(variable.get())
            loop.remove_reader(one)
            done.set_result(None)

        token = variable.set("when added")
        loop.add_reader(one, readable)
        variable.reset(token)
        two.send(b"x")
        run(done)
        assert seen == ["when added"]

    def test_remove_drops_the_callback(self, loop, pair):
        class Callback:
            def __call__(self):
                """Never called here."""

        callback = Callback()
        reference = weakref.ref(callback)
        loop.add_reader(pair[0], callback)
        del callback
        gc.collect()
        assert reference() is not None
        loop.remove_reader(pair[0])
        gc.collect()
        assert reference() is None

    @pytest.mark.parametrize("method", ["add_reader", "add_writer", "remove_reader", "remove_writer"])
    @pytest.mark.parametrize(
        ("target", "text"), [(-1, "Invalid file descriptor: -1"), ("text", "Invalid file object: 'text'")]
    )
    def test_bad_targets(self, loop, method, target, text):
        arguments = (print,) if method.startswith("add") else ()
        with pytest.raises(ValueError) as caught:
            getattr(loop, method)(target, *arguments)
        assert str(caught.value) == text

    def test_remove_of_what_was_never_added(self, loop, pair):
        assert loop.remove_reader(pair[0]) is False
        assert loop.remove_writer(pair[0]) is False

    def test_closed_loop(self, make_loop, pair):
        loop = make_loop()
        loop.add_reader(pair[0], print)
        loop.close()
        for method in (loop.add_reader, loop.add_writer):
            with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
                method(pair[0], print)
        assert loop.remove_reader(pair[0]) in (False, None)
        assert loop.remove_writer(pair[0]) in (False, None)

    def test_descriptor_of_a_transport_is_refused(self, loop, run, tcp):
        ours, _ = tcp

        async def main():
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            text = f"File descriptor {ours!r} is used by transport {transport!r}"
            for call in (
                lambda: loop.add_reader(ours, print),
                lambda: loop.add_writer(ours, print),
                lambda: loop.remove_reader(ours),
                lambda: loop.remove_writer(ours),
            ):
                with pytest.raises(RuntimeError) as caught:
                    call()
                assert str(caught.value) == text
            number = ours.fileno()
            with pytest.raises(RuntimeError, match=rf"^File descriptor {number} is used by transport <"):
                loop.add_reader(number, print)
            transport.abort()
            await asyncio.sleep(0)

        run(main())

    def test_regular_file_is_refused(self, loop, tmp_path):
        with open(tmp_path / "file", "w+b") as file:
            with pytest.raises(PermissionError):
                loop.add_reader(file, print)

    def test_a_number_that_is_no_open_descriptor(self, loop):
        reading, writing = os.pipe()
        os.close(reading)
        os.close(writing)
        with pytest.raises(OSError):
            loop.add_reader(reading, print)

    def test_closing_a_descriptor_first_is_harmless(self, loop, run, pair):
        """A descriptor closed before its reader was removed must neither be reported nor break the loop."""
        one, _ = pair
        loop.add_reader(one, print)
        number = one.fileno()
        one.close()
        run(asyncio.sleep(0.001))
        assert loop.remove_reader(number) is True

    def test_many_descriptors(self, loop, run):
        pairs = [socket.socketpair() for _ in range(200)]
        seen = []
        done = loop.create_future()

        def readable(number):
            seen.append((number, pairs[number][0].recv(10)))
            loop.remove_reader(pairs[number][0])
            if len(seen) == len(pairs):
                done.set_result(None)

        for number, (one, two) in enumerate(pairs):
            loop.add_reader(one, readable, number)
            two.send(str(number).encode())
        run(done)
        assert sorted(seen) == [(number, str(number).encode()) for number in range(200)]
        for one, two in pairs:
            one.close()
            two.close()


class TestStreamSockets:
    def test_sock_recv_and_sendall(self, loop, run, tcp):
        ours, peer = tcp

        async def main():
            assert await loop.sock_sendall(ours, b"ping") is None
            assert receive(peer, 4) == b"ping"
            peer.sendall(b"pong")
            assert await loop.sock_recv(ours, 100) == b"pong"
            peer.close()
            return await loop.sock_recv(ours, 100)

        assert run(main()) == b""

    def test_sock_recv_waits(self, loop, run, tcp):
        ours, peer = tcp

        async def main():
            waiting = loop.create_task(loop.sock_recv(ours, 100))
            await one_poll(loop)
            assert not waiting.done()
            peer.sendall(b"at last")
            return await waiting

        assert run(main()) == b"at last"

    def test_sock_recv_into(self, loop, run, tcp):
        ours, peer = tcp

        async def main():
            buffer = bytearray(b"........")
            peer.sendall(b"four")
            assert await loop.sock_recv_into(ours, buffer) == 4
            peer.sendall(b"more")
            assert await loop.sock_recv_into(ours, memoryview(buffer)[4:]) == 4
            return bytes(buffer)

        assert run(main()) == b"fourmore"

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_large_sendall(self, loop, run, pair, kind):
        one, two = pair
        payload = bytes(range(256)) * 20000

        async def main():
            async def collect():
                data = bytearray()
                while len(data) < len(payload):
                    data += await loop.sock_recv(two, 1 << 16)
                return bytes(data)

            _, data = await asyncio.gather(loop.sock_sendall(one, kind(payload)), collect())
            return data == payload

        assert run(main())

    def test_sendall_of_nothing(self, loop, run, pair):
        assert run(loop.sock_sendall(pair[0], b"")) is None

    def test_sendall_to_a_closed_peer(self, loop, run, pair):
        one, two = pair
        two.close()
        with pytest.raises(BrokenPipeError):
            run(loop.sock_sendall(one, b"x" * 1000))

    def test_connect_and_accept(self, loop, run):
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
                listener.setblocking(False)
                client.setblocking(False)
                accepting = loop.create_task(loop.sock_accept(listener))
                assert await loop.sock_connect(client, listener.getsockname()) is None
                accepted, address = await accepting
                with accepted:
                    assert accepted.gettimeout() == 0
                    assert address == client.getsockname()
                    await loop.sock_sendall(accepted, b"welcome")
                    return await loop.sock_recv(client, 100)

        assert run(main()) == b"welcome"

    def test_connect_by_name(self, loop, run):
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
                return client.getpeername() == listener.getsockname()

        assert run(main())

    def test_connect_to_a_unix_socket(self, loop, run, tmp_path):
        path = str(tmp_path / "socket")

        async def main():
            with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
                listener.bind(path)
                listener.listen()
                listener.setblocking(False)
                client.setblocking(False)
                accepted, _ = (
                    await asyncio.gather(loop.sock_accept(listener), loop.sock_connect(client, path))
                )[0]
                with accepted:
                    await loop.sock_sendall(client, b"local")
                    return await loop.sock_recv(accepted, 10)

        assert run(main()) == b"local"

    def test_refused_connection(self, loop, run):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                run(loop.sock_connect(client, address))

    @pytest.mark.parametrize(
        "operation", ["recv", "recv_into", "sendall", "accept", "recvfrom", "recvfrom_into"]
    )
    def test_cancelled_operation_leaves_nothing_behind(self, loop, run, operation):
        async def main():
            one, two = socket.socketpair()
            listener = socket.create_server(("127.0.0.1", 0))
            for sock in (one, two, listener):
                sock.setblocking(False)
            target = listener if operation == "accept" else one
            coroutine = {
                "recv": lambda: loop.sock_recv(one, 10),
                "recv_into": lambda: loop.sock_recv_into(one, bytearray(10)),
                "sendall": lambda: loop.sock_sendall(one, b"x" * (1 << 24)),
                "accept": lambda: loop.sock_accept(listener),
                "recvfrom": lambda: loop.sock_recvfrom(one, 10),
                "recvfrom_into": lambda: loop.sock_recvfrom_into(one, bytearray(10)),
            }[operation]()
            task = loop.create_task(coroutine)
            await one_poll(loop)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            left = loop.remove_reader(target), loop.remove_writer(target)
            for sock in (one, two, listener):
                sock.close()
            return left

        assert run(main()) == (False, False)

    def test_nothing_is_lost_by_a_cancelled_receive(self, loop, run, pair):
        one, two = pair

        async def main():
            for number in range(50):
                task = loop.create_task(loop.sock_recv(one, 100))
                await asyncio.sleep(0)
                two.send(bytes([number]))
                task.cancel()
                try:
                    data = await task
                except asyncio.CancelledError:
                    data = await loop.sock_recv(one, 100)
                assert data == bytes([number])

        run(main())

    def test_wait_for_with_a_timeout(self, loop, run, pair):
        async def main():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(pair[0], 1), 0.001)
            pair[1].send(b"x")
            return await loop.sock_recv(pair[0], 1)

        assert run(main()) == b"x"

    def test_ping_pong(self, loop, run, pair):
        one, two = pair

        async def echo():
            while data := await loop.sock_recv(two, 100):
                await loop.sock_sendall(two, data)

        async def main():
            task = loop.create_task(echo())
            for number in range(200):
                await loop.sock_sendall(one, str(number).encode())
                assert await loop.sock_recv(one, 100) == str(number).encode()
            one.close()
            await task

        run(main())

    def test_blocking_sockets_are_refused_in_debug_mode(self, loop, run):
        loop.set_debug(True)
        loop.slow_callback_duration = 1000
        with socket.socket() as sock:
            coroutines = [
                lambda: loop.sock_recv(sock, 1),
                lambda: loop.sock_recv_into(sock, bytearray(1)),
                lambda: loop.sock_recvfrom(sock, 1),
                lambda: loop.sock_recvfrom_into(sock, bytearray(1)),
                lambda: loop.sock_sendall(sock, b"x"),
                lambda: loop.sock_sendto(sock, b"x", ("127.0.0.1", 1)),
                lambda: loop.sock_connect(sock, ("127.0.0.1", 1)),
                lambda: loop.sock_accept(sock),
            ]
            for make in coroutines:
                with pytest.raises(ValueError, match=r"^the socket must be non-blocking$"):
                    run(make())

    def test_ssl_sockets_are_refused(self, loop, run):
        import ssl

        with ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="x") as sock:
            sock.setblocking(False)
            for make in (
                lambda: loop.sock_recv(sock, 1),
                lambda: loop.sock_sendall(sock, b"x"),
                lambda: loop.sock_connect(sock, ("127.0.0.1", 1)),
                lambda: loop.sock_accept(sock),
            ):
                with pytest.raises(TypeError, match=r"^Socket cannot be of type SSLSocket$"):
                    run(make())


class TestDatagramSockets:
    @pytest.fixture
    def datagrams(self):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        yield sockets
        for sock in sockets:
            sock.close()

    def test_sendto_and_recvfrom(self, loop, run, datagrams):
        one, two = datagrams

        async def main():
            assert await loop.sock_sendto(one, b"datagram", two.getsockname()) == 8
            return await loop.sock_recvfrom(two, 100)

        assert run(main()) == (b"datagram", one.getsockname())

    def test_recvfrom_into(self, loop, run, datagrams):
        one, two = datagrams

        async def main():
            buffer = bytearray(16)
            await loop.sock_sendto(one, b"datagram", two.getsockname())
            assert await loop.sock_recvfrom_into(two, buffer) == (8, one.getsockname())
            await loop.sock_sendto(one, b"again", two.getsockname())
            assert await loop.sock_recvfrom_into(two, buffer, 3) == (3, one.getsockname())
            return bytes(buffer)

        assert run(main()) == b"agaagram" + bytes(8)

    def test_recvfrom_waits(self, loop, run, datagrams):
        one, two = datagrams

        async def main():
            task = loop.create_task(loop.sock_recvfrom(two, 100))
            await one_poll(loop)
            assert not task.done()
            one.sendto(b"late", two.getsockname())
            return (await task)[0]

        assert run(main()) == b"late"

    def test_empty_datagram(self, loop, run, datagrams):
        one, two = datagrams

        async def main():
            await loop.sock_sendto(one, b"", two.getsockname())
            return await loop.sock_recvfrom(two, 100)

        assert run(main()) == (b"", one.getsockname())

    def test_boundaries_are_kept(self, loop, run, datagrams):
        one, two = datagrams

        async def main():
            for number in range(1, 20):
                await loop.sock_sendto(one, b"x" * number, two.getsockname())
            return [len((await loop.sock_recvfrom(two, 100))[0]) for _ in range(1, 20)]

        assert run(main()) == list(range(1, 20))


class TestUnderPressure:
    def test_readers_are_not_starved_by_callbacks(self, loop, run, pair):
        """However many callbacks make callbacks, sockets are looked at after a bounded while."""
        one, two = pair
        two.send(b"x")
        done = loop.create_future()

        def spin():
            if not done.done():
                loop.call_soon(spin)

        loop.add_reader(one, lambda: done.done() or done.set_result(None))
        loop.call_soon(spin)
        run(done)
        loop.remove_reader(one)

    def test_timers_are_not_starved_by_callbacks(self, loop, run):
        done = loop.create_future()

        def spin():
            if not done.done():
                loop.call_soon(spin)

        loop.call_later(0.001, done.set_result, None)
        loop.call_soon(spin)
        run(done)

    def test_threads_are_not_starved_by_callbacks(self, loop, run):
        import threading

        done = loop.create_future()

        def spin():
            if not done.done():
                loop.call_soon(spin)

        loop.call_soon(spin)
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(done.set_result, None))
        loop.call_soon(thread.start)
        run(done)
        thread.join()


def test_accept_on_a_socket_that_does_not_listen(loop, run):
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(OSError):
            run(loop.sock_accept(sock))
