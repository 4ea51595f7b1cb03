"""Asks another process for its tasks. Called by `command.py`.

By its socket where that is on, and otherwise, on Python 3.14 and later, by the interpreter's remote debugging
(`remote.py`).
"""

import contextlib
import os
import socket
import time
from typing import Any

from yibu.inspection import interrupting, messages, remote, silence, sockets
from yibu.inspection.descriptions import TaskTree
from yibu.inspection.encoding import decode


class Unreachable(Exception):
    """Why a process could not be asked, and what to do about it."""


class WithoutSocket(Unreachable):
    """The process has no socket."""


Request = dict[str, Any]


def _keep_quiet(_line: str) -> None:
    """For those who only want an answer."""


def ask(pid: int, *, sample: float, timeout: float, tell: silence.Tell = _keep_quiet) -> TaskTree:
    """The tasks of a process, whose threads are looked at for some seconds.

    `tell` gets a line when the process cannot answer for a while.
    """
    return decode(exchange(pid, {"ask": "tasks", "sample": sample}, timeout, tell)["tree"])


def exchange(pid: int, request: Request, timeout: float, tell: silence.Tell = _keep_quiet) -> dict[str, Any]:
    """Ask a process: by its socket, which it is made to open for the time where that can be done."""
    try:
        return _exchange_when_begun(pid, request, timeout, tell)
    except WithoutSocket as error:
        try:
            script = remote.request(pid)
        except remote.NotPossible as reason:
            raise WithoutSocket(
                f"{error} (and its interpreter cannot be asked to open one: {reason})"
            ) from None
    try:
        return _exchange_when_open(pid, request, timeout, tell, script)
    finally:
        script.leave()


_STARTS = 5.0
"""Seconds after which a program has got as far as opening its socket."""


def _exchange_when_begun(pid: int, request: Request, timeout: float, tell: silence.Tell) -> dict[str, Any]:
    """Ask a process that may have begun only now, as `program & python -m yibu ps $!` does."""
    while True:
        try:
            return exchange_by_socket(pid, request, timeout, tell)
        except WithoutSocket:
            if _age_of(pid) > _STARTS:
                raise
        time.sleep(0.05)


