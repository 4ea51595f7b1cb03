"""Why a process does not answer, as far as the kernel knows: it is stopped, or a thread computes and keeps
Python's interpreter to itself, or waits with it. Called by `client.py`.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Callable

Tell = Callable[[str], None]
"""Gets one line while an answer is still waited for."""

PATIENCE = 2.0
"""Seconds after which a process that cannot answer is looked at."""


def watch_for(connection: socket.socket, pid: int, deadline: float, tell: Tell) -> None:
    """Wait for the beginning of an answer for a while, and tell when nobody has read the question."""
    readable = select.poll()
    readable.register(connection, select.POLLIN)
    patience = min(PATIENCE, deadline - time.monotonic())
    if readable.poll(max(1000 * patience, 0)) or time.monotonic() >= deadline:
        return
    if _is_unread(connection):
        tell(f"process {pid} has not taken the question for {patience:g} s, and may yet: {why(pid)}")


def _is_unread(connection: socket.socket) -> bool:
    """Whether something of what was sent was not received."""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    return bool(struct.unpack("i", answer)[0])


def why(pid: int) -> str:
    """What a process does instead of an answer. Takes half a second."""
    threads = _busy_threads(pid)
    if _state_of(pid) == "T":
        return "it is stopped (SIGCONT lets it go on)"
    if (descriptors := _descriptors_used_up(pid)) is not None:
        return f"it uses all of its {descriptors} descriptors, and has none for who asks (`ulimit -n`)"
    if threads:
        busy = ", ".join(f"{_name(pid, thread)} ({share:.0%} of a processor)" for thread, share in threads)
        return (
            f"something keeps Python's interpreter to itself, in code that is not Python's: {busy}. "
            f"`py-spy dump --native --pid {pid}` or `gdb -p {pid}` shows it"
        )
    return "a thread seems to sleep or wait while it keeps Python's interpreter to itself"


def _name(pid: int, thread: str) -> str:
    return "the main thread" if thread == str(pid) else f"thread {thread}"


def stat_of(folder: str) -> list[str]:
    """What the kernel says of a process or a thread, from its state on; the name before may be anything."""
    with open(f"{folder}/stat") as file:
        return file.read().rpartition(")")[2].split()


def _state_of(pid: int) -> str:
    try:
        return stat_of(f"/proc/{pid}")[0]
    except (OSError, IndexError):
        return "?"


def _descriptors_used_up(pid: int) -> int | None:
    """How many descriptors a process may have, where it has as many."""
    try:
        used = len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/limits") as file:
            words = next(line for line in file if line.startswith("Max open files")).split()
        most = int(words[3])
    except (OSError, ValueError, StopIteration):
        return None
    return most if used >= most else None


def _busy_threads(pid: int) -> list[tuple[str, float]]:
    """The threads that use most of a processor, or would if they got one, by a look of half a second."""
    before, begun = _threads(pid), time.monotonic()
    time.sleep(0.5)
    after, seconds = _threads(pid), time.monotonic() - begun
    found = []
    for thread, (ticks, runs) in after.items():
        ticks_before, ran = before.get(thread, (0, False))
        share = (ticks - ticks_before) / os.sysconf("SC_CLK_TCK") / seconds
        if share > 0.3 or (share > 0 and runs and ran):
            found.append((thread, share))
    return sorted(found, key=lambda item: -item[1])


def _threads(pid: int) -> dict[str, tuple[int, bool]]:
    """For each thread of a process the time that it has used, in ticks, and whether it wants a processor."""
    found = {}
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return {}
    for thread in threads:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat_of(f"/proc/{pid}/task/{thread}")
            found[thread] = int(fields[11]) + int(fields[12]), fields[0] == "R"
    return found
