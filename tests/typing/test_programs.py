"""Type checkers on the programs beside this file: none may complain, and mistakes must be found.

mypy is among the project's tools. pyright is written for Node, so what runs is basedpyright, the same checker
with a Node that pip installs, in pyright's strict mode. Where one of the two is not installed its tests are
skipped, but not in CI.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yibu

from scripts.interpreters import SUPPORTED

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STUBS = ROOT / "python"
PROGRAMS = sorted(map(str, (HERE / "programs").glob("*.py")))
# Those that need no other library.
EXAMPLES = [
    str(path)
    for path in sorted((ROOT / "examples").glob("*.py"))
    if not re.search(r"Needs\s", path.read_text())
]
MISTAKES = HERE / "wrong" / "mistakes.py"

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(300)]


def require(module):
    """Skip the test where the checker is not installed."""
    if importlib.util.find_spec(module) is None and not os.environ.get("CI"):
        pytest.skip(f"{module} is not installed (pip install {module})")


def output(command, **variables):
    """What the checker prints: a line for each complaint."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=280, env=os.environ | variables
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def mypy(version, files, tmp_path):
    """The complaints of `mypy --strict` as pairs of a line and a text."""
    require("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}"]
    command += ["--no-error-summary", "--python-version", version, *files]
    lines = output(command, MYPYPATH=str(STUBS)).splitlines()
    found = (re.fullmatch(r"(.*):(\d+): error: (.*)", line) for line in lines)
    return [(int(each[2]), each[0]) for each in found if each]


def pyright(version, files, tmp_path):
    """The complaints of pyright in strict mode as pairs of a line and a text."""
    require("basedpyright")
    config = tmp_path / "pyrightconfig.json"
    settings = {"include": files, "extraPaths": [str(STUBS)], "typeCheckingMode": "strict"}
    # The extension module has a stub, and no source in Python.
    settings |= {"pythonVersion": version, "pythonPlatform": "Linux", "reportMissingModuleSource": "none"}
    config.write_text(json.dumps(settings))
    report = json.loads(output([sys.executable, "-m", "basedpyright", "-p", str(config), "--outputjson"]))
    assert report["summary"]["filesAnalyzed"] == len(files)
    return [
        (each["range"]["start"]["line"] + 1, f"{each['file']}: {each['message']}")
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    ]


@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
class TestCheckers:
    @pytest.mark.parametrize("version", SUPPORTED)
    def test_ordinary_programs(self, checker, version, tmp_path):
        assert checker(version, PROGRAMS, tmp_path) == []

    def test_examples(self, checker, tmp_path):
        assert len(EXAMPLES) > 5
        assert checker(SUPPORTED[0], EXAMPLES, tmp_path) == []

    @pytest.mark.parametrize("version", [SUPPORTED[0], SUPPORTED[-1]])
    def test_mistakes_are_found(self, checker, version, tmp_path):
        lines = enumerate(MISTAKES.read_text().splitlines(), 1)
        wrong = {number for number, line in lines if "# wrong" in line}
        assert len(wrong) == 7
        assert {line for line, _ in checker(version, [str(MISTAKES)], tmp_path)} == wrong


def test_every_module_that_can_be_imported_from_yibu_has_a_stub():
    for name in yibu.stock.MODULES:
        assert (STUBS / "yibu" / f"{name}.pyi").exists(), name
