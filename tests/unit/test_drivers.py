"""`YIBU_DRIVER`: which driver a loop has, what happens where the kernel refuses it, programs on io_uring."""

import functools
import os
import platform
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.yibu_only  # stock asyncio has no drivers

FORBID = """
import ctypes, struct
# Loads the number of the system call; io_uring_setup is answered with EPERM, everything else is allowed.
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
filter = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filter)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, program, 0, 0):
    print("no filter")
    raise SystemExit
"""

ECHO = """
import asyncio, os, socket
import yibu

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(data)

async def talk(address, size):
    reader, writer = await yibu.open_connection(*address)
    for number in range(5):
        message = bytes([number]) * size
        writer.write(message)
        assert await reader.readexactly(size) == message
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()

async def serve():
    loop = yibu.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()
"""


def run(program, driver=None, **variables):
    environment = {**os.environ, **variables}
    environment.pop("YIBU_DRIVER", None)
    if driver is not None:
        environment["YIBU_DRIVER"] = driver
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env=environment,
    )
    return done.stdout, done.stderr


@functools.cache
def kernel_permits():
    out, _ = run("import yibu; loop = yibu.new_event_loop(); print(loop._driver); loop.close()", "io_uring")
    return out == "io_uring\n"


on_io_uring = pytest.mark.skipif("not kernel_permits()", reason="the kernel refuses io_uring")


@pytest.mark.parametrize("driver", [None, "auto", "epoll"])
def test_epoll_is_what_a_loop_has(driver):
    program = "import yibu; loop = yibu.new_event_loop(); print(loop._driver); loop.close()"
    assert run(program, driver) == ("epoll\n", "")


@pytest.mark.parametrize("driver", ["", "kqueue", "EPOLL"])
def test_other_values_are_errors(driver):
    program = """
        import yibu
        try:
            yibu.new_event_loop()
        except ValueError as error:
            print(error)
    """
    expected = f"YIBU_DRIVER must be 'auto', 'epoll' or 'io_uring', not \"{driver}\"\n"
    assert run(program, driver) == (expected, "")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="another number of the call")
def test_a_sandbox_that_forbids_io_uring_gets_epoll_and_a_line_in_the_log():
    program = FORBID + (
        "import logging\n"
        "logging.basicConfig(level=logging.DEBUG, format='%(name)s %(levelname)s %(message)s')\n"
        "import yibu; loop = yibu.new_event_loop(); print(loop._driver); loop.close()\n"
    )
    out, err = run(program, "io_uring")
    if out == "no filter\n":
        pytest.skip("this kernel installs no filters")
    assert out == "epoll\n"
    assert "asyncio DEBUG io_uring cannot be used, the loop uses epoll: Operation not permitted" in err


@on_io_uring
@pytest.mark.parametrize("size", [1, 5000, 100_000])
def test_connections_of_every_size(size):
    program = f"""
        async def main():
            server, address = await serve()
            await yibu.gather(*[talk(address, {size}) for _ in range(20)])
            server.close()
            await server.wait_closed()
        yibu.run(main())
        print("done")
    """
    assert run(ECHO + textwrap.dedent(program), "io_uring") == ("done\n", "")


@on_io_uring
def test_a_loop_goes_on_in_another_thread():
    program = """
        import threading
        loop = yibu.new_event_loop()
        server, address = loop.run_until_complete(serve())
        peer = socket.create_connection(address)
        peer.settimeout(30)

        async def answer():
            peer.sendall(b"ping")
            while True:
                await yibu.sleep(0)
                peer.setblocking(False)
                try:
                    return peer.recv(10)
                except BlockingIOError:
                    pass

        answers = []
        for _ in range(3):
            answers.append(loop.run_until_complete(answer()))
            thread = threading.Thread(target=lambda: answers.append(loop.run_until_complete(answer())))
            thread.start()
            thread.join()
        peer.close()
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.close()
        print(answers == [b"ping"] * 6)
    """
    assert run(ECHO + textwrap.dedent(program), "io_uring") == ("True\n", "")


@on_io_uring
def test_a_forked_child_leaves_its_parents_connections_alone():
    program = """
        async def main():
            server, address = await serve()
            reader, writer = await yibu.open_connection(*address)
            writer.write(b"before")
            assert await reader.readexactly(6) == b"before"
            if (child := os.fork()) == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            writer.write(b"after")
            assert await reader.readexactly(5) == b"after"
            writer.close()
            await writer.wait_closed()
            server.close()
        yibu.run(main())
        print("done")
    """
    assert run(ECHO + textwrap.dedent(program), "io_uring", PYTHONWARNINGS="ignore") == ("done\n", "")


@on_io_uring
def test_nothing_is_received_while_reading_is_paused():
    program = """
        class Slow(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport, self.received, self.paused = transport, b"", False
                made.set_result(self)
            def data_received(self, data):
                assert not self.paused
                self.received += data
                self.paused = True
                self.transport.pause_reading()

        async def main():
            global made
            loop = yibu.get_running_loop()
            made = loop.create_future()
            server = await loop.create_server(Slow, "127.0.0.1", 0)
            peer = socket.create_connection(server.sockets[0].getsockname())
            slow = await made
            whole = b""
            for number in range(50):
                piece = bytes([number]) * 700
                peer.sendall(piece)
                whole += piece
                await yibu.sleep(0)
                if number % 3 == 0 and slow.paused:
                    slow.paused = False
                    slow.transport.resume_reading()
            while len(slow.received) < len(whole):
                if slow.paused:
                    slow.paused = False
                    slow.transport.resume_reading()
                await yibu.sleep(0)
            assert slow.received == whole
            # Whoever gets the socket has it to himself.
            slow.transport.get_extra_info("socket")
            slow.transport.close()
            assert await loop.run_in_executor(None, peer.recv, 1) == b""
            peer.close()
            server.close()
        yibu.run(main())
        print("done")
    """
    assert run(ECHO + textwrap.dedent(program), "io_uring") == ("done\n", "")
