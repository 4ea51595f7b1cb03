"""The known failures of a Python version, and the judgement on every outcome of a run.

A known failure is written down with its reason in `known_failures/<version>.toml`:

    [[known]]
    reason = "what is missing or different"
    tests = ["test_module.Class.test", ...]

The list is strict in both directions: a failure that is not in it fails the run, and so does a test in it
that passes, or that does not exist.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import outcome
from .results import ModuleResults, Results

FOLDER = Path(__file__).parent / "known_failures"

# Skips that a test decides on while it runs, because of the machine. Any other reason fails the run: an
# implementation must not slip out of a test by looking like a platform that it does not suit.
SKIPS_OF_THE_MACHINE = (
    r".*[Ii][Pp]v6.*",
    r".*requires a network.*",
    r".*resource .* is not enabled.*",
    r"not enough memory: .*",
    r".*gettotalrefcount.*",  # needs a debug build of the interpreter
)

# Modules in which nothing may be a known failure.
HELD = frozenset(
    {
        "test_base_events",
        "test_buffered_proto",
        "test_context",
        "test_eager_task_factory",
        "test_events",
        "test_futures",
        "test_futures2",
        "test_pep492",
        "test_runners",
        "test_server",
        "test_sock_lowlevel",
        "test_tasks",
    }
)


@dataclass
class Expectations:
    """Known failures by test id, with their reasons."""

    known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, version: str, folder: Path = FOLDER) -> "Expectations":
        """Those of a version like "3.13"; no file means that none is known."""
        path = folder / f"{version}.toml"
        if not path.exists():
            return cls()
        expectations = cls()
        for entry in tomllib.loads(path.read_text()).get("known", ()):
            if not entry["reason"].strip() or set(entry) != {"reason", "tests"}:
                raise ValueError(f"{path}: an entry needs a reason, tests and nothing else: {entry}")
            for test in entry["tests"]:
                if test in expectations.known:
                    raise ValueError(f"{path}: {test} is listed twice")
                expectations.known[test] = entry["reason"]
        return expectations


@dataclass(frozen=True)
class Problem:
    """One reason why a run fails."""

    test: str
    what: str
    detail: str = ""


def judge(results: Results, expectations: Expectations) -> list[Problem]:
    """Everything that is not as it must be; an empty list is a run that passes."""
    problems = []
    for module in results.modules.values():
        if module.loaded or not module.troubles:
            # Where nothing at all was loaded, the trouble says it once for all tests.
            problems += _judge_census(module)
        problems += _judge_outcomes(module, expectations)
        problems += [Problem(module.label, "trouble", trouble) for trouble in module.troubles]
    problems += _judge_expectations(results, expectations)
    if not any(module.outcomes for module in results.modules.values()):
        problems.append(Problem("everything", "no test was run"))
    return problems


def _judge_census(module: ModuleResults) -> Iterator[Problem]:
    """Every test must be loaded, and skipped by a decorator only where it is for asyncio too."""
    for test, skipped in module.reference.items():
        if test not in module.loaded:
            yield Problem(test, "vanished", "asyncio has this test, the implementation does not load it")
        elif module.loaded[test] is not None and skipped is None and test not in module.excluded:
            yield Problem(test, "newly skipped", f"not skipped for asyncio: {module.loaded[test]}")


def _judge_outcomes(module: ModuleResults, expectations: Expectations) -> Iterator[Problem]:
    for test in module.planned:
        found = module.outcomes.get(test)
        if found is None:
            yield Problem(test, outcome.NOT_RUN, "there is no outcome")
        elif found.state == outcome.SKIPPED:
            if module.loaded[test] is None and not _is_of_the_machine(found.message):
                yield Problem(test, "skipped itself", found.message)
        elif found.state in outcome.GOOD:
            if test in expectations.known:
                yield Problem(test, "passes", f"but is a known failure: {expectations.known[test]}")
        elif test not in expectations.known:
            yield Problem(test, found.state, found.message)


def _judge_expectations(results: Results, expectations: Expectations) -> Iterator[Problem]:
    """The list of known failures must itself be right."""
    for test, reason in expectations.known.items():
        label = test.partition(".")[0]
        if label.partition("@")[0] in HELD:
            yield Problem(test, "held", f"no failure may be known in {label}: {reason}")
        module = results.modules.get(label)
        if module is None:
            if results.complete:
                yield Problem(test, "unknown", "a known failure of a module that does not exist")
        elif test in module.excluded:
            yield Problem(test, "excluded", "a known failure that never runs")
        elif test not in module.loaded:
            yield Problem(test, "unknown", "a known failure that this interpreter does not have")


def _is_of_the_machine(reason: str) -> bool:
    return any(re.fullmatch(pattern, reason, re.DOTALL) for pattern in SKIPS_OF_THE_MACHINE)
