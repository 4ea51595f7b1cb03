"""The server process: `python -m benchmarks.net.server NAME STYLE`.

Prints the port it listens on and serves until it is killed. Started by `measure.py`.
"""

import sys

from benchmarks.contenders import Namespace, by_name
from benchmarks.net.datagrams import receive
from benchmarks.net.protocols import listen


async def serve(asyncio: Namespace, style: str) -> None:
    """Listen, say where, and stay."""
    if style.startswith("datagrams"):
        await receive(asyncio.get_running_loop(), style, announce)
    else:
        server = await listen(asyncio, style)
        announce(server.sockets[0].getsockname())
    await asyncio.get_running_loop().create_future()


def announce(address: tuple[str, int]) -> None:
    """Say which port to send to."""
    print("port", address[1], flush=True)


def main() -> None:
    """Serve in the style of the command line on the contender's loop."""
    contender, style = by_name(sys.argv[1]), sys.argv[2]
    namespace = contender.import_namespace()
    with namespace.Runner(loop_factory=contender.loop_factory()) as runner:
        runner.run(serve(namespace, style))


if __name__ == "__main__":
    main()
