"""No line of asyncio's own Python code runs in a program on yibu: the interpreter tells of each line.

`stock_code/program.py` uses every primitive in every way, the random programs of the differential tests in
most others; `network_program.py` uses all of the network.  What importing asyncio executes does not count.
"""

import ast
import importlib
import os
import pathlib
import subprocess
import sys

import pytest

from tests.regressions.stock_code.watch import LOOPS, NETWORK, PRIMITIVES

FOLDER = pathlib.Path(__file__).parent / "stock_code"
CERTIFICATE = FOLDER.parents[1] / "seeds" / "certificate.pem"
PROGRAM = (FOLDER / "program.py",)
NETWORK_PROGRAM = (FOLDER / "network_program.py", CERTIFICATE)
RANDOM_PROGRAMS = FOLDER / "random_programs.py"

# Random programs leave out what older Pythons do in another way.
UNUSED_AT_RANDOM = {"runners", "threads"} | (
    {"taskgroups", "timeouts"} if sys.version_info < (3, 13) else set()
)


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
        timeout=50,
    )
    assert (finished.stderr, finished.stdout) == ("", "done\n")
    return record.read_text().splitlines()


def agree(lines):
    # Until Python 3.14 the process's policy keeps the current loop; installing replaces the one it finds.
    lines = [line for line in lines if "DefaultEventLoopPolicy." not in line]
    # Makes a function around a class of tasks; asyncio's own, so that all factories share their code.
    lines = [line for line in lines if not line.endswith(" create_eager_task_factory")]
    assert not lines, "stock code ran:\n" + "\n".join(lines)


@pytest.mark.yibu_only
class TestYibu:
    @pytest.mark.parametrize("command", [PROGRAM, NETWORK_PROGRAM], ids=["program", "network"])
    def test_imported(self, impl, tmp_path, command):
        """yibu imported under the name of asyncio."""
        source, *arguments = command
        program = tmp_path / source.name
        program.write_text(source.read_text().replace("import asyncio\n", "import yibu as asyncio\n", 1))
        agree(watched(impl, tmp_path, program, *arguments))

    @pytest.mark.parametrize("command", [PROGRAM, NETWORK_PROGRAM], ids=["program", "network"])
    def test_installed(self, impl, tmp_path, command):
        agree(watched(impl, tmp_path, "-m", "yibu", *command))

    def test_random_programs(self, impl, tmp_path):
        agree(watched(impl, tmp_path, RANDOM_PROGRAMS, "yibu"))


@pytest.mark.parametrize(
    ("command", "modules", "least"),
    [
        (PROGRAM, PRIMITIVES, 1000),
        (NETWORK_PROGRAM, NETWORK, 2000),
        ((RANDOM_PROGRAMS, "asyncio"), PRIMITIVES - UNUSED_AT_RANDOM, 500),
    ],
    ids=["program", "network", "random"],
)
def test_stock_is_caught(impl, tmp_path, command, modules, least):
    """The recorder sees stock code where it does run, and the programs would run nearly all there is."""
    lines = watched(impl, tmp_path, *command)
    assert {line.split(":")[0] for line in lines} >= {f"{module}.py" for module in modules}
    assert len(lines) > least


@pytest.mark.parametrize(
    ("program", "modules", "except_for"),
    [
        (PROGRAM, PRIMITIVES, {f"_{what}_task" for what in ("enter", "leave", "register", "unregister")}),
        (NETWORK_PROGRAM, NETWORK - LOOPS, set()),
    ],
    ids=["program", "network"],
)
def test_everything_public_is_used(program, modules, except_for):
    """A program names everything public that the modules have, except what only loops and tasks call."""
    named = {
        node.attr for node in ast.walk(ast.parse(program[0].read_text())) if isinstance(node, ast.Attribute)
    }
    if modules is PRIMITIVES and sys.version_info >= (3, 14):
        modules = modules | {"graph"}
    public = {
        name
        for module in modules
        for name in getattr(importlib.import_module(f"asyncio.{module}"), "__all__", ())
    }
    assert public - named == except_for
