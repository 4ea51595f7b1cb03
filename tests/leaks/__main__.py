"""Measures what each path of the API leaves behind: `python -m tests.leaks [--rounds N] [PATH ...]`.

The paths are in `programs`, `transports` and `waiting`.
"""

import argparse
import asyncio
import sys
import warnings

from tests.leaks import transports, waiting  # noqa: F401 - they register paths
from tests.leaks.measuring import measure
from tests.leaks.planted import PLANTED
from tests.leaks.programs import PATHS, Place


async def run(functions, rounds):
    leaking = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    async with Place() as place:
        for function in functions:
            growth = await measure(function, place, rounds)
            if growth.has_grown():
                leaking.append(function)
            print(
                f"{function.__name__:32}{growth.blocks:8} blocks {growth.references:8} references "
                f"{growth.descriptors:4} descriptors {growth.resident >> 10:8} KiB"
                f"{'   LEAK' if growth.has_grown() else ''}",
                flush=True,
            )
    return leaking


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.leaks", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="operations in each measurement")
    paths = PATHS | PLANTED
    parser.add_argument(
        "names", nargs="*", metavar="PATH", choices=[*paths, []], help="which ones; all by default"
    )
    options = parser.parse_args()
    import yibu  # not needed for --help, which is there before yibu is built

    warnings.simplefilter("ignore", ResourceWarning)
    yibu.install()
    leaking = asyncio.run(run([paths[name] for name in options.names or PATHS], options.rounds))
    print(f"{len(leaking)} paths leak" if leaking else "nothing leaks")
    return bool(leaking)


if __name__ == "__main__":
    sys.exit(main())
