"""What became of each test of a run, and how two runs of one suite differ. Called by `__main__.py`."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

GOOD = {"passed", "xfailed", "xpassed", "skipped"}
MISSING = "did not run"


@dataclass
class Run:
    """The outcomes of one run of a suite, by the name of the test, and why it did not pass."""

    outcomes: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    # Why the run ended before its end, or did not begin.
    trouble: str = ""

    def note(self, test: str, when: str, outcome: str, text: str = "") -> None:
        """Take in one report of pytest: of the set-up, the test itself, or what comes after it."""
        before = self.outcomes.get(test)
        if outcome == "failed":
            self.outcomes[test] = outcome
            self.texts.setdefault(test, text)
        elif before is None or (when == "call" and before != "failed"):
            self.outcomes[test] = outcome

    def passed(self) -> int:
        """How many tests passed."""
        return sum(outcome == "passed" for outcome in self.outcomes.values())


def read(record: Path) -> Run:
    """What `plugin.py` wrote. A last line may be cut off, where the process was killed."""
    run = Run()
    if record.exists():
        for line in record.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            run.note(**entry)
    return run


def worse(asyncio: Run, yibu: Run) -> list[str]:
    """The tests that are good on asyncio and not on yibu, or that only yibu has and fails (imports)."""
    found = []
    for test, outcome in asyncio.outcomes.items():
        here = yibu.outcomes.get(test, MISSING)
        if outcome in GOOD and (here not in GOOD or (outcome == "passed" and here == "skipped")):
            found.append(test)
    found += [
        test
        for test, outcome in yibu.outcomes.items()
        if outcome == "failed" and test not in asyncio.outcomes
    ]
    return found


@dataclass
class Verdict:
    """How a suite did on yibu."""

    failed: list[str]  # and were not expected to
    expected: list[str]
    flaky: list[str]  # failed once, passed when tried again
    better: list[str]  # were expected to fail, and pass


def judge(bad: Iterable[str], again: Run, yibu: Run, expected: Mapping[str, str]) -> Verdict:
    """Sort the tests that are worse than on asyncio. `again` is their second run."""
    verdict = Verdict([], [], [], [])
    for test in bad:
        if test in expected:
            verdict.expected.append(test)
        elif again.outcomes.get(test, MISSING) in GOOD - {"skipped"}:
            verdict.flaky.append(test)
        else:
            verdict.failed.append(test)
    for test in expected:
        if yibu.outcomes.get(test) in GOOD - {"skipped"} and test not in verdict.expected:
            verdict.better.append(test)
    return verdict
