"""Runs tests again and again and measures what each round leaves behind, as `regrtest -R` does.

Called by `child`; `tests.leaks.suite` starts it and judges.
"""

import importlib
import statistics
import unittest
from collections.abc import Callable, Sequence

from tests.leaks.measuring import state

from . import selection

WARM_UP = 3
"""Rounds that fill what fills: caches, free lists, modules that a test imports."""

ROUNDS = 20
"""A leak grows in every one of them."""

QUIET = 3
"""So many rounds in a row that grew by nothing in all, and the rest may be left out."""


def repeat(
    tests: list[unittest.TestCase],
    reporter: Callable[[], unittest.TestResult],
    tell: Callable[[Sequence[int]], None],
) -> None:
    """Run the tests until they leave nothing behind, or often enough; tell the growth of each round."""
    clear_caches = _cache_cleaner()
    strays = _left_behind_by(clear_caches)
    grown: list[Sequence[int]] = []
    before = None
    for number in range(WARM_UP + ROUNDS):
        # A suite forgets the tests that it has run, and a test remembers that it ran.
        unittest.TestSuite(type(test)(selection.method_name(test)) for test in tests).run(reporter())
        clear_caches()
        after = state()[:3]
        if number >= WARM_UP and before is not None:
            growth = [new - old - stray for new, old, stray in zip(after, before, strays, strict=True)]
            tell(growth)
            grown.append(growth)
            if is_quiet(grown[-QUIET:]):
                return
        # Before the measurement of the next round, so that it does not count what belongs to this one.
        before = state()[:3]


def is_quiet(growths: Sequence[Sequence[int]]) -> bool:
    """Whether these rounds together left nothing behind."""
    return len(growths) == QUIET and all(sum(each) <= 0 for each in zip(*growths, strict=True))


def _left_behind_by(function: Callable[[], None]) -> Sequence[int]:
    """What each call leaves behind: 3.15 keeps a block each time it clears its caches."""
    growths = []
    before = None
    for _ in range(8):
        function()
        after = state()[:3]
        if before is not None:
            growths.append([new - old for new, old in zip(after, before, strict=True)])
        before = state()[:3]
    # Not the least: one round may free what an earlier one has made.
    return [max(0, statistics.median_low(each)) for each in zip(*growths, strict=True)]


def _cache_cleaner() -> Callable[[], None]:
    """What `regrtest -R` clears of the standard library's caches between its rounds."""
    for module in ("test.libregrtest.utils", "test.libregrtest.refleak"):
        cleaner = getattr(importlib.import_module(module), "clear_caches", None)
        if cleaner is not None:
            return cleaner
    return lambda: None
