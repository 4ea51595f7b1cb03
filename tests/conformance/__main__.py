"""The command line of the conformance runner.

python -m tests.conformance                               everything, on yibu
python -m tests.conformance --implementation tests.conformance.stock    the calibration
python -m tests.conformance --modules test_futures,test_tasks@loop -v
python -m tests.conformance --one test_tasks.CTask_CFuture_Tests.test_task_repr
python -m tests.conformance --modules test_streams --faults seed=7,again=40,short_read=60
python -m tests.conformance --list                        what is excluded, and why
python -m tests.conformance --table build/conformance/*.json   the table of docs/conformance.md
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from . import expectations, report
from .order import RUN
from .process import run_in_the_open
from .results import ModuleResults
from .runner import Options, census, orders, run_all

YIBU = "yibu"


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--implementation", default=YIBU, help="module with EventLoop, Future, Task, ...")
    parser.add_argument("--untouched", action="store_true", help="asyncio with nothing swapped or excluded")
    parser.add_argument(
        "--modules", default="", help="comma-separated; test_tasks stands for test_tasks@loop too"
    )
    parser.add_argument("--match", default="", help="regular expression on module.Class.test")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--python", help="the interpreter to run with and to take the tests of")
    parser.add_argument("--path", action="append", default=[], help="put in front of sys.path")
    parser.add_argument("--seconds", type=float, default=60, help="time limit of one test")
    parser.add_argument("--json", type=Path, help="write the record of the run here")
    parser.add_argument(
        "--faults",
        type=faults,
        default={},
        metavar="seed=7,again=40,...",
        help="let system calls of yibu's loops fail (see yibu._yibu._faults); what fails then needs a look:\n"
        "tests that count turns, or end their loop while something is still to be sent, may",
    )
    parser.add_argument("--include-excluded", action="store_true", help="run what is excluded as well")
    parser.add_argument("--one", metavar="TEST", help="run one test in this terminal")
    parser.add_argument("--list", action="store_true", help="list the exclusions and run nothing")
    parser.add_argument("--table", nargs="+", type=Path, metavar="JSON", help="print a table of such records")
    parser.add_argument("-v", "--verbose", action="store_true", help="whole tracebacks")
    return parser


def faults(text: str) -> dict[str, int]:
    """Read `seed=7,again=40`."""
    return {name: int(chance) for name, _, chance in (part.partition("=") for part in text.split(","))}


def main(command_line: list[str]) -> int:
    given = arguments().parse_args(command_line)
    if given.python:
        without = _without_option(command_line, "--python")
        os.execv(given.python, [given.python, "-m", "tests.conformance", *without])
    if given.table:
        print(report.table(given.table), end="")
        return 0
    options = Options(
        implementation=None if given.untouched else given.implementation,
        modules=[name for name in given.modules.split(",") if name],
        match=given.match,
        jobs=given.jobs,
        exclude=not given.include_excluded,
        seconds_per_test=given.seconds,
        paths=[str(Path(path).resolve()) for path in given.path],
        faults=given.faults,
    )
    if given.one:
        return _one(options, given.one)
    if given.list:
        return _list(options)
    # Only yibu has known failures; any other implementation is there to try the runner.
    expected = expectations.Expectations()
    if options.implementation == YIBU:
        expected = expectations.Expectations.load("{}.{}".format(*sys.version_info))
    report.print_head()
    results = run_all(options, report.print_module)
    problems = expectations.judge(results, expected)
    report.print_end(results, problems, expected, given.verbose)
    if given.json:
        report.write_json(given.json, results, problems, expected)
    return 1 if problems else 0


def _without_option(command_line: list[str], option: str) -> list[str]:
    kept, skip = [], False
    for argument in command_line:
        if skip:
            skip = False
        elif argument == option:
            skip = True
        elif not argument.startswith(option + "="):
            kept.append(argument)
    return kept


def _one(options: Options, test: str) -> int:
    """Run one test, or all that begin with the name, without a time limit and with all output."""
    label, class_name, *_ = [*test.split("."), ""]
    for order in orders(replace(options, modules=[label])):
        if order.label == label:
            return run_in_the_open(
                replace(order, task=RUN, class_name=class_name, match="^" + test, seconds_per_test=3600)
            )
    raise SystemExit(f"no such module in this interpreter: {label}")


def _list(options: Options) -> int:
    for order in orders(options):
        module: ModuleResults = census(order)
        for test, (kind, reason) in module.excluded.items():
            print(f"{kind:11} {test}: {reason}")
        for trouble in module.troubles:
            print(trouble, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