def _age_of(pid: int) -> float:
    """For how many seconds a process has been there."""
    try:
        begun = int(silence.stat_of(f"/proc/{pid}")[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return _STARTS + 1
    return time.clock_gettime(time.CLOCK_BOOTTIME) - begun


_ATTEMPTS = 10
"""After so many a process without a socket has nothing to do, and is woken."""


def _exchange_when_open(
    pid: int, request: Request, timeout: float, tell: silence.Tell, script: remote.Script
) -> dict[str, Any]:
    """Ask a process that was told to open its socket."""
    begun = time.monotonic()
    deadline = begun + timeout
    attempts = 0
    is_told = False
    while True:
        try:
            return exchange_by_socket(pid, request, timeout, tell)
        except WithoutSocket as error:
            if script.found_no_yibu:
                raise WithoutSocket(
                    f"process {pid} has not imported yibu, and has no task of yibu's"
                ) from None
            attempts += 1
            if attempts == _ATTEMPTS:
                interrupting.interrupt(pid)
            if time.monotonic() > deadline:
                raise WithoutSocket(
                    f"{error} (its interpreter was asked to open one, but its main thread has run no Python "
                    f"code for {timeout:g} s)"
                ) from None
        if not is_told and time.monotonic() > begun + silence.PATIENCE:
            is_told = True
            tell(
                f"process {pid} has not opened a socket for {silence.PATIENCE:g} s, and may yet: "
                f"{silence.why(pid)}"
            )
        time.sleep(0.05)


def exchange_by_socket(
    pid: int, request: Request, timeout: float, tell: silence.Tell = _keep_quiet
) -> dict[str, Any]:
    """Ask a process that has a socket. `WithoutSocket` where there is none."""
    uid = _user_of(pid)
    refused = None
    for directory in sockets.folders_of(uid):
        path = sockets.path_of(pid, directory)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                _connect(connection, path, timeout)
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            except (TimeoutError, BlockingIOError):
                raise _silent(pid, timeout) from None
            except OSError as error:
                refused = error
                continue
            return _answer(connection, pid, uid, request, timeout, tell)
    closed_to_us = None
    for _pid, path in sockets.bound(pid):
        found = _connected(path, pid, uid, timeout)
        if found is None and _is_closed_to_us(path):
            closed_to_us = path
        if found is not None:
            with found:
                return _answer(found, pid, uid, request, timeout, tell)
    if closed_to_us is not None:
        raise Unreachable(
            f"the socket of process {pid}, {closed_to_us}, belongs to another user: a process that changes "
            "its user has to call yibu.inspect() after that; until then root can look"
        )
    if refused is not None:
        raise Unreachable(f"the socket of process {pid} cannot be used: {refused}")
    raise WithoutSocket(
        f"process {pid} has no socket: start it with `python -m yibu --inspect`, or with YIBU_INSPECT=1, or "
        "have it call yibu.inspect()"
    )


def _connect(connection: socket.socket, path: str, timeout: float) -> None:
    """Connect; where too many wait to be accepted, wait for that, too."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.connect(path)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _connected(path: str, pid: int, uid: int, timeout: float) -> socket.socket | None:
    """A connection to a socket in whatever folder, if that very process serves it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    with contextlib.suppress(OSError):
        connection.connect(path)
        served_by, owner = sockets.peer_of(connection)
        if served_by == pid and owner in (0, uid):
            return connection
    connection.close()
    return None


def _answer(
    connection: socket.socket,
    pid: int,
    uid: int,
    request: Request,
    timeout: float,
    tell: silence.Tell = _keep_quiet,
) -> dict[str, Any]:
    served_by, owner = sockets.peer_of(connection)
    if owner not in (0, uid):
        raise Unreachable(f"the socket of process {pid} is served by another user ({owner})")
    if served_by not in (0, pid):
        raise Unreachable(f"the socket of process {pid} is served by process {served_by}")
    deadline = time.monotonic() + timeout
    try:
        messages.send(connection, {**request, "asked": time.monotonic()}, deadline)
        silence.watch_for(connection, pid, deadline, tell)
        answer = messages.receive(connection, messages.LARGEST_ANSWER, deadline)
    except messages.BadMessage as error:
        if time.monotonic() >= deadline:
            raise _silent(pid, timeout) from error
        raise Unreachable(f"process {pid}: {error}") from error
    except OSError as error:  # it has ended meanwhile
        raise Unreachable(f"process {pid} has not answered: {error}") from error
    if "error" in answer:
        raise Unreachable(f"process {pid}: {answer['error']}")
    return answer


def _is_closed_to_us(path: str) -> bool:
    """Whether the folder of a socket belongs to another user."""
    try:
        os.stat(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _user_of(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except FileNotFoundError:
        raise Unreachable(f"there is no process {pid}") from None


def inspectable() -> list[int]:
    """The processes of this user that have a socket; what dead ones have left is removed."""
    found = []
    for directory in sockets.folders_of(os.getuid()):
        for name in os.listdir(directory):
            pid, _, ending = name.partition(".")
            if ending != "sock" or not pid.isdigit():
                continue
            with contextlib.suppress(OSError):
                if not sockets.remove_stale(os.path.join(directory, name), 1):
                    found.append(int(pid))
    for number, path in sockets.bound():
        if number not in found:
            connection = _connected(path, number, os.getuid(), 1)
            if connection is not None:
                connection.close()
                found.append(number)
    return sorted(found)


def _silent(pid: int, timeout: float) -> Unreachable:
    """Says what the kernel knows of a process that cannot answer."""
    return Unreachable(f"process {pid} has not answered within {timeout:g} s: {silence.why(pid)}")
