"""The judgement of the downstream suites, on suites that are not run: each way to pass and to fail."""

import re
import tomllib

import pytest

from tests.downstream import __main__ as command
from tests.downstream.expectations import expected
from tests.downstream.outcomes import Run, read, worse
from tests.downstream.sources import PINS, CannotDownload
from tests.downstream.suites import SUITES

TEST = "tests/test_x.py::test_one"
OTHER = "tests/test_x.py::test_other"


@pytest.fixture
def compare(monkeypatch, capsys, tmp_path):
    """Run the command over a suite whose runs are given: asyncio's, yibu's, and that of what failed there."""

    def compare(asyncio, yibu, again=None, known=()):
        given = [Run(asyncio), Run(yibu), Run(again or {})]
        monkeypatch.setattr(command, "prepare", lambda _name, _folder: tmp_path)
        monkeypatch.setattr(command, "run", lambda *_: given.pop(0))
        monkeypatch.setattr(command, "expected", lambda *_: dict.fromkeys(known, "a reason"))
        code = command.main(["janus", "--on=loop", f"--folder={tmp_path}", "--tests=some"])
        return code, capsys.readouterr().out.splitlines()

    return compare


class TestCommand:
    def test_the_same_on_both(self, compare):
        outcomes = {TEST: "passed", OTHER: "failed"}
        code, lines = compare(outcomes, outcomes)
        assert (code, lines[-1]) == (0, "2 passed, 0 failed, 0 skipped")

    @pytest.mark.parametrize("here", [{TEST: "failed"}, {TEST: "skipped"}, {OTHER: "passed"}])
    def test_worse_on_yibu(self, compare, here):
        code, lines = compare({TEST: "passed", OTHER: "passed"}, {OTHER: "passed", **here})
        assert (code, lines[-1]) == (1, "1 passed, 1 failed, 0 skipped")
        assert lines[-2].startswith(f"FAILED janus on loop: {TEST} (")

    def test_better_on_yibu(self, compare):
        assert compare({TEST: "failed", OTHER: "passed"}, {TEST: "passed", OTHER: "passed"})[0] == 0

    def test_an_import_that_fails_on_yibu_only(self, compare):
        assert compare({TEST: "passed"}, {TEST: "passed", "tests/test_y.py": "failed"})[0] == 1

    def test_what_passes_when_tried_again_is_flaky(self, compare):
        code, lines = compare({TEST: "passed"}, {TEST: "failed"}, {TEST: "passed"})
        assert code == 0
        assert f"flaky janus on loop: {TEST} passed when it was tried again" in lines

    def test_what_is_expected(self, compare):
        code, lines = compare(
            {TEST: "passed", OTHER: "passed"}, {TEST: "failed", OTHER: "passed"}, known=[TEST]
        )
        assert code == 0
        assert f"known janus on loop: {TEST}: a reason" in lines

    def test_what_is_expected_to_fail_must_not_pass(self, compare):
        code, lines = compare({TEST: "passed"}, {TEST: "passed"}, known=[TEST])
        assert code == 1
        assert lines[-2].endswith(f"{TEST} is listed in expectations/ and passes: take it out")

    def test_a_suite_that_does_not_run_on_asyncio(self, compare):
        code, lines = compare({TEST: "failed"}, {TEST: "failed"})
        assert code == 1
        assert "FAILED janus on asyncio: only 0 tests pass, 1 should" in lines

    @pytest.mark.parametrize(("in_ci", "code"), [(True, 1), (False, 0)])
    def test_a_suite_that_cannot_be_had(self, monkeypatch, capsys, tmp_path, in_ci, code):
        def prepare(_name, _folder):
            raise CannotDownload("no such host")

        monkeypatch.setattr(command, "prepare", prepare)
        if in_ci:
            monkeypatch.setenv("CI", "true")
        else:
            monkeypatch.delenv("CI", raising=False)
        assert command.main(["janus", f"--folder={tmp_path}"]) == code
        assert "janus: the suite cannot be downloaded: no such host" in capsys.readouterr().out


class TestOutcomes:
    def test_of_three_reports_the_worst_counts(self, tmp_path):
        record = tmp_path / "record"
        lines = [
            '{"test": "a", "when": "setup", "outcome": "passed", "text": ""}',
            '{"test": "a", "when": "call", "outcome": "passed", "text": ""}',
            '{"test": "a", "when": "teardown", "outcome": "failed", "text": "why"}',
            '{"test": "b", "when": "setup", "outcome": "passed", "text": ""}',
            '{"test": "b", "when": "call", "outcome": "xfailed", "text": ""}',
            '{"test": "b", "when": "teardown", "outcome": "passed", "text": ""}',
            '{"test": "c", "when": "set',
        ]
        record.write_text("\n".join(lines))
        run = read(record)
        assert run.outcomes == {"a": "failed", "b": "xfailed"}
        assert run.texts == {"a": "why"}

    @pytest.mark.parametrize("there", ["xfailed", "xpassed", "skipped"])
    def test_good_is_good(self, there):
        for here in "passed", "xfailed", "xpassed", "skipped":
            assert worse(Run({TEST: there}), Run({TEST: here})) == []
        assert worse(Run({TEST: there}), Run({TEST: "failed"})) == [TEST]


class TestExpectations:
    def test_by_mode_and_version(self, tmp_path):
        (tmp_path / "x.toml").write_text(
            """
            [[test]]
            id = "a"
            on = ["loop"]
            pythons = ["3.13"]
            reason = "one"
            [[test]]
            id = "b"
            on = ["loop", "installed"]
            reason = "two"
            """
        )
        assert expected("x", "loop", "3.13", tmp_path) == {"a": "one", "b": "two"}
        assert expected("x", "installed", "3.13", tmp_path) == {"b": "two"}
        assert expected("x", "loop", "3.12", tmp_path) == {"b": "two"}
        assert expected("y", "loop", "3.12", tmp_path) == {}

    @pytest.mark.parametrize("wrong", ['on = ["everywhere"]', 'on = ["loop"]\nbecause = "y"'])
    def test_a_wrong_entry_is_refused(self, tmp_path, wrong):
        (tmp_path / "x.toml").write_text(f'[[test]]\nid = "a"\nreason = "one"\n{wrong}\n')
        with pytest.raises(ValueError, match="cannot make sense of"):
            expected("x", "loop", "3.13", tmp_path)

    def test_those_of_the_project_can_be_read(self):
        for suite in SUITES:
            for on in "loop", "installed":
                expected(suite, on, "3.13")


def test_each_suite_is_pinned_by_version_and_hash():
    pins = tomllib.loads(PINS.read_text())
    assert set(pins["suites"]) == set(SUITES)
    for pin in pins["suites"].values():
        assert re.fullmatch(r"[0-9a-f]{64}", pin["sha256"])
    for requirement in pins["environment"]["requirements"]:
        assert re.match(r"[\w.-]+==[\w.]+(; |$)", requirement), requirement
