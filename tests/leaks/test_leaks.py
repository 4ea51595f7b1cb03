"""The quick form of `python -m tests.leaks`: every path, in one interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.leaks import transports, waiting  # noqa: F401 - they register paths
from tests.leaks.programs import PATHS

ROOT = Path(__file__).parents[2]


def run(impl, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.leaks", "--rounds", "50", *arguments],
        check=False,
        cwd=ROOT,
        env=impl.environment(),
        capture_output=True,
        text=True,
    )


@pytest.mark.yibu_only
@pytest.mark.time_limit(300)
@pytest.mark.parametrize("module", ["programs", "transports", "waiting"])
def test_nothing_is_left_behind(impl, module):
    process = run(impl, *(name for name, path in PATHS.items() if path.__module__ == f"tests.leaks.{module}"))
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.yibu_only
def test_one_block_for_four_operations_is_found(impl):
    process = run(impl, "planted_leak")
    assert process.returncode == 1 and "LEAK" in process.stdout, process.stdout + process.stderr


@pytest.mark.yibu_only
def test_a_table_that_fills_is_no_leak(impl):
    process = run(impl, "planted_table")
    assert process.returncode == 0, process.stdout + process.stderr
