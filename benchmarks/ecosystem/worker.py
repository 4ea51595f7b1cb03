"""The measured process: `python -m benchmarks.ecosystem.worker CONTENDER FUNCTION [ADDRESS]`.

A server says `port N` and serves. A client says `ready`, and for each line `go N` does N operations and says
`done N`. yibu is installed where the contender is yibu and not only its loop.
"""

import asyncio
import socket
import sys

from benchmarks.contenders import by_name
from benchmarks.ecosystem import clients, servers


async def serve(function: str) -> None:
    """Be a server."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener.setblocking(False)
    print(f"port {listener.getsockname()[1]}", flush=True)
    await getattr(servers, function)(listener)


async def work(function: str, address: str) -> None:
    """Be a client."""
    async with getattr(clients, function)(address) as do:
        print("ready", flush=True)
        for line in sys.stdin:
            count = int(line.removeprefix("go "))
            await do(count)
            print(f"done {count}", flush=True)


def main() -> None:
    """Run one of both on the contender's loop."""
    name, function, *address = sys.argv[1:]
    contender = by_name(name)
    if contender.namespace == "yibu":
        import yibu

        yibu.install()
    job = work(function, *address) if address else serve(function)
    with asyncio.Runner(loop_factory=contender.loop_factory()) as runner:
        runner.run(job)


if __name__ == "__main__":
    main()
