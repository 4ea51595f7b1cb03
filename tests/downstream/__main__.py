"""`python -m tests.downstream [SUITE ...]`: the suites on asyncio, on yibu's loop, and with yibu installed.

`make downstream` calls this in an environment that has what the suites need; `make test` with `--quick`.
The exit code is 0 if no test is worse on yibu than on asyncio, but for those that `expectations/` names,
and none of those passes.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from tests.downstream.expectations import expected
from tests.downstream.outcomes import MISSING, Run, judge, worse
from tests.downstream.redis_server import program
from tests.downstream.running import run
from tests.downstream.sources import CannotDownload, prepare
from tests.downstream.suites import SUITES

# More failures than this have one cause: to try all of them again, or show them, helps nobody.
MANY = 60
MODES = ("loop", "installed")


class Comparison:
    """Runs suites and counts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder: Path = options.folder
        self.version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        self.passed = self.failed = self.skipped = 0
        self.shown: list[str] = []  # again at the end

    def fail(self, text: str, details: str = "") -> None:
        self.failed += 1
        self.shown.append(f"FAILED {text}")
        print(f"FAILED {text}", *details.splitlines(), sep="\n    ", flush=True)

    def skip(self, text: str) -> None:
        """Leave a suite out, which is an error where all must run."""
        if os.environ.get("CI"):
            self.fail(text)
        else:
            self.skipped += 1
            print(f"skipped {text}", flush=True)

    def suite(self, name: str) -> None:
        """Compare one suite in both modes."""
        suite = SUITES[name]
        tests = suite.quick if self.options.quick else suite.tests
        if suite.needs_redis and program() is None:
            self.skip(
                f"{name}: there is no redis-server or valkey-server (Debian: apt-get install redis-server)"
            )
            return
        try:
            source = prepare(name, self.folder / "sources")
        except CannotDownload as error:
            self.skip(f"{name}: the suite cannot be downloaded: {error}")
            return
        asyncio = self.run(name, source, "asyncio", self.options.tests or tests)
        least = 1 if self.options.tests else suite.quick_at_least if self.options.quick else suite.at_least
        if asyncio.trouble or asyncio.passed() < least:
            trouble = asyncio.trouble or f"only {asyncio.passed()} tests pass, {least} should"
            self.fail(f"{name} on asyncio: {trouble}")
            return
        for on in self.options.on:
            self.compare(name, source, asyncio, on, self.options.tests or tests)

    def run(self, name: str, source: Path, on: str, tests: list[str], log: str = "log") -> Run:
        started = time.monotonic()
        suite = SUITES[name]
        limit = suite.limit if not self.options.quick else 90
        path = self.folder / f"{name}-{on}.{log}"
        found = run(suite, source, sys.executable, on, tests, path, limit)
        counts = dict.fromkeys(("passed", "failed", "skipped", "xfailed", "xpassed"), 0)
        for outcome in found.outcomes.values():
            counts[outcome] += 1
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        print(f"{name} on {on}: {said or 'nothing'} ({time.monotonic() - started:.0f} s)", flush=True)
        return found

    def compare(self, name: str, source: Path, asyncio: Run, on: str, tests: list[str]) -> None:
        yibu = self.run(name, source, on, tests)
        known = expected(name, on, self.version)
        bad = worse(asyncio, yibu)
        again = Run()
        to_try = [test for test in bad if test not in known and "::" in test]
        if 0 < len(to_try) <= MANY:
            again = self.run(name, source, on, to_try, "again.log")
        verdict = judge(bad, again, yibu, known)
        for test in verdict.flaky:
            print(f"flaky {name} on {on}: {test} passed when it was tried again", flush=True)
        for test in verdict.expected:
            print(f"known {name} on {on}: {test}: {known[test]}", flush=True)
        if yibu.trouble:
            self.fail(f"{name} on {on}: {yibu.trouble}")
        for test in verdict.failed[:MANY]:
            text = yibu.texts.get(test, "").strip()[-1500:]
            self.fail(f"{name} on {on}: {test} ({yibu.outcomes.get(test, MISSING)})", text)
        if len(verdict.failed) > MANY:
            self.fail(f"{name} on {on}: and {len(verdict.failed) - MANY} tests more")
        for test in verdict.better:
            self.fail(f"{name} on {on}: {test} is listed in expectations/ and passes: take it out")
        self.passed += sum(test not in bad for test in asyncio.outcomes)


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.downstream", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="the subset that `make test` runs")
    parser.add_argument("--on", action="append", choices=MODES, help="only as the loop, or only installed")
    parser.add_argument(
        "--tests", action="append", help="only this file or test of the suite; may be repeated"
    )
    parser.add_argument("--folder", type=Path, default=Path("build/downstream"), help="for sources and logs")
    options = parser.parse_args(arguments)
    options.on = options.on or list(MODES)
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    unknown = set(options.suites) - set(SUITES)
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    names = options.suites or [name for name, suite in SUITES.items() if suite.quick or not options.quick]
    comparison = Comparison(options)
    for name in names:
        comparison.suite(name)
    print()
    for text in comparison.shown:
        print(text)
    print(f"{comparison.passed} passed, {comparison.failed} failed, {comparison.skipped} skipped")
    return 1 if comparison.failed else 0


if __name__ == "__main__":
    sys.exit(main())
