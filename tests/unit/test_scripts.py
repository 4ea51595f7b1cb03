"""The scripts behind make: which Python runs them, and what steps say."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import __main__ as main
from scripts import steps
from scripts.failure import Failure
from scripts.steps import Steps

pytestmark = pytest.mark.yibu_only

ROOT = Path(__file__).parent.parent.parent


def find_python(**variables):
    """Run scripts/find-python in an environment of these variables alone."""
    return subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "find-python"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def executable(path, *lines):
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return str(path)


class TestFindPython:
    def test_one_that_is_named(self):
        done = find_python(PATH=os.environ["PATH"], PYTHON=sys.executable)
        assert (done.stdout, done.stderr, done.returncode) == (f"{sys.executable}\n", "", 0)

    def test_one_that_is_too_old(self, tmp_path):
        old = executable(tmp_path / "old", '[ "$1" = --version ] && echo Python 3.9.1', "exit 1")
        done = find_python(PATH=os.environ["PATH"], PYTHON=old)
        assert done.stderr == f"{old} is Python 3.9.1: yibu needs CPython 3.11 or newer\n"
        assert (done.stdout, done.returncode) == ("", 1)

    def test_one_that_is_not_there(self):
        done = find_python(PATH=os.environ["PATH"], PYTHON="/nowhere/python")
        assert done.stderr.startswith("/nowhere/python was not found")
        assert done.returncode == 1

    def test_none(self, tmp_path):
        done = find_python(PATH=str(tmp_path))
        assert done.stderr.startswith("no CPython 3.11 or newer was found on PATH")
        assert (done.stdout, done.returncode) == ("", 1)


def test_make_alone_prints_its_commands():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert "make run" in done.stdout and "make test" in done.stdout


@pytest.mark.parametrize("command", sorted(main.COMMANDS.keys() - {"try-wheels", "notices"} | {"sanitize"}))
def test_help_needs_nothing_built(command, tmp_path):
    """Without cargo, with an interpreter that has the standard library alone."""
    python = executable(tmp_path / "python", f'exec {sys.executable} -S "$@"')
    done = subprocess.run(
        ["make", command, "ARGS=--help"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHON": python},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.lstrip().startswith(("usage: ", "Runs code under AddressSanitizer"))


def test_help_is_the_programs_own_behind_it():
    assert main.asks_for_help("run", ["--help"])
    assert not main.asks_for_help("run", ["program.py", "--help"])
    assert main.asks_for_help("bench", ["--quick", "-h"])


class Terminal:
    """Standard output as a terminal, or as a file."""

    def __init__(self, stdout, *, tty):
        self.stdout, self.tty = stdout, tty

    def isatty(self):
        return self.tty

    def __getattr__(self, name):
        return getattr(self.stdout, name)


class TestSteps:
    @pytest.fixture
    def record(self, tmp_path, monkeypatch):
        monkeypatch.setattr(steps, "DURATIONS", tmp_path)
        (tmp_path / "test.json").write_text('{"first": 90.0, "second": 30.2}')
        return tmp_path / "test.json"

    def test_terminal_sees_what_is_left(self, record, monkeypatch, capsys):
        monkeypatch.setattr(sys, "stdout", Terminal(sys.stdout, tty=True))
        run = Steps("test")
        run.call("first", lambda: None)
        run.call("second", lambda: None)
        headings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("==>")]
        assert headings == [
            "==> first   (2 of 2 steps left, about 2 min)",
            "==> second   (1 of 2 steps left, about 30 s)",
        ]

    def test_file_gets_plain_lines(self, record, capsys):
        Steps("test").call("first", lambda: None)
        assert capsys.readouterr().out == "\n==> first\nok first (0 s)\n"

    def test_durations_are_noted_when_everything_passed(self, record, capsys):
        run = Steps("test")
        run.call("first", lambda: None)
        assert run.summary() == 0
        assert Steps("test").before == {"first": run.seconds["first"]}
        assert capsys.readouterr().out.endswith("1 passed, 0 failed\n")

    def test_failure_leaves_the_record(self, record, capsys):
        def fail():
            raise Failure("no luck")

        run = Steps("test")
        run.call("first", fail)
        assert run.summary() == 1
        assert Steps("test").before == {"first": 90.0, "second": 30.2}
        assert "FAILED first: no luck" in capsys.readouterr().out

    def test_spoilt_record_is_none(self, record):
        record.write_text("{")
        assert Steps("test").before == {}


# Starts a process of its own and waits for it.
HANGS = """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
child.wait()
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
        # A process that has ended and was not waited for is still there.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_what_hangs_is_ended_and_the_next_step_runs(tmp_path):
    steps = Steps()
    number = tmp_path / "child"
    limit = 1.0
    while not number.exists():
        assert not steps.command("hangs", [sys.executable, "-c", HANGS, str(number)], limit=limit)
        limit *= 2  # a slow machine has not started the child by then
    child = int(number.read_text())
    for _ in range(1000):
        if not is_running(child):
            break
        time.sleep(0.01)
    assert not is_running(child)
    assert steps.command("works", [sys.executable, "-c", ""])
    assert not steps.command("fails", [sys.executable, "-c", "raise SystemExit(3)"])
    assert set(steps.failed) == {"hangs", "fails"}
    assert steps.passed == ["works"]
    assert steps.summary() == 1
