"""What CPython's own suite leaves behind on yibu: `python -m tests.leaks.suite [--modules ...] [-j N]`.

Each class of tests is run again and again in a process of its own (`tests.conformance.repeating`). Where
every round leaves something behind, each test of the class is, and those that leak are named.
"""

import argparse
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.conformance import process, runner
from tests.conformance.order import REPEAT, Order
from tests.conformance.repeating import QUIET, is_quiet

WHAT = ("blocks", "references", "descriptors")

SECONDS = 1800
"""For one class."""


def measure(order: Order):
    """Tell what the last rounds of an order left behind; None where that is nothing."""
    report = process.run(order, SECONDS)
    growths = [event["growth"] for event in report.events if event["event"] == "round"]
    if not report.finished:
        return f"did not finish (exit code {report.exit_code})\n{report.output}"
    if not growths or is_quiet(growths[-QUIET:]):
        return None
    return ", ".join(f"{name} {[growth[place] for growth in growths]}" for place, name in enumerate(WHAT))


def classes_of(options: runner.Options):
    """Every class of tests, as an order, with the names of its tests."""
    for order in runner.orders(options):
        planned = runner.census(order).planned
        for class_name in dict.fromkeys(name.split(".")[1] for name in planned):
            tests = [name for name in planned if name.split(".")[1] == class_name]
            yield replace(order, task=REPEAT, class_name=class_name), tests


def judge(order: Order, tests: list[str]):
    """Find the tests of a class that leave something behind every time."""
    growth = measure(order)
    if growth is None:
        return []
    alone = {name: measure(replace(order, match=f"^{re.escape(name)}$")) for name in tests}
    leaking = [f"{name}: {grown}" for name, grown in alone.items() if grown is not None]
    # What no test leaves behind by itself fills up when they run together.
    return leaking or [f"{order.label}.{order.class_name} as a whole: {growth}"]


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.leaks.suite", description=__doc__.splitlines()[0])
    parser.add_argument("--implementation", default="yibu", help="'asyncio' for the standard library's own")
    parser.add_argument("--modules", default="", help="comma-separated; all by default")
    parser.add_argument("--match", default="", help="regular expression on module.Class.test")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes side by side")
    given = parser.parse_args()
    options = runner.Options(
        implementation=None if given.implementation == "asyncio" else given.implementation,
        modules=[name for name in given.modules.split(",") if name],
        match=given.match,
    )
    leaking = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        judged = [(order, pool.submit(judge, order, tests)) for order, tests in classes_of(options)]
        for order, found in judged:
            lines = found.result()
            leaking += len(lines)
            print("\n".join(lines or [f"{order.label}.{order.class_name}: nothing"]), flush=True)
    print(f"{leaking} tests leak" if leaking else "nothing leaks")
    return bool(leaking)


if __name__ == "__main__":
    sys.exit(main())
