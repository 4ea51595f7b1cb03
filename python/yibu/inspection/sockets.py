"""Where the sockets of inspected processes are: one for each, in a folder that only their user can enter.

The folder is `yibu` in the user's runtime directory (`XDG_RUNTIME_DIR`), or `/tmp/yibu-UID` where there is
none. The caller makes sure that it is a real folder, that of the user, and closed to others: any user
could have made one of that name in `/tmp`. Called by `server.py` and `client.py`.
"""

import contextlib
import os
import re
import socket
import stat
import struct
import tempfile

_CREDENTIALS = struct.Struct("3i")

_BOUND = re.compile(r" (/\S.*/yibu(?:-\d+)?/(\d+)\.sock)$")


class UnsafeFolder(OSError):
    """The folder is not one that can be trusted."""


def folder() -> str:
    """The folder of this user's sockets; made if it is not there."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isabs(runtime) and os.path.isdir(runtime):
        path = os.path.join(runtime, "yibu")
    else:
        path = _in_tmp(os.getuid())
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    check(path, os.getuid())
    return path


def _in_tmp(uid: int) -> str:
    return os.path.join(tempfile.gettempdir(), f"yibu-{uid}")


def check(path: str, uid: int) -> None:
    """UnsafeFolder unless a path is a folder of this user's that nobody else can enter."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFolder(f"{path} is not a folder")
    if found.st_uid != uid:
        raise UnsafeFolder(f"{path} belongs to user {found.st_uid}, not to user {uid}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UnsafeFolder(f"{path} may be entered by other users: its mode must be 700")


def path_of(pid: int, directory: str) -> str:
    """The socket of a process in a folder."""
    return os.path.join(directory, f"{pid}.sock")


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """The process and the user at the other end of a connection."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _gid = _CREDENTIALS.unpack(credentials)
    return pid, uid


def remove_stale(path: str, patience: float) -> bool:
    """Remove the socket of a dead process; tell whether nobody serves the path now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(patience)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return True
    return False


def bound(pid: int | None = None) -> list[tuple[int, str]]:
    """The paths of sockets that the kernel knows and that are named like those of processes, in any folder.

    Who serves them is to be asked of the kernel when they are connected: any process may take such a path.
    """
    found = []
    try:
        with open("/proc/net/unix", errors="surrogateescape") as file:
            lines = file.read().splitlines()[1:]
    except OSError:
        return []
    for line in lines:
        match = _BOUND.search(line)
        if match is not None and (pid is None or int(match[2]) == pid):
            found.append((int(match[2]), match[1]))
    return found


def folders_of(uid: int) -> list[str]:
    """Where the socket of a process of a user may be; root may look at the processes of all users."""
    candidates = [_in_tmp(uid), f"/run/user/{uid}/yibu"]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        candidates.insert(0, os.path.join(runtime, "yibu"))
    found = []
    for path in dict.fromkeys(candidates):
        try:
            check(path, uid)
        except OSError:
            continue
        found.append(path)
    return found
