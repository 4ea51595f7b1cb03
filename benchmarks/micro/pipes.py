"""Pipes: both ends in one process, read and written by transports."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark

MESSAGE = bytes(64)
BLOCK = bytes(64 * 1024)


@asynccontextmanager
async def _pipe(asyncio: Namespace, reader: Any, writer: Any) -> AsyncIterator[tuple[Any, Any]]:
    """The transports of a pipe's ends."""
    loop = asyncio.get_running_loop()
    source, sink = os.pipe()
    with open(source, "rb", 0) as source_file, open(sink, "wb", 0) as sink_file:
        reading, _ = await loop.connect_read_pipe(lambda: reader, source_file)
        writing, _ = await loop.connect_write_pipe(lambda: writer, sink_file)
        try:
            yield reading, writing
        finally:
            reading.close()
            writing.close()
            # connection_lost() closes the files.
            for _ in range(3):
                await asyncio.sleep(0)


@benchmark("there and back, 64 B", count=5_000)
async def ping_pong(asyncio: Namespace, count: int) -> None:
    """A message through one pipe, and its answer through another."""

    class Answering(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            back.write(data)

    class Counting(asyncio.Protocol):
        remaining = count

        def data_received(self, data: bytes) -> None:
            self.remaining -= 1
            if self.remaining:
                there.write(data)
            else:
                done.set_result(None)

    done = asyncio.get_running_loop().create_future()
    async with (
        _pipe(asyncio, Answering(), asyncio.BaseProtocol()) as (_, there),
        _pipe(asyncio, Counting(), asyncio.BaseProtocol()) as (_, back),
    ):
        there.write(MESSAGE)
        await done


@benchmark("64 KiB through, with flow control", count=2_000)
async def throughput(asyncio: Namespace, count: int) -> None:
    """As much as the pipe takes, as fast as its reader allows."""

    class Receiving(asyncio.Protocol):
        remaining = count * len(BLOCK)

        def data_received(self, data: bytes) -> None:
            self.remaining -= len(data)
            if not self.remaining:
                done.set_result(None)

    class Sending(asyncio.Protocol):
        remaining = count
        paused = False

        def pause_writing(self) -> None:
            self.paused = True

        def resume_writing(self) -> None:
            self.paused = False
            self.send()

        def send(self) -> None:
            while self.remaining and not self.paused:
                self.remaining -= 1
                sink.write(BLOCK)

    done = asyncio.get_running_loop().create_future()
    sender = Sending()
    async with _pipe(asyncio, Receiving(), sender) as (_, sink):
        sink.set_write_buffer_limits(high=len(BLOCK))
        sender.send()
        await done


@benchmark("readline from a pipe, 100 B", count=10_000)
async def readline(asyncio: Namespace, count: int) -> None:
    """A program's output, line by line: 100 lines are written at a time."""
    line = bytes(99) + b"\n"
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    async with _pipe(asyncio, protocol, asyncio.BaseProtocol()) as (_, sink):
        for number in range(count):
            if number % 100 == 0:
                sink.write(line * min(100, count - number))
            await reader.readline()
