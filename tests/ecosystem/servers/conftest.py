"""Starts each server once for all tests that need it, and runs the programs of its clients."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ecosystem.conftest import START
from tests.ecosystem.frameworks.conftest import environment, need
from tests.ecosystem.servers.service import Missing
from tests.ecosystem.servers.services import SERVICES

PROGRAMS = Path(__file__).parent / "programs"
LOOPS = {"asyncio": "asyncio.unix_events", "loop": "yibu.event_loop", "installed": "yibu.event_loop"}


def absent(message):
    """Skip the test; in continuous integration, where everything is installed, fail."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def servers():
    """Start servers by their names and keep them until the last test; the address of each."""
    with contextlib.ExitStack() as stack:
        addresses = {}

        def address(name):
            if name not in addresses:
                try:
                    addresses[name] = stack.enter_context(SERVICES[name].running())
                except Missing as missing:
                    packages = SERVICES[name].packages
                    absent(f"there is no {missing} (Debian: apt-get install {packages})")
            return addresses[name]

        yield address


@pytest.fixture(params=list(START))
def work_with(request, servers, tmp_path):
    """Run one of `programs/` on asyncio, on yibu's loop, and with yibu installed; it must say nothing."""

    def work_with(packages, program, server=None, *arguments):
        need(packages)
        addresses = [servers(server)] if server else []
        path = tmp_path / "program.py"
        path.write_text(START[request.param] + (PROGRAMS / f"{program}.py").read_text())
        process = subprocess.run(
            [sys.executable, path, *addresses, *arguments],
            cwd=tmp_path,
            env=environment(EXPECTED_LOOP=LOOPS[request.param], PYTHONWARNINGS="default::ResourceWarning"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (process.stdout, process.stderr, process.returncode) == ("", "", 0), process.stderr

    return work_with
