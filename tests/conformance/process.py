"""One child process seen from outside: `runner` has it start here, report, and end in any case."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .order import Order

ROOT = Path(__file__).resolve().parents[2]
# Run with the root of the repository and the order as arguments.
START = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.conformance.child import main
sys.exit(main(sys.argv[2]))
"""

# From the child's last word to its end: threads that tests left behind may still have to finish.
SECONDS_TO_EXIT = 60


@dataclass
class Report:
    """What came of one process."""

    events: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None  # None: had to be killed
    output: str = ""  # the end of what the tests printed

    @property
    def finished(self) -> bool:
        """Whether the child got through its order; it may still have failed to exit properly."""
        return bool(self.events) and self.events[-1]["event"] == "finished"


def run(order: Order, seconds: float) -> Report:
    """Run one order in a new process with a folder and a process group of its own."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
        with open(Path(folder, "output"), "wb+") as output:
            reader, writer = os.pipe()
            child = subprocess.Popen(
                _command(replace(order, report_to=writer)),
                pass_fds=(writer,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=_environment(),
                start_new_session=True,
            )
            os.close(writer)
            try:
                report.events = _collect(reader, child, time.monotonic() + seconds)
                report.exit_code = _end(child, SECONDS_TO_EXIT if report.finished else 0)
            finally:
                os.close(reader)
                _kill_group(child)
            output.seek(0)
            report.output = output.read()[-8000:].decode("utf-8", "replace")
    return report


def run_in_the_open(order: Order) -> int:
    """Run one order here and now, with this terminal; for debugging a test."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        return subprocess.run(_command(order), cwd=folder, env=_environment(), check=False).returncode


def _command(order: Order) -> list[str]:
    return [sys.executable, "-u", "-B", "-X", "faulthandler", "-c", START, str(ROOT), order.to_json()]


def _environment() -> dict[str, str]:
    # Debug mode is what some tests are about; they turn it on themselves.
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE")}


def _collect(reader: int, child: subprocess.Popen[bytes], deadline: float) -> list[dict[str, Any]]:
    """Read the report to its end: the last word, the end of the process, or the deadline."""
    data = b""
    while not data.endswith(b'{"event": "finished"}\n'):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        ready, _, _ = select.select([reader], [], [], min(left, 1))
        if ready:
            chunk = os.read(reader, 65536)
            if not chunk:
                break
            data += chunk
        elif child.poll() is not None:
            # Grandchildren may hold the pipe open; the child itself will say no more.
            break
    lines = data.decode("utf-8", "replace").split("\n")
    # What follows the last newline is a word cut off by the end of the process.
    return [json.loads(line) for line in lines[:-1]]


def _end(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return child.wait(seconds or 0.5)
    except subprocess.TimeoutExpired:
        return None


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Whatever the tests started goes with them."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
