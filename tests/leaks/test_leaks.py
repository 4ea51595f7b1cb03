"""The quick form of `python -m tests.leaks`: every path, in one interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.yibu_only
def test_nothing_is_left_behind(impl):
    process = subprocess.run(
        [sys.executable, "-m", "tests.leaks", "--rounds", "100"],
        check=False,
        cwd=ROOT,
        env=impl.environment(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
