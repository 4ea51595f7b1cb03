"""Starts servers and programs of the frameworks, and asks them."""

import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from tests.ecosystem.conftest import PACKAGE_ROOT

APPLICATIONS = Path(__file__).parent / "applications"
LOOP = "yibu.event_loop"


def need(packages):
    """Skip the test unless the packages can be imported."""
    missing = [name for name in packages.split() if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")


def environment(**variables):
    """An environment in which yibu can be imported, and nothing else has been chosen."""
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST_", "YIBU_"))
    }
    return env | {"PYTHONPATH": PACKAGE_ROOT} | variables


@pytest.fixture
def serve(tmp_path):
    """Start a server, whose command gets a free `PORT`; ask it; it must end well when it is told to."""

    def serve(packages, command, **variables):
        need(packages)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        command = [sys.executable, *(part.replace("PORT", str(port)) for part in command.split())]
        log = tmp_path / "log"
        with open(log, "wb") as file:
            server = subprocess.Popen(
                command,
                cwd=APPLICATIONS,
                env=environment(**variables),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            for number in 1, 2, 3:
                assert ask(server, port, number) == {"loop": LOOP, "twice": 2 * number}, log.read_text()
            server.terminate()
            assert server.wait(20) in (0, -signal.SIGTERM), log.read_text()
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()
        assert "Traceback" not in log.read_text(), log.read_text()

    return serve


def ask(server, port, number):
    """Ask until there is an answer; None when there is no server, or an answer that is none."""
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", f"/{number}")
            answer = connection.getresponse().read()
        except OSError:
            time.sleep(0.05)  # it is not there yet
        else:
            return json.loads(answer) if answer.startswith(b"{") else answer
        finally:
            connection.close()
    return None


@pytest.fixture
def run_program(tmp_path):
    """Run a program, the source or what the arguments name, that ends by itself; return what it printed."""

    def run_program(packages, source, *arguments, timeout=60, **variables):
        need(packages)
        command = [sys.executable, *arguments]
        if source:
            path = tmp_path / "program.py"
            path.write_text(dedent(source))
            command.append(path)
        process = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    return run_program
