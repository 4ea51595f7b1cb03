"""Child processes that talk in lines, with a deadline on every answer.

Every measurement happens in such a process; this module starts them, pins them, reads their CPU clock and
their memory from outside, and ends them. Used by `micro/`, `net/` and `memory/`.
"""

import ctypes
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 60.0

_libc = ctypes.CDLL(None, use_errno=True)


class ChildError(Exception):
    """A child died, fell silent or answered something else than expected."""


class LineProcess:
    """One child process: a line in, a line out."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        core: int | None = None,
    ) -> None:
        def prepare() -> None:
            if core is not None:
                os.sched_setaffinity(0, {core})
            allowed = descriptors_allowed()
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))

        self._unread = b""
        # The measuring process has a single thread, so running Python between fork and exec is safe.
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=prepare,  # noqa: PLW1509
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def send(self, line: str) -> None:
        """Give the child its next line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ChildError(self._how_it_ended()) from None

    def receive(self) -> str:
        """Wait for the child's next line."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while b"\n" not in self._unread:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not select.select([descriptor], [], [], remaining)[0]:
                raise ChildError(f"no answer in {DEADLINE_SECONDS:.0f} s")
            chunk = os.read(descriptor, 65536)
            if not chunk:
                raise ChildError(self._how_it_ended())
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def expect(self, word: str) -> str:
        """Wait for a line that begins with `word` and return what follows; `failed` may come instead."""
        line = self.receive()
        first, _, rest = line.partition(" ")
        if first == "failed":
            raise ChildError(rest)
        if first != word:
            raise ChildError(f"said {line!r} instead of {word!r}")
        return rest

    def cpu_ns(self) -> int:
        """CPU time of all the child's threads so far, in user and system mode."""
        clock = ctypes.c_int()
        error = _libc.clock_getcpuclockid(self.pid, ctypes.byref(clock))
        if error:
            raise ChildError(f"no CPU clock: {os.strerror(error)}")
        return time.clock_gettime_ns(clock.value)

    def resident_bytes(self) -> int:
        """How much of the child's memory is in RAM."""
        return resident_bytes(self.pid)

    def end(self) -> None:
        """Kill the child, which has nothing to clean up, and collect it."""
        self._process.kill()
        self._process.communicate()

    def _how_it_ended(self) -> str:
        status = self._process.wait()
        return f"died of signal {-status}" if status < 0 else f"exited with status {status}"


def resident_bytes(pid: int | str = "self") -> int:
    """Resident set size of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors_allowed() -> int:
    """How many descriptors a child may have open: as many as this user can have at all."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def server_and_client_cores() -> tuple[int, int]:
    """Two cores to keep the two ends apart; the same one twice where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def build_echo() -> Path:
    """Build the bare epoll server and the load generator, and say where they are."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target" / "benchmarks")).resolve()
    manifest = ROOT / "benchmarks" / "echo" / "Cargo.toml"
    command = ["cargo", "build", "--release", "--quiet", "--locked"]
    command += ["--manifest-path", str(manifest), "--target-dir", str(target)]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the load generator of the network benchmarks cannot be built: {error}")
    return target / "release" / "echo"
