"""Opens the socket of a process that has none, by the remote debugging of Python 3.14 and later.

`request` runs in the process that asks: it has `sys.remote_exec` run `opened` in the other one, in its main
thread, as soon as that runs Python code. The socket is closed again after a while. Called by `client.py`.
"""

import os
import sys
import tempfile
import threading

_OPEN = 60.0
"""Seconds for which the socket stays open."""

_SCRIPT = """
try:
    import yibu.inspection.remote
except ImportError:
    pass
else:
    yibu.inspection.remote.opened()
"""


class NotPossible(Exception):
    """Why the interpreter of a process cannot be asked."""


def request(pid: int) -> str:
    """Ask a process to open its socket; return the path of the script, which is to be removed afterwards."""
    if sys.version_info < (3, 14):
        raise NotPossible("that needs Python 3.14 on both sides")
    with tempfile.NamedTemporaryFile("w", suffix=".py", prefix="yibu-", delete=False) as file:
        file.write(_SCRIPT)
    try:
        os.chmod(file.name, 0o600)
        if os.getuid() == 0:
            owner = os.stat(f"/proc/{pid}")
            os.chown(file.name, owner.st_uid, owner.st_gid)
        sys.remote_exec(pid, file.name)
    except (OSError, RuntimeError, ValueError) as error:
        os.unlink(file.name)
        raise NotPossible(str(error)) from error
    return file.name


def opened() -> None:
    """Open the socket of this process for a while."""
    from yibu.inspection.inspecting import Inspection

    inspection = Inspection()
    timer = threading.Timer(_OPEN, inspection.close)
    timer.daemon = True
    timer.name = "yibu-inspect-end"
    timer.start()
