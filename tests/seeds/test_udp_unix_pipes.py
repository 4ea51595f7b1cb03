"""Row "UDP, Unix, pipes": datagram endpoints, Unix connections and datagrams, pipe transports."""

import asyncio
import os
import socket


class Datagrams(asyncio.DatagramProtocol):
    """Keeps the datagrams that come, and answers when it is told to."""

    def __init__(self, answer=None):
        self.answer, self.queue = answer, asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.queue.put_nowait((data, address))
        if self.answer:
            self.transport.sendto(self.answer + data, address)


def test_datagram_endpoint(aio):
    async def main():
        loop = aio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(
            lambda: Datagrams(b"re: "), local_addr=("127.0.0.1", 0)
        )
        address = server.get_extra_info("sockname")
        client, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
        client.sendto(b"hello")
        answer = await protocol.queue.get()
        client.close()
        server.close()
        await aio.sleep(0)
        return answer == (b"re: hello", address)

    assert aio.run(main())


def test_unix_connection_and_server(aio, tmp_path):
    path = str(tmp_path / "socket")

    async def main():
        async def handler(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()
            await writer.wait_closed()

        async with await aio.start_unix_server(handler, path):
            reader, writer = await aio.open_unix_connection(path)
            writer.write(b"local\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        return answer

    assert aio.run(main()) == b"LOCAL\n"


def test_unix_datagrams(aio, tmp_path):
    path = str(tmp_path / "datagrams")

    async def main():
        loop = aio.get_running_loop()
        server, protocol = await loop.create_datagram_endpoint(
            Datagrams, local_addr=path, family=socket.AF_UNIX
        )
        client, _ = await loop.create_datagram_endpoint(Datagrams, remote_addr=path, family=socket.AF_UNIX)
        client.sendto(b"local datagram")
        data, _ = await protocol.queue.get()
        client.close()
        server.close()
        await aio.sleep(0)
        return data

    assert aio.run(main()) == b"local datagram"


def test_pipes(aio):
    async def main():
        loop = aio.get_running_loop()
        reading, writing = os.pipe()
        reader = aio.StreamReader()
        source, _ = await loop.connect_read_pipe(
            lambda: aio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
        )
        sink, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
        sink.write(b"through the pipe\n")
        line = await reader.readline()
        sink.close()
        rest = await reader.read()
        source.close()
        await aio.sleep(0)
        return line, rest

    assert aio.run(main()) == (b"through the pipe\n", b"")
