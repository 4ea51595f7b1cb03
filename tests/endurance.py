"""A long check, by hand: short connections and messages under random cancellation, for as long as one likes.

    python -m tests.endurance --seconds 600 --seed 1

Every client names itself in each of its messages, and the server answers with the same name: nothing
may be crossed, nothing lost of what was awaited to its end, and memory and descriptors have to stay where
they were after the first tenth of the time. Clients are cancelled at random places, peers leave without a
word, and the sockets of some connections are closed behind the transport's back while others get their
numbers.
"""

import argparse
import asyncio
import gc
import os
import random
import resource
import socket
import sys

import yibu

CLIENTS = 50


class Fault(Exception):
    """Something was crossed or lost."""


class Echo(asyncio.Protocol):
    """Answers every line; a connection that has spoken for one client never speaks for another."""

    def connection_made(self, transport):
        self.transport, self.name, self.rest = transport, None, b""

    def data_received(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            name = line.partition(b":")[0]
            if self.name not in (None, name):
                raise Fault(f"a connection of {self.name} got a message of {name}")
            self.name = name
            self.transport.write(line + b"\n")
        # A few close their socket behind the transport's back.
        if self.rest == b"" and lines and lines[-1].endswith(b":bye"):
            self.transport.get_extra_info("socket")._sock.close()
            self.transport.write(b"to nobody\n")


class Count:
    def __init__(self):
        self.connections = self.messages = self.cancelled = 0


async def converse(address, name, source, count):
    """One connection: some messages, each of which has to come back as it was sent."""
    reader, writer = await asyncio.open_connection(*address)
    count.connections += 1
    try:
        for number in range(source.randrange(1, 30)):
            message = b"%d:%d:%s\n" % (name, number, b"-" * source.choice((0, 10, 1000)))
            writer.write(message)
            answer = await reader.readline()
            if answer != message:
                raise Fault(f"{message[:40]!r} came back as {answer[:40]!r}")
            count.messages += 1
        if source.random() < 0.1:
            writer.write(b"%d:bye\n" % name)
            await reader.read()
    finally:
        if source.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()


async def client(address, source, count, deadline):
    """Connections one after the other, some of them cancelled somewhere."""
    loop = asyncio.get_running_loop()
    while loop.time() < deadline:
        count.name += 1
        task = asyncio.create_task(converse(address, count.name, source, count))
        if source.random() < 0.3:
            for _ in range(source.randrange(20)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            count.cancelled += 1
        except OSError:
            pass


def state():
    """Descriptors, and the memory that the process has at hand, in KiB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return len(os.listdir("/proc/self/fd")), pages * resource.getpagesize() // 1024


async def run(seconds, seed):
    loop = asyncio.get_running_loop()
    source, count, faults = random.Random(seed), Count(), []
    count.name = 0

    def report(loop, context):
        error = context.get("exception")
        if not isinstance(error, OSError):
            faults.append(context)

    loop.set_exception_handler(report)
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1000)
    address = server.sockets[0].getsockname()

    async def phase(length):
        deadline = loop.time() + length
        await asyncio.gather(*[client(address, source, count, deadline) for _ in range(CLIENTS)])
        await asyncio.sleep(0.1)  # the last connections end
        return state()

    before = await phase(seconds / 10)
    after = await phase(seconds * 9 / 10)
    print(f"{count.connections} connections, {count.messages} messages, {count.cancelled} cancelled")
    print(f"descriptors {before[0]} to {after[0]}, memory {before[1]} to {after[1]} KiB")
    if after[0] > before[0]:
        faults.append("descriptors grow")
    if after[1] > before[1] * 1.2 + 5_000:
        faults.append("memory grows")
    server.close()
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    socket.setdefaulttimeout(None)
    faults = yibu.run(run(options.seconds, options.seed))
    for fault in faults[:10]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
