"""Runs a list of named steps, says how each ended, and sums up. Used by `make test`, `make lint` and others.

At a terminal the heading of a step also says how long the rest may take: as long as the same steps took the
last time, which is noted in build/durations. Elsewhere the lines are the same without it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.failure import Failure
from scripts.requirements import ROOT

DURATIONS = ROOT / "build" / "durations"

#: Seconds after which a step that runs a command has failed. The longest takes a few minutes, so that what
#: takes this long hangs, and the steps behind it would never run.
LIMIT = 1800.0


@dataclass
class Steps:
    """What ran so far. A failed step does not stop the others: one run shows everything that is wrong."""

    #: The command whose steps these are; without one, nothing is noted.
    command_name: str = ""
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    #: Seconds by step: of this run, and of the last one of this command.
    seconds: dict[str, float] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self.before = json.loads(self._record.read_text())
        except (OSError, ValueError):
            self.before = {}  # the first run, or a record that was spoilt

    def command(
        self, name: str, command: Sequence[str], env: dict[str, str] | None = None, limit: float = LIMIT
    ) -> bool:
        """Run a command as a step. One that runs longer than `limit` seconds is ended and has failed."""

        def run() -> None:
            print("  $ " + " ".join(command), flush=True)
            # A process group of its own: what the command has started ends with it.
            with subprocess.Popen(command, cwd=ROOT, env=env, process_group=0) as process:
                try:
                    code = process.wait(limit)
                except BaseException as error:
                    os.killpg(process.pid, signal.SIGKILL)
                    if isinstance(error, subprocess.TimeoutExpired):
                        raise Failure(f"did not end within {limit:.0f} s") from None
                    raise
            if code:
                raise Failure(f"exit code {code}")

        return self.call(name, run)

    def call(self, name: str, action: Callable[[], None]) -> bool:
        """Run a function as a step; it fails by raising Failure."""
        print(f"\n==> {name}{self._time_left()}", flush=True)
        start = time.monotonic()
        try:
            action()
        except Failure as failure:
            self.failed.append(name)
            print(f"FAILED {name}: {failure}", flush=True)
            return False
        finally:
            self.seconds[name] = round(time.monotonic() - start, 1)
        self.passed.append(name)
        print(f"ok {name} ({self.seconds[name]:.0f} s)", flush=True)
        return True

    def summary(self) -> int:
        """Print the last lines, note how long the steps took, and give the exit code."""
        print()
        for name in self.failed:
            print(f"FAILED {name}")
        print(f"{len(self.passed)} passed, {len(self.failed)} failed", flush=True)
        # A run with failures may have ended early: the next one should not expect to.
        if self.command_name and not self.failed:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            self._record.write_text(json.dumps(self.seconds))
        return 1 if self.failed else 0

    @property
    def _record(self) -> Path:
        return DURATIONS / f"{self.command_name}.json"

    def _time_left(self) -> str:
        """How long the steps that have not run took the last time, for a person to read."""
        rest = [seconds for name, seconds in self.before.items() if name not in self.seconds]
        if not rest or not sys.stdout.isatty():
            return ""
        minutes, seconds = divmod(round(sum(rest)), 60)
        about = f"{minutes + seconds // 30} min" if minutes else f"{seconds} s"
        return f"   ({len(rest)} of {len(self.before)} steps left, about {about})"
