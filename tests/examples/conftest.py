"""Runs the programs of `examples/` in processes of their own, on yibu, and ends those that serve."""

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yibu

ROOT = Path(__file__).parent.parent.parent
LIMIT = 25
"""Seconds that a program may take."""


def command(name, arguments):
    return [sys.executable, "-W", "error", str(ROOT / "examples" / name), *map(str, arguments)]


def environment():
    package = str(Path(yibu.__file__).parent.parent)
    return os.environ | {"PYTHONPATH": package, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Programs:
    """What a test does with examples."""

    def run(self, name, *arguments, status=0):
        """Run one to its end and return what it printed; it may print nothing on standard error."""
        printed, errors = self.both(name, *arguments, status=status)
        assert errors == ""
        return printed

    def both(self, name, *arguments, status=0):
        """Run one to its end and return what it printed and what it said on standard error."""
        done = subprocess.run(
            command(name, arguments),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == status, done
        return done.stdout, done.stderr

    @contextlib.contextmanager
    def serving(self, name, *arguments, stop=signal.SIGINT, ready=r"listening on .* (\d+)"):
        """Start one that serves, wait until it says where, and in the end stop it and look at its status.

        `ready` is what it says then, with the port. Without `stop` the test has stopped it already.
        """
        process = subprocess.Popen(
            command(name, arguments),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            lines = iter(process.stdout.readline, "")
            port = next((found[1] for line in lines if (found := re.search(ready, line))), None)
            assert port, "it has ended before it listened"
            yield Served(process, int(port))
            if stop is not None:
                process.send_signal(stop)
            output, _ = process.communicate(timeout=LIMIT)
            assert process.returncode == 0, output
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Served:
    """A program that serves: its port and its process."""

    def __init__(self, process, port):
        self.process, self.port = process, port

    def line(self):
        return self.process.stdout.readline().rstrip("\n")


@pytest.fixture
def programs():
    # A shell starts what it runs in the background deaf to Ctrl-C, and children are as deaf as pytest.
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Programs()
    signal.signal(signal.SIGINT, found)


@pytest.fixture
def needs():
    """Skip a test whose example needs a library that is not installed; in CI all of them have to be."""

    def needs(*modules):
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing and not os.environ.get("CI"):
            pytest.skip(f"not installed: {', '.join(missing)}")

    return needs
