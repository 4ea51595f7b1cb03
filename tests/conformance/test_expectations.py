"""The judgement: every way in which a run can be wrong fails it, and nothing else does."""

from pathlib import Path

import pytest

from . import outcome
from .expectations import Expectations, judge
from .outcome import Outcome
from .results import ModuleResults, Results

TEST = "test_queues.QueueTests.test_put"
OTHER = "test_queues.QueueTests.test_get"


def results(state: str = outcome.PASSED, message: str = "") -> Results:
    """A run of one module with one test that ended like this."""
    module = ModuleResults("test_queues", {TEST: None}, {TEST: None}, planned=[TEST])
    module.outcomes[TEST] = Outcome(state, message)
    return Results("some implementation", "3.13.0", complete=True, modules={"test_queues": module})


def kinds(run: Results, known: dict[str, str] | None = None) -> list[tuple[str, str]]:
    return [(problem.test, problem.what) for problem in judge(run, Expectations(known or {}))]


@pytest.mark.parametrize("state", [outcome.PASSED, outcome.EXPECTED_FAILURE])
def test_what_passes_is_no_problem(state: str) -> None:
    assert kinds(results(state)) == []


@pytest.mark.parametrize(
    "state", [outcome.FAILED, outcome.ERROR, outcome.HUNG, outcome.CRASHED, outcome.NOT_RUN]
)
def test_an_unexpected_failure_is_a_problem_and_a_known_one_is_not(state: str) -> None:
    assert kinds(results(state)) == [(TEST, state)]
    assert kinds(results(state), {TEST: "not there yet"}) == []


def test_a_known_failure_that_passes_is_a_problem() -> None:
    assert kinds(results(), {TEST: "not there yet"}) == [(TEST, "passes")]


def test_a_known_failure_must_be_a_test_that_runs() -> None:
    assert kinds(results(), {OTHER: "no such test"}) == [(OTHER, "unknown")]
    assert kinds(results(), {"test_gone.X.test_y": "no such module"}) == [("test_gone.X.test_y", "unknown")]
    run = results()
    run.modules["test_queues"].loaded[OTHER] = None
    run.modules["test_queues"].excluded[OTHER] = ("white box", "some part")
    assert kinds(run, {OTHER: "never runs"}) == [(OTHER, "excluded")]


def test_a_partial_run_says_nothing_about_other_modules() -> None:
    run = results()
    run.complete = False
    assert kinds(run, {"test_locks.LockTests.test_lock": "elsewhere"}) == []


def test_no_failure_may_be_known_in_a_held_module() -> None:
    run = results()
    run.complete = False
    for test in ("test_tasks.X.test_y", "test_tasks@loop.X.test_y"):
        assert kinds(run, {test: "too hard"}) == [(test, "held")]


def test_a_planned_test_without_an_outcome_is_a_problem() -> None:
    run = results()
    run.modules["test_queues"].planned.append(OTHER)
    assert kinds(run) == [(OTHER, outcome.NOT_RUN)]


def test_a_test_that_only_asyncio_loads_is_a_problem() -> None:
    run = results()
    run.modules["test_queues"].reference[OTHER] = None
    assert kinds(run) == [(OTHER, "vanished")]


def test_a_decorator_may_skip_what_it_skips_for_asyncio_and_no_more() -> None:
    run = results(outcome.SKIPPED, "Windows only")
    run.modules["test_queues"].loaded[TEST] = "Windows only"
    assert kinds(run) == [(TEST, "newly skipped")]
    run.modules["test_queues"].reference[TEST] = "Windows only"
    assert kinds(run) == []


def test_a_test_may_skip_itself_because_of_the_machine_only() -> None:
    assert kinds(results(outcome.SKIPPED, "IPv6 not supported or enabled")) == []
    assert kinds(results(outcome.SKIPPED, "loop is not a BaseSelectorEventLoop")) == [
        (TEST, "skipped itself")
    ]


def test_trouble_around_the_tests_is_a_problem() -> None:
    run = results()
    run.modules["test_queues"].troubles.append("the process exited with 3")
    assert kinds(run) == [("test_queues", "trouble")]


def test_a_run_of_nothing_does_not_pass() -> None:
    run = results()
    run.modules.clear()
    assert kinds(run) == [("everything", "no test was run")]


def test_known_failures_are_read_with_their_reasons(tmp_path: Path) -> None:
    (tmp_path / "3.13.toml").write_text(f'[[known]]\nreason = "later"\ntests = ["{TEST}", "{OTHER}"]\n')
    assert Expectations.load("3.13", tmp_path).known == {TEST: "later", OTHER: "later"}
    assert Expectations.load("3.14", tmp_path).known == {}


@pytest.mark.parametrize(
    "text",
    [
        f'[[known]]\nreason = ""\ntests = ["{TEST}"]\n',
        f'[[known]]\nreason = "a"\ntests = ["{TEST}", "{TEST}"]\n',
        f'[[known]]\nreason = "a"\ntests = ["{TEST}"]\nuntil = "never"\n',
    ],
)
def test_a_careless_list_of_known_failures_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "3.13.toml").write_text(text)
    with pytest.raises(ValueError, match=r"3\.13\.toml"):
        Expectations.load("3.13", tmp_path)
