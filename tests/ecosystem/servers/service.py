"""Starts a server program on a free port with its data in a folder of its own, and ends it without a trace.

`services.py` says what each server needs; `conftest.py` makes fixtures of them. Several servers refuse to run
as root, so under root all of them run as `nobody`.
"""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 90
STOP_SECONDS = 30
UNPRIVILEGED = "nobody"
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """A program of the server is not installed."""


@dataclass
class Place:
    """Where a server lives while it runs."""

    folder: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    children: list[subprocess.Popen] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What the server and its helpers print."""
        return self.folder / "log"

    def call(self, *command: str | Path) -> None:
        """Run a program that prepares the data, as the server's user."""
        status = self._popen(command).wait(START_SECONDS)
        if status:
            raise RuntimeError(f"{command[0]} ended with status {status}: {self.tail()}")

    def start(self, *command: str | Path, stop_with: int = signal.SIGTERM) -> subprocess.Popen:
        """Run a program for as long as the server is needed; it is also told to stop when pytest dies."""
        child = self._popen(command, stop_with)
        child.stop_with = stop_with
        self.children.append(child)
        return child

    def _popen(self, command: Sequence[str | Path], at_death: int = signal.SIGKILL) -> subprocess.Popen:
        owner = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(UNPRIVILEGED)
            owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                env={
                    "PATH": search_path(),
                    "HOME": str(self.folder),
                    "LC_ALL": "C.UTF-8",
                    **self.environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, at_death),  # noqa: PLW1509
                **owner,
            )

    def stop(self) -> None:
        """End what was started, the last one first."""
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(child.stop_with)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # what it has started and left behind

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-2000:]

    def wait_until(self, is_ready: Callable[[int], bool]) -> None:
        """Wait until the server answers; an error with its log when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if any(child.poll() is not None for child in self.children):
                break
            with contextlib.suppress(OSError):
                if is_ready(self.port):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the server does not start: {self.tail()}")


def search_path() -> str:
    """Where programs are looked for: daemons are not on everybody's PATH."""
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return os.pathsep.join(
        [*debian, os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/lib/rabbitmq/bin"]
    )


def find(*programs: str) -> str:
    """The first of the programs that is installed."""
    for program in programs:
        path = shutil.which(program, path=search_path())
        if path:
            return path
    raise Missing(programs[0])


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Make a folder that belongs to the server's user; end what runs in it and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="yibu-server-"))
    if os.geteuid() == 0:
        user = pwd.getpwnam(UNPRIVILEGED)
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = Place(folder, free_port())
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def talks(greeting: bytes, expected: bytes) -> Callable[[int], bool]:
    """Make a check of a port: the server answers the greeting with something that has the expected bytes."""

    def is_ready(port: int) -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(greeting)
            return expected in connection.recv(4096)

    return is_ready
