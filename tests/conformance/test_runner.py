"""The whole runner, with processes: asyncio itself gets through it, a defective implementation does not."""

import json
from pathlib import Path

import pytest

from . import __main__ as command_line
from . import outcome, report
from .expectations import Expectations, Problem, judge
from .results import Results
from .runner import Options, run_all

pytest.importorskip("test.test_asyncio", reason="this interpreter has no test package")

# Each test starts a few interpreters, on machines that may be busy.
pytestmark = pytest.mark.time_limit(300)

STOCK = "tests.conformance.stock"


def run(
    implementation: str, module: str, match: str = "", seconds: float = 60
) -> tuple[Results, list[Problem]]:
    """Run part of a module with nothing expected to fail."""
    options = Options(implementation, [module], match, jobs=2, seconds_per_test=seconds)
    results = run_all(options, lambda module: None)
    return results, judge(results, Expectations())


def test_asyncio_itself_passes() -> None:
    results, problems = run(STOCK, "test_futures2")
    assert problems == []
    (module,) = results.modules.values()
    assert module.outcomes
    assert {found.state for found in module.outcomes.values()} == {outcome.PASSED}


def test_a_module_on_the_test_loop_runs_on_the_implementations_loop_too() -> None:
    results, problems = run(STOCK, "test_futures", match=r"\.CFutureTests\.test_result")
    assert problems == []
    assert sorted(results.modules) == ["test_futures", "test_futures@loop"]
    assert [len(module.outcomes) for module in results.modules.values()] == [1, 1]


def test_a_wrong_result_is_found() -> None:
    _, problems = run(
        "tests.conformance.broken.forgetful", "test_futures", match=r"test_futures\.CFutureTests"
    )
    found = {problem.test.rpartition(".")[2]: problem.what for problem in problems}
    assert found["test_result"] == outcome.FAILED
    assert "test_constructor_positional" not in found


def test_a_hang_is_found_and_the_next_test_still_runs() -> None:
    results, problems = run("tests.conformance.broken.endless", "test_context", seconds=2)
    assert [problem.what for problem in problems] == [outcome.HUNG]
    results, _ = run(
        "tests.conformance.broken.endless", "test_threads", match="test_to_thread(_once)?$", seconds=2
    )
    (module,) = results.modules.values()
    assert [found.state for found in module.outcomes.values()] == [outcome.HUNG, outcome.HUNG]


def test_a_crash_is_found() -> None:
    _, problems = run("tests.conformance.broken.deadly", "test_context")
    assert [problem.what for problem in problems] == [outcome.CRASHED]
    assert "Fatal Python error: Aborted" in problems[0].detail


def test_tests_that_skip_themselves_are_found() -> None:
    _, problems = run("tests.conformance.broken.evasive", "test_futures", match="CFutureTests")
    assert "newly skipped" in {problem.what for problem in problems}


def test_a_bad_end_after_the_last_test_is_found() -> None:
    _, problems = run("tests.conformance.broken.messy", "test_context")
    assert {problem.what for problem in problems} == {"trouble"}
    assert any("exited with 3" in problem.detail for problem in problems)


def test_an_implementation_that_cannot_be_imported_is_found() -> None:
    _, problems = run("tests.conformance.broken.nowhere", "test_context")
    assert "trouble" in {problem.what for problem in problems}
    assert any("No module named" in problem.detail for problem in problems)


def test_exclusions_name_their_reasons() -> None:
    results, problems = run(STOCK, "test_base_events", match="test_close")
    assert problems == []
    excluded = results.modules["test_base_events"].excluded
    assert excluded["test_base_events.BaseEventLoopTests.test__run_once"][0] == "white box"
    assert "_run_once" in excluded["test_base_events.BaseEventLoopTests.test__run_once"][1]
    assert "test_base_events.BaseEventLoopTests.test_call_later_no_delay" not in excluded
    assert all(kind and reason for kind, reason in excluded.values())


def test_the_command_line_writes_a_record_that_makes_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.json"
    arguments = ["--implementation", STOCK, "--modules", "test_context", "--json", str(record)]
    assert command_line.main(arguments) == 0
    assert "1 passed, 0 skipped, 0 known failures, 0 problems" in capsys.readouterr().out
    assert json.loads(record.read_text())["modules"]["test_context"]["counts"]["passed"] == 1
    assert "| test_context | 1 of 1 |" in report.table([record])
    assert command_line.main(["--implementation", "tests.conformance.broken.deadly", *arguments[2:]]) == 1


def test_an_unknown_module_is_refused() -> None:
    with pytest.raises(SystemExit, match="test_nothing"):
        command_line.main(["--modules", "test_nothing"])
