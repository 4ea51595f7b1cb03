"""Opens the socket of a process that has none, by the remote debugging of Python 3.14 and later.

`request` runs in the process that asks: it has `sys.remote_exec` run `opened` in the other one, in its main
thread, as soon as that runs Python code. The socket is closed again after a while. Called by `client.py`.
"""

import contextlib
import os
import sys
import tempfile
import threading

_OPEN = 60.0
"""Seconds for which the socket stays open."""

_SCRIPT = """
import os, sys
if "yibu" in sys.modules:
    import yibu.inspection.remote
    os.unlink({path!r})
    yibu.inspection.remote.opened()
else:
    with open({path!r}, "w") as file:
        file.write({without!r})
"""
"""Imports nothing into a process without yibu."""

_WITHOUT = "without yibu"

_LATE = """
import os
os.unlink({path!r})
"""
"""What is left for a process that was asked and has not listened: it may yet, and complains of no script."""

_PREFIX = "yibu-remote-"


class NotPossible(Exception):
    """Why the interpreter of a process cannot be asked."""


class Script:
    """What the other process is to run, in a file that only its user can read."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        with tempfile.NamedTemporaryFile("w", suffix=".py", prefix=f"{_PREFIX}{pid}-", delete=False) as file:
            self.path = file.name
            file.write(_SCRIPT.format(path=self.path, without=_WITHOUT))
        os.chmod(self.path, 0o600)
        if os.getuid() == 0:
            owner = os.stat(f"/proc/{pid}")
            os.chown(self.path, owner.st_uid, owner.st_gid)

    @property
    def found_no_yibu(self) -> bool:
        """Whether the process has run it, and has not imported yibu."""
        try:
            with open(self.path) as file:
                return file.read() == _WITHOUT
        except OSError:
            return False

    def leave(self) -> None:
        """Remove the file, unless the process may run it later."""
        with contextlib.suppress(OSError):
            if self.found_no_yibu or not os.path.exists(f"/proc/{self._pid}"):
                os.unlink(self.path)
            elif os.path.exists(self.path):
                with open(self.path, "w") as file:
                    file.write(_LATE.format(path=self.path))


def request(pid: int) -> Script:
    """Ask a process to open its socket."""
    if sys.version_info < (3, 14):
        raise NotPossible("that needs Python 3.14 on both sides")
    _remove_left()
    try:
        script = Script(pid)
    except OSError as error:
        raise NotPossible(str(error)) from error
    try:
        sys.remote_exec(pid, script.path)
    except (OSError, RuntimeError, ValueError) as error:
        os.unlink(script.path)
        raise NotPossible(str(error)) from error
    return script


def _remove_left() -> None:
    """Remove scripts of processes that have ended without running them."""
    folder = tempfile.gettempdir()
    for name in os.listdir(folder):
        pid = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(OSError):  # of another user, or another one was faster
                os.unlink(os.path.join(folder, name))


def opened() -> None:
    """Open the socket of this process for a while."""
    from yibu.inspection.inspecting import Inspection

    inspection = Inspection()
    timer = threading.Timer(_OPEN, inspection.close)
    timer.daemon = True
    timer.name = "yibu-inspect-end"
    timer.start()
