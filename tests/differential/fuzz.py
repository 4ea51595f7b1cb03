"""Looks for a program that behaves differently on asyncio and on yibu, for as long as it is told to.

    python -m tests.differential.fuzz --seconds 600             from a seed of the clock's choosing
    python -m tests.differential.fuzz --seconds 600 --seed 1    the same programs again
    python -m tests.differential.fuzz --program 17              one program, its traces and where they part

What it finds is printed as a program from which nothing more can be left out, with its seed.
"""

import argparse
import gc
import sys
import time

from .fuzzing.comparison import difference, traces
from .fuzzing.grammar import draw
from .fuzzing.shrinking import shrunk


def arguments():
    parser = argparse.ArgumentParser(
        prog="python -m tests.differential.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long to look")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 10**6, help="the first program's seed")
    parser.add_argument("--stop", type=int, default=1, help="how many differences to find before stopping")
    parser.add_argument("--program", type=int, help="run the program of this seed only, and show all of it")
    parser.add_argument("--impl", choices=("yibu", "asyncio"), default="yibu", help="what is under test")
    return parser


def show(seed, program, found):
    print(f"\nseed {seed}, mode {program.mode!r}\n\n{program.source()}\n{found}", flush=True)


def main():
    given = arguments().parse_args()
    from tests.conftest import Implementation  # with pytest, which --help does not need

    impl = Implementation(given.impl)
    gc.collect()
    gc.freeze()  # programs collect, and what is here already need not be looked at
    if given.program is not None:
        program = draw(given.program)
        for name, trace in zip(("asyncio", given.impl), traces(program, impl), strict=True):
            print(f"{name}:", *trace, sep="\n  ")
        show(given.program, program, difference(program, impl))
        return 0
    end, seed, found = time.monotonic() + given.seconds, given.seed, 0
    while time.monotonic() < end and found < given.stop:
        if difference(draw(seed), impl):
            found += 1
            program = shrunk(draw(seed), lambda candidate: difference(candidate, impl) is not None)
            show(seed, program, difference(program, impl))
        seed += 1
    print(f"{seed - given.seed} programs from seed {given.seed}: {found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
