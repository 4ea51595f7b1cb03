"""Runs one suite once, in a process group of its own that is gone afterwards. Called by `__main__.py`."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.downstream.outcomes import Run, read
from tests.downstream.redis_server import redis_server
from tests.downstream.suites import Suite

INSIDE = Path(__file__).parent
# Seconds that one test may take. It is long because it is there for those that hang.
TEST_LIMIT = 60


def run(
    suite: Suite, source: Path, python: str, on: str, tests: Sequence[str], log: Path, limit: float
) -> Run:
    """Run the tests named on "asyncio", or on yibu, as "loop" or "installed"; their output is in `log`."""
    # Short, because the paths of Unix sockets go in there.
    with tempfile.TemporaryDirectory(prefix="yibu-") as folder, contextlib.ExitStack() as stack:
        record = Path(folder, "record")
        arguments = [*_pytest_arguments(suite), *tests]
        if suite.needs_redis:
            arguments.append(f"--redis-url={stack.enter_context(redis_server(Path(folder)))}")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(INSIDE), os.environ.get("PYTHONPATH")])),
            "TMPDIR": folder,
            "YIBU_DOWNSTREAM_ON": on,
            "YIBU_DOWNSTREAM_RECORD": str(record),
            "YIBU_DOWNSTREAM_SILENCED": " ".join(suite.silenced),
        }
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [python, "-m", "pytest", *arguments],
                cwd=source,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                status: int | None = process.wait(limit)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        found = read(record)
    if status is None:
        found.trouble = f"not at its end after {limit:.0f} s"
    elif status not in (0, 1):  # 1: some tests failed
        found.trouble = f"pytest ended with status {status}, see {log}"
    return found


def _pytest_arguments(suite: Suite) -> list[str]:
    arguments = ["-p", "inside", "-p", "xdist.plugin", "-p", "timeout", "-p", "no:cacheprovider"]
    for plugin in suite.plugins:
        arguments += ["-p", plugin]
    arguments += ["-q", "--tb=short", "--override-ini=addopts=", f"--timeout={TEST_LIMIT}"]
    # At least one: a process that crashes takes one test with it, and the rest go on in a new one.
    workers = min(suite.workers, os.cpu_count() or 1)
    return [*arguments, f"--numprocesses={workers}", *suite.arguments]
