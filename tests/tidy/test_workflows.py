"""The workflows call commands of this repository, and each of these exists."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="a source distribution has no workflows")


def texts(pattern: str) -> list[str]:
    """What a pattern finds in the workflows, in all of them."""
    return [found for path in WORKFLOWS for found in re.findall(pattern, path.read_text())]


def test_each_target_of_make_is_in_the_makefile():
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared is not None
    called = set(texts(r"\brun: make ([a-z-]+)"))
    assert {"docs", "wheels"} <= called
    assert called <= set(declared[1].split())


def test_each_command_of_scripts_is_one_of_its_commands():
    commands = (ROOT / "scripts" / "__main__.py").read_text().partition("\nCOMMANDS = {")[2]
    called = set(texts(r"python -m scripts ([a-z-]+)"))
    assert "try-wheels" in called
    assert called <= set(re.findall(r'^    "([a-z-]+)": ', commands, re.MULTILINE))


def test_the_packages_that_ci_installs_are_those_of_the_script_that_it_runs():
    [expression] = texts(r"\$\(sed -n '([^']+)' \.ci/run\)")
    found = subprocess.run(
        ["sed", "-n", expression, ".ci/run"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"postgresql", "redis-server", "valgrind"} <= set(found)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_supported_python_is_tested(path: Path):
    versions = re.search(
        r"^SUPPORTED = \(([^)]*)\)", (ROOT / "scripts" / "interpreters.py").read_text(), re.M
    )
    assert versions is not None
    text = path.read_text()
    assert [v for v in re.findall(r'"([\d.]+)"', versions[1]) if v not in text] == []
