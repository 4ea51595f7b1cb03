"""The guard of `benchmarks/guard`: counts are compared with the baseline of one build only."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.guard.__main__ import report, selected
from benchmarks.guard.baseline import FOLDER, TOLERANCE, Baseline, Build, load, record
from benchmarks.guard.rows import ROWS
from benchmarks.micro.catalogue import benchmarks

BUILD = Build(
    "CPython 3.13.0", "-O3", "GCC 12", "rustc 1.95", "glibc 2.36", "OpenSSL 3", "valgrind-3.19.0", "x86_64"
)


def test_dearer_rows_are_reported_and_cheaper_ones_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    baseline = Baseline(BUILD, {"a": 100.0, "b": 100.0, "c": 100.0}, {"c": 9.0})
    assert report({"a": 102.9, "b": 103.1, "c": 108.0, "new": 50.0}, baseline) == ["b"]
    assert report({"a": 90.0}, baseline) == []
    assert "1 rows take fewer instructions" in capsys.readouterr().out


def test_what_repeats_badly_gets_a_tolerance_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    record(path, BUILD, [{"a": 100.0, "b": 100.0}, {"a": 100.1, "b": 104.0}, {"a": 100.2, "b": 102.0}])
    baseline = load(path)
    assert baseline.build == BUILD
    assert baseline.counts == {"a": 100.1, "b": 102.0}
    assert baseline.tolerance("a") == TOLERANCE
    assert baseline.tolerance("b") == 8.0


def test_another_build_is_named() -> None:
    assert BUILD.differences(BUILD) == []
    other = replace(BUILD, rust="rustc 1.96")
    assert other.differences(BUILD) == ["rust is 'rustc 1.96' here"]


def test_rows_are_benchmarks_that_exist() -> None:
    known = {benchmark.key for benchmark in benchmarks((3, 15))}
    assert {row.key for row in ROWS} <= known
    assert [row.key for row in selected("chain$")] == ["callbacks/call_soon, chain"]


def test_baselines_can_be_read_and_have_rows() -> None:
    paths = list(FOLDER.glob("baseline-*.json"))
    assert paths
    for path in paths:
        baseline = load(path)
        assert set(baseline.counts) <= {row.key for row in ROWS}
        assert min(baseline.counts.values()) > 0
        assert baseline.build.python.startswith("CPython " + path.stem.removeprefix("baseline-"))
