"""The server process: `python -m benchmarks.net.server NAME STYLE`.

Prints the port it listens on and serves until it is killed. Started by `measure.py`.
"""

import os
import sys

from benchmarks.contenders import Namespace, by_name
from benchmarks.net.datagrams import receive
from benchmarks.net.protocols import listen


async def serve(asyncio: Namespace, style: str) -> None:
    """Listen, say where, and stay."""
    if style.startswith("datagrams"):
        await receive(asyncio.get_running_loop(), style, lambda address: announce(address[1]))
    else:
        server = await listen(asyncio, style)
        # A Unix socket has the process's number in its address, and no port.
        announce(os.getpid() if style.startswith("unix ") else server.sockets[0].getsockname()[1])
    await asyncio.get_running_loop().create_future()


def announce(port: int) -> None:
    """Say which port to send to, or the number in the server's Unix address."""
    print("port", port, flush=True)


def main() -> None:
    """Serve in the style of the command line on the contender's loop."""
    contender, style = by_name(sys.argv[1]), sys.argv[2]
    namespace = contender.import_namespace()
    with namespace.Runner(loop_factory=contender.loop_factory()) as runner:
        runner.run(serve(namespace, style))


if __name__ == "__main__":
    main()
