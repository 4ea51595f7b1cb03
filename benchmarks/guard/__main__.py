"""Counts instructions of the hot paths and compares them with the baseline: `python -m benchmarks.guard`.

The status is 1 when a row takes more instructions than the baseline and its tolerance allow, and 0 also
when nothing could be compared: no valgrind, no baseline of this Python version, or another build than the
baseline's.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence

from benchmarks.guard import callgrind
from benchmarks.guard.baseline import Baseline, Build, load, path_for, record, spread
from benchmarks.guard.rows import ROWS, Row
from benchmarks.micro.catalogue import benchmarks

RECORDED_RUNS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = parser().parse_args(arguments)
    if callgrind.version() is None:
        print("not compared: valgrind is not installed (Debian: apt-get install valgrind)")
        return 0
    if options.record and options.only:
        print("--record counts every row: leave --only out")
        return 2
    rows = selected(options.only)
    version = "{}.{}".format(*sys.version_info[:2])
    path, build = path_for(version), Build.here()
    if options.record:
        kept = record(path, build, [callgrind.counts(sys.executable, rows) for _ in range(RECORDED_RUNS)])
        print_counts(kept.counts, kept)
        return 0
    if not path.exists():
        print(f"not compared: there is no baseline for CPython {version}; --record makes one")
        return 0
    baseline = load(path)
    if differences := build.differences(baseline.build):
        print(f"not compared: {path.name} was recorded with another build; {'; '.join(differences)}")
        return 0
    counts = callgrind.counts(sys.executable, rows)
    again = callgrind.counts(sys.executable, rows) if options.twice else {}
    print_counts(counts, baseline, again)
    return 1 if report(counts, baseline) else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.guard", description="Instructions of the hot paths."
    )
    parser.add_argument(
        "--record", action="store_true", help="write the baseline of this Python version anew"
    )
    parser.add_argument(
        "--only", metavar="REGEX", default="", help="count the rows whose name has this in it"
    )
    parser.add_argument("--twice", action="store_true", help="count twice and show how far the runs differ")
    return parser


def selected(pattern: str) -> list[Row]:
    """The rows that this interpreter can run and the command line asks for."""
    known = {benchmark.key for benchmark in benchmarks()}
    return [row for row in ROWS if row.key in known and re.search(pattern, row.key)]


def print_counts(
    counts: Mapping[str, float], baseline: Baseline, again: Mapping[str, float] | None = None
) -> None:
    """A line for each row."""
    width = max(map(len, counts))
    print(
        f"{'instructions per operation':<{width}} {'baseline':>10} {'now':>10} {'change':>8} {'allowed':>8}"
    )
    for key, count in counts.items():
        before = baseline.counts.get(key)
        change = "new" if before is None else f"{100 * (count / before - 1):+.1f} %"
        line = f"{key:<{width}} {before or 0:>10,.0f} {count:>10,.0f} {change:>8}"
        line += f" {baseline.tolerance(key):>6.1f} %"
        if again:
            line += f"   runs differ by {spread([count, again[key]]):.2f} %"
        print(line)


def report(counts: Mapping[str, float], baseline: Baseline) -> list[str]:
    """Says which rows take more than they may; returns them."""
    dearer, cheaper = [], []
    for key, count in counts.items():
        change = 100 * (count / baseline.counts.get(key, count) - 1)
        if change > baseline.tolerance(key):
            dearer.append(key)
        elif change < -baseline.tolerance(key):
            cheaper.append(key)
    if cheaper:
        print(f"{len(cheaper)} rows take fewer instructions than the baseline: renew it with --record")
    if dearer:
        print(f"{len(dearer)} rows take more instructions than the baseline and their tolerance allow:")
        print("".join(f"  {key}\n" for key in dearer), end="")
        print("If the change is worth it, say so in the commit and renew the baseline with --record.")
    return dearer


if __name__ == "__main__":
    sys.exit(main())
