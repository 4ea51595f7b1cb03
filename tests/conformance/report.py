"""What is printed while and after a run, the JSON record of it, and the table made from such records."""

import json
from pathlib import Path
from typing import Any

from . import outcome
from .expectations import Expectations, Problem
from .results import ModuleResults, Results

BAD = (outcome.FAILED, outcome.ERROR, outcome.HUNG, outcome.CRASHED, outcome.NOT_RUN)
COLUMNS = ("tests", "excluded", "skipped", "passed", "not passed", "seconds")


def counts(module: ModuleResults) -> dict[str, int]:
    """The numbers of one line."""
    return {
        "tests": len(module.loaded),
        "excluded": len(module.excluded),
        "skipped": module.count(outcome.SKIPPED),
        "passed": module.count(*outcome.GOOD),
        "not passed": module.count(*BAD),
        "seconds": round(module.seconds),
    }


def print_head() -> None:
    print(f"{'module':26}" + "".join(f"{column:>11}" for column in COLUMNS), flush=True)


def print_module(module: ModuleResults) -> None:
    """One line as soon as a module is complete."""
    note = f"  {module.skipped_because}" if module.skipped_because else ""
    print(f"{module.label:26}" + "".join(f"{n:>11}" for n in counts(module).values()) + note, flush=True)


def print_end(results: Results, problems: list[Problem], expectations: Expectations, verbose: bool) -> None:
    """The totals, and every problem."""
    total = dict.fromkeys(COLUMNS, 0)
    kinds: dict[str, int] = {}
    for module in results.modules.values():
        for column, number in counts(module).items():
            total[column] += number
        for kind, _ in module.excluded.values():
            kinds[kind] = kinds.get(kind, 0) + 1
    print(f"{'all':26}" + "".join(f"{number:>11}" for number in total.values()))
    if kinds:
        print("excluded: " + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())))
    for problem in problems:
        lines = [line for line in problem.detail.splitlines() if line.strip()] or [""]
        print(f"\n{problem.what.upper()} {problem.test}: {lines[-1].strip()[:300]}")
        if verbose:
            print("    " + "\n    ".join(problem.detail.splitlines()))
    known = sum(
        test in expectations.known and found.state in BAD
        for module in results.modules.values()
        for test, found in module.outcomes.items()
    )
    print(
        f"\n{results.implementation} on CPython {results.python}: {total['passed']} passed, "
        f"{total['skipped']} skipped, {known} known failures, {len(problems)} problems",
        flush=True,
    )


def write_json(path: Path, results: Results, problems: list[Problem], expectations: Expectations) -> None:
    """The record of a run, complete enough to compare two of them."""
    record = {
        "implementation": results.implementation,
        "python": results.python,
        "complete": results.complete,
        "problems": [vars(problem) for problem in problems],
        "modules": {label: _module_record(module, expectations) for label, module in results.modules.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1))


def _module_record(module: ModuleResults, expectations: Expectations) -> dict[str, Any]:
    return {
        "counts": counts(module),
        "excluded": module.excluded,
        "outcomes": {test: found.state for test, found in module.outcomes.items()},
        "known": {test: expectations.known[test] for test in module.outcomes if test in expectations.known},
        "messages": {
            test: found.message for test, found in module.outcomes.items() if found.state not in outcome.GOOD
        },
    }


def table(paths: list[Path]) -> str:
    """Markdown for the documentation: passed of run, by module and Python version."""
    records = sorted((json.loads(path.read_text()) for path in paths), key=_version)
    versions = [record["python"] for record in records]
    labels = sorted({label for record in records for label in record["modules"]})
    lines = ["| module | " + " | ".join(versions) + " |", "|---|" + "---:|" * len(versions)]
    for label in labels:
        cells = [_cell(record["modules"].get(label)) for record in records]
        if any(cells):
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    kinds = sorted({kind for record in records for kind in _kinds(record)})
    for kind in kinds:
        lines.append(
            f"| excluded: {kind} | " + " | ".join(str(_kinds(r).get(kind, 0)) for r in records) + " |"
        )
    return "\n".join(lines) + "\n"


def _version(record: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int("".join(c for c in part if c.isdigit())) for part in record["python"].split(".")[:3])


def _cell(module: dict[str, Any] | None) -> str:
    if module is None:
        return ""
    passed, bad = module["counts"]["passed"], module["counts"]["not passed"]
    return f"{passed} of {passed + bad}" if passed + bad else ""


def _kinds(record: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for module in record["modules"].values():
        for kind, _ in module["excluded"].values():
            found[kind] = found.get(kind, 0) + 1
    return found
