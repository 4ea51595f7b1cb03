"""No line of asyncio's pure-Python primitives runs in a program on yibu: the interpreter tells of each line.

`stock_code/program.py` uses every primitive in every way, the random programs of the differential tests in
most others.  What importing asyncio executes does not count.
"""

import ast
import importlib
import os
import pathlib
import subprocess
import sys

import pytest

from tests.regressions.stock_code.watch import MODULES

FOLDER = pathlib.Path(__file__).parent / "stock_code"
PROGRAM = FOLDER / "program.py"
RANDOM = FOLDER / "random_programs.py"


def watched(impl, folder, *command):
    """Run a command of `watch.py`; return the lines of stock code that it recorded."""
    record = folder / "record"
    env = impl.environment()
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [env.get("PYTHONPATH"), str(FOLDER.parents[2])]))
    finished = subprocess.run(
        [sys.executable, FOLDER / "watch.py", record, *command],
        check=False,
        env=env,
        capture_output=True,
        text=True,
        timeout=25,
    )
    assert (finished.stderr, finished.stdout) == ("", "done\n")
    return record.read_text().splitlines()


@pytest.fixture
def as_import(tmp_path):
    """The program, with yibu imported under the name of asyncio."""
    source = PROGRAM.read_text()
    program = tmp_path / "program.py"
    program.write_text(source.replace("import asyncio\n", "import yibu as asyncio\n", 1))
    return program


def agree(lines):
    assert not lines, "stock code ran:\n" + "\n".join(lines)


@pytest.mark.yibu_only
class TestYibu:
    def test_imported(self, impl, tmp_path, as_import):
        agree(watched(impl, tmp_path, as_import))

    def test_installed(self, impl, tmp_path):
        agree(watched(impl, tmp_path, "-m", "yibu", PROGRAM))

    def test_random_programs(self, impl, tmp_path):
        agree(watched(impl, tmp_path, RANDOM, "yibu"))


@pytest.mark.parametrize("command", [(PROGRAM,), (RANDOM, "asyncio")], ids=["program", "random"])
def test_stock_is_caught(impl, tmp_path, command):
    """The recorder sees stock code where it does run, and the programs would run nearly all there is."""
    lines = watched(impl, tmp_path, *command)
    files = {line.split(":")[0] for line in lines}
    assert files >= {f"{module}.py" for module in MODULES} - (
        {"runners.py", "threads.py"} if "asyncio" in command else set()
    )
    assert len(lines) > 700


def test_every_primitive_is_used():
    """The program names everything public that the modules have, except what only loops and tasks call."""
    named = {
        node.attr for node in ast.walk(ast.parse(PROGRAM.read_text())) if isinstance(node, ast.Attribute)
    }
    public = {
        name
        for module in (*MODULES, "graph")
        if (module != "graph" or sys.version_info >= (3, 14))
        for name in getattr(importlib.import_module(f"asyncio.{module}"), "__all__", ())
    }
    assert public - named == {f"_{what}_task" for what in ("enter", "leave", "register", "unregister")}
