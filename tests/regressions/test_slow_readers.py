"""Whoever reads slowly, or not at all, costs no more memory than the marks allow."""

import asyncio
import json
import textwrap

import pytest

KIB, MIB = 1024, 1024 * 1024
WHOLE = 64 * MIB
PIECE = 64 * KIB

PREPARE = f"""
    import asyncio, hashlib, json, os, socket
    from tests.unit.tls import client_context, server_context

    WHOLE, PIECE = {WHOLE}, {PIECE}

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def turns():
        for _ in range(200):
            await asyncio.sleep(0)

    class Source(asyncio.Protocol):
        '''Writes until it is told to pause, and says how much it had written by then.'''

        def __init__(self):
            self.paused, self.written, self.most = False, 0, 0
            self.stuck = asyncio.Event()
            self.number = 0

        def connection_made(self, transport):
            self.transport = transport
            self.go_on()

        def go_on(self):
            while not self.paused and self.written < WHOLE and not self.transport.is_closing():
                self.transport.write(self.piece())
                self.most = max(self.most, self.transport.get_write_buffer_size())

        def piece(self):
            self.number += 1
            self.written += PIECE
            return self.number.to_bytes(8, "big") * (PIECE // 8)

        def pause_writing(self):
            self.paused = True
            self.stuck.set()

        def resume_writing(self):
            self.paused = False
            self.go_on()

    def check(data, received):
        '''The bytes are those that were written, in order.'''
        start = received % 8
        for offset in range((8 - start) % 8, len(data) - 8, PIECE // 4):
            number = (received + offset) // PIECE + 1
            assert data[offset : offset + 8] == number.to_bytes(8, "big"), (received, offset)
"""

WRITER = """
    async def main():
        loop = asyncio.get_running_loop()
        sources = []

        def serve():
            sources.append(Source())
            return sources[-1]

        server = await loop.create_server(serve, "127.0.0.1", 0, ssl=SERVER)
        address = server.sockets[0].getsockname()
        before = resident()
        reader, writer = await aio.open_connection(*address, **CLIENT)
        writer.transport.pause_reading()
        while not sources:
            await asyncio.sleep(0)
        (source,) = sources
        await source.stuck.wait()
        await turns()
        stuck = {
            "written": source.written,
            "most": source.most,
            "buffered": source.transport.get_write_buffer_size(),
            "marks": source.transport.get_write_buffer_limits(),
            "grown": resident() - before,
        }
        writer.transport.resume_reading()
        received = 0
        while received < WHOLE:
            data = await reader.read(1 << 20)
            check(data, received)
            received += len(data)
        stuck["grown in all"] = resident() - before
        writer.close()
        await writer.wait_closed()
        server.close()
        print(json.dumps(stuck))

    aio.run(main())
"""

READER = """
    async def main():
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        _, source = await loop.create_connection(Source, sock=far)
        before = resident()
        reader, writer = await aio.open_connection(sock=near, limit=LIMIT)
        await source.stuck.wait()
        while not reader._buffer:
            await asyncio.sleep(0)
        await turns()
        stuck = {"kept": len(reader._buffer), "grown": resident() - before}
        received = 0
        while received < WHOLE:
            data = await reader.readexactly(8)
            check(data, received)
            received += 8
            data = await reader.read(1 << 20)
            check(data, received)
            received += len(data)
            stuck["kept"] = max(stuck["kept"], len(reader._buffer))
        stuck["grown in all"] = resident() - before
        writer.close()
        source.transport.abort()
        await writer.wait_closed()
        print(json.dumps(stuck))

    aio.run(main())
"""


def run_program(impl, program, **names):
    preamble = "".join(f"\n{name} = {value}" for name, value in names.items())
    finished = impl.run_source(
        textwrap.dedent(PREPARE) + preamble + textwrap.dedent(program), python_options=("-Wignore",)
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return json.loads(finished.stdout)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_a_peer_that_does_not_read_bounds_what_waits(impl, secure):
    names = {"SERVER": "None", "CLIENT": "{}"}
    if secure:
        names = {
            "SERVER": "server_context()",
            "CLIENT": "{'ssl': client_context(), 'server_hostname': 'localhost'}",
        }
    stuck = run_program(impl, WRITER, **names)
    _, high = stuck["marks"]
    assert stuck["most"] <= high + PIECE
    assert stuck["written"] < WHOLE // 2
    # Beyond the marks there are the buffers for receiving, and what the allocator keeps.
    assert stuck["grown"] < 6 * MIB + (4 * MIB if secure else 0)
    assert stuck["grown in all"] < 12 * MIB


@pytest.mark.parametrize("limit", [1000, 64 * KIB])
def test_a_stream_that_is_not_read_bounds_what_it_keeps(impl, limit):
    """It stops at twice its limit, and what one receive may bring on top."""
    stuck = run_program(impl, READER, LIMIT=limit)
    assert 0 < stuck["kept"] <= 2 * limit + 256 * KIB
    assert stuck["grown"] < 6 * MIB
    assert stuck["grown in all"] < 12 * MIB


def test_a_paused_transport_receives_nothing(loop, run):
    class Count(asyncio.Protocol):
        count = 0

        def connection_made(self, transport):
            self.transport = transport
            transport.pause_reading()

        def data_received(self, data):
            self.count += len(data)

        def pause_writing(self):
            stuck.set()

    stuck = asyncio.Event()

    async def main():
        counts = []
        server = await loop.create_server(lambda: counts.append(Count()) or counts[-1], "127.0.0.1", 0)
        transport, _ = await loop.create_connection(Count, *server.sockets[0].getsockname())
        while not stuck.is_set():
            transport.write(bytes(PIECE))
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        (served,) = counts
        assert served.count == 0
        transport.abort()
        served.transport.abort()
        server.close()
        await asyncio.sleep(0)

    run(main())
