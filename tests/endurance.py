"""A long check: a million short connections and ten million messages under random cancellation.

    python -m tests.endurance                                            all of that (`make endurance`)
    python -m tests.endurance --connections 50000 --messages 500000      less
    python -m tests.endurance --seconds 600                              at most so long

Every client names itself in each of its messages, and the server answers with the same name: nothing
may be crossed, nothing lost of what was awaited to its end, and memory and descriptors have to stay where
they were after the first tenth of the work. Clients are cancelled at random places, peers leave without a
word, and the sockets of some connections are closed behind the transport's back while others get their
numbers.
"""

import argparse
import asyncio
import gc
import os
import random
import resource
import sys

CLIENTS = 50
CONNECTIONS = 1_000_000
MESSAGES = 10_000_000
PROGRESS = 15
"""Seconds from one line of progress to the next."""


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
    """What was done, and how much of it is wanted."""

    def __init__(self, connections, messages):
        self.names = self.connections = self.messages = self.cancelled = self.broken = 0
        self.wanted = connections, messages

    def part(self):
        """Return how much of what is wanted is done: 1 when all of it is."""
        return min(self.connections / self.wanted[0], self.messages / self.wanted[1])

    def __str__(self):
        return (
            f"{self.connections} connections, {self.messages} messages, "
            f"{self.cancelled} cancelled, {self.broken} broken off"
        )


async def converse(address, name, source, count):
    """One connection: some messages, each of which has to come back as it was sent."""
    reader, writer = await asyncio.open_connection(*address)
    count.connections += 1
    try:
        for number in range(source.randrange(1, 28)):
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


async def client(address, source, count, is_over):
    """Connections one after the other, some of them cancelled somewhere."""
    while not is_over():
        count.names += 1
        task = asyncio.create_task(converse(address, count.names, source, count))
        if source.random() < 0.3:
            for _ in range(source.randrange(20)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            count.cancelled += 1
        except OSError:
            count.broken += 1


def state():
    """Descriptors, and the memory that the process has at hand, in KiB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return len(os.listdir("/proc/self/fd")), pages * resource.getpagesize() // 1024


async def progress(count):
    """Say now and then how far the work is, and what the process holds."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    while True:
        await asyncio.sleep(PROGRESS)
        descriptors, memory = state()
        print(
            f"{loop.time() - start:.0f} s: {count.part():.1%}, {count}; "
            f"{descriptors} descriptors, {memory} KiB",
            flush=True,
        )


async def run(options):
    loop = asyncio.get_running_loop()
    source, count, faults = random.Random(options.seed), Count(options.connections, options.messages), []
    end = loop.time() + options.seconds

    def report(loop, context):
        error = context.get("exception")
        if not isinstance(error, OSError):
            faults.append(context)

    loop.set_exception_handler(report)
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1000)
    address = server.sockets[0].getsockname()

    async def phase(part, deadline):
        def is_over():
            return count.part() >= part or loop.time() >= deadline or faults

        await asyncio.gather(*[client(address, source, count, is_over) for _ in range(CLIENTS)])
        await asyncio.sleep(0.1)  # the last connections end
        return state()

    reporting = asyncio.create_task(progress(count))
    before = await phase(0.1, loop.time() + options.seconds / 10)
    after = await phase(1, end)
    reporting.cancel()
    print(f"{count.part():.1%} done: {count}")
    print(f"descriptors {before[0]} to {after[0]}, memory {before[1]} to {after[1]} KiB")
    if after[0] > before[0]:
        faults.append("descriptors grow")
    if after[1] > before[1] * 1.2 + 5_000:
        faults.append("memory grows")
    server.close()
    return faults


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.endurance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="how many to make, at least")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="how many to exchange, at least")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="when to stop at the latest")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    import yibu  # not needed for --help, which is there before yibu is built

    faults = yibu.run(run(options))
    for fault in faults[:10]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
