"""granian started by a program, with yibu in its registry of loops."""

import sys

import yibu
from granian import Granian, loops
from granian.constants import Interfaces


@loops.register("auto")
def yibu_loop():
    """Make the loop of a worker process."""
    return yibu.new_event_loop()


if __name__ == "__main__":
    Granian("plain:app", port=int(sys.argv[1]), interface=Interfaces.ASGI).serve()
