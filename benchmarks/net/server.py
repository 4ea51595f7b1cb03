"""The server process: `python -m benchmarks.net.server NAME STYLE`.

Prints the port it listens on and serves until it is killed. Started by `measure.py`.
"""

import sys

from benchmarks.contenders import Namespace, by_name
from benchmarks.net.protocols import listen


async def serve(asyncio: Namespace, style: str) -> None:
    """Listen, say where, and stay."""
    server = await listen(asyncio, style)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


def main() -> None:
    """Serve in the style of the command line on the contender's loop."""
    contender, style = by_name(sys.argv[1]), sys.argv[2]
    namespace = contender.import_namespace()
    with namespace.Runner(loop_factory=contender.loop_factory()) as runner:
        runner.run(serve(namespace, style))


if __name__ == "__main__":
    main()
