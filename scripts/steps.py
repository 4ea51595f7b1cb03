"""Runs a list of named steps, says how each ended, and sums up. Used by `make test` and `make lint`."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scripts.failure import Failure
from scripts.requirements import ROOT


@dataclass
class Steps:
    """What ran so far. A failed step does not stop the others: one run shows everything that is wrong."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def command(self, name: str, command: Sequence[str], env: dict[str, str] | None = None) -> bool:
        """Run a command as a step."""

        def run() -> None:
            print("  $ " + " ".join(command), flush=True)
            code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
            if code:
                raise Failure(f"exit code {code}")

        return self.call(name, run)

    def call(self, name: str, action: Callable[[], None]) -> bool:
        """Run a function as a step; it fails by raising Failure."""
        print(f"\n==> {name}", flush=True)
        start = time.monotonic()
        try:
            action()
        except Failure as failure:
            self.failed.append(name)
            print(f"FAILED {name}: {failure}", flush=True)
            return False
        self.passed.append(name)
        print(f"ok {name} ({time.monotonic() - start:.0f} s)", flush=True)
        return True

    def summary(self) -> int:
        """Print the last lines and give the exit code."""
        print()
        for name in self.failed:
            print(f"FAILED {name}")
        print(f"{len(self.passed)} passed, {len(self.failed)} failed", flush=True)
        return 1 if self.failed else 0
