"""What it costs until a program can make a loop: the import, in a fresh interpreter.

As a program, `python -m benchmarks.imports MODULES import COUNT` imports what the contender needs and prints
the nanoseconds of CPU time that this took. `single.py` starts it.
"""

import sys
import time


def main() -> None:
    """Import, and print what that took."""
    # Nothing else may be imported before: `contenders` imports asyncio itself.
    modules = sys.argv[1].split(",")
    started = time.process_time_ns()
    for name in modules:
        __import__(name)
    print("got", time.process_time_ns() - started, flush=True)


if __name__ == "__main__":
    main()
