"""Starts a child process in fewer steps than `subprocess.Popen`, where its arguments are ordinary.

`Popen` looks at twenty-five arguments, and reads and splits the search path each time, in Python code that
costs more than the system calls. Most children of asyncio have none of those arguments: a program to be
found on the search path, and standard streams that are inherited or pipes. `start` makes the `Popen` object
of such a child, with the same attributes, the same system calls, the same audit event and the same errors.
For all other children it returns None, and also when the program has replaced a part of `subprocess` or
`os` that `Popen` would call: then `Popen` is to start the child.

`yibu/__init__.py` imports it, before a program can replace such a part; the native
`_UnixSubprocessTransport` calls `start`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

# Of its private names the stubs know few.
_subprocess: Any = subprocess
_Popen: Any = subprocess.Popen

# How much of the description of a failure is read at once.
_ERROR_BYTES = 50_000
# Where nothing goes to or comes from a descriptor.
_NO_FD = -1


def _parts() -> tuple[Any, ...]:
    """What `Popen` would call, and what a program may put in the place of it."""
    return (
        _subprocess.Popen,
        _Popen.__init__,
        _Popen._execute_child,
        _Popen._get_handles,
        _Popen._close_pipe_fds,
        _subprocess._fork_exec,
        os.get_exec_path,
        os.pipe,
    )


_PARTS = _parts()
# Whether this is a version of Python whose `Popen` is known here, and nobody replaced parts of it before this
# module was imported.
_IS_KNOWN = (
    (3, 11) <= sys.version_info < (3, 16)
    and sys.platform == "linux"
    and all(part.__module__ == "subprocess" for part in _PARTS[:5])
    and [part.__module__ for part in _PARTS[5:]] == ["_posixsubprocess", "os", "posix"]
)


def start(args: Any, stdin: Any, stdout: Any, stderr: Any) -> Any:
    """The `Popen` object of the child that was started, its pipes without buffers, or None."""
    if not (_IS_KNOWN and type(args) is tuple and type(args[0]) is str) or "/" in args[0]:
        return None
    files = (stdin, stdout, stderr)
    for file in files:
        if not (file is None or (type(file) is int and file == subprocess.PIPE)):
            return None
    for part, shipped in zip(_parts(), _PARTS, strict=True):
        if part is not shipped:
            return None
    if _subprocess._active:
        _subprocess._cleanup()
    process = _Popen.__new__(_Popen)
    process.__dict__ = {
        "_waitpid_lock": threading.Lock(),
        "_input": None,
        "_communication_started": False,
        "args": args,
        "stdin": None,
        "stdout": None,
        "stderr": None,
        "pid": None,
        "returncode": None,
        "encoding": None,
        "errors": None,
        "pipesize": -1,
        "text_mode": False,
        "_sigint_wait_secs": 0.25,
        "_closed_child_pipe_fds": True,
    }
    if files == (None, None, None):
        _execute(process, args, (_NO_FD,) * 6, ())
    else:
        _execute_with_pipes(process, args, files)
    return process


def _execute_with_pipes(process: Any, args: tuple[Any, ...], files: tuple[Any, ...]) -> None:
    """Starts the child with a pipe for each of the standard streams that is not None in `files`."""
    ends: list[int] = []
    of_child = []
    try:
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if files[number] is None:
                ends += _NO_FD, _NO_FD
                continue
            read, write = os.pipe()
            ends += read, write
            kept, given, mode = (write, read, "wb") if number == 0 else (read, write, "rb")
            of_child.append(given)
            setattr(process, name, open(kept, mode, 0))  # noqa: SIM115 (closed with the transport)
        _execute(process, args, tuple(ends), of_child)
    except BaseException:
        for file in filter(None, (process.stdin, process.stdout, process.stderr)):
            file.close()
        for fd in of_child:
            os.close(fd)
        raise


def _execute(process: Any, args: tuple[Any, ...], ends: tuple[int, ...], of_child: Any) -> None:
    """Starts the child, closes the descriptors in `of_child`, and raises what kept it from running."""
    name = args[0]
    command = list(args)
    sys.audit("subprocess.Popen", name, command, None, None)
    # Up to 3.13 the last argument says whether to use `vfork`.
    extra = () if sys.version_info >= (3, 14) else (_subprocess._USE_VFORK,)
    errors, errors_of_child = os.pipe()
    try:
        try:
            if errors_of_child < 3:
                # The child's own standard streams would take its place.
                errors_of_child = _above_standard_streams(errors_of_child)
            program = os.fsencode(name)
            path = os.environ.get("PATH")
            folders = _folders(os.defpath if path is None else path)
            process.pid = _subprocess._fork_exec(
                command,
                tuple([folder + program for folder in folders]),
                True,
                (errors_of_child,),
                None,
                None,
                *ends,
                errors,
                errors_of_child,
                True,
                False,
                -1,
                None,
                None,
                None,
                -1,
                None,
                *extra,
            )
            process._child_created = True
        finally:
            os.close(errors_of_child)
        while of_child:
            os.close(of_child.pop())
        failure = b""
        while part := os.read(errors, _ERROR_BYTES):
            failure += part
    finally:
        os.close(errors)
    if failure:
        _fail(process, name, failure)


def _fail(process: Any, name: str, failure: bytes) -> None:
    """Raises what the child wrote instead of running the program: a class, an error number, and a text."""
    with contextlib.suppress(ChildProcessError):
        process.returncode = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
    class_name, number, text = failure.split(b":", 2)
    if class_name != b"OSError":
        raise subprocess.SubprocessError(text.decode())
    code = int(number, 16)
    if text == b"noexec":
        raise OSError(code, os.strerror(code))
    raise OSError(code, os.strerror(code), name)


def _split(path: str) -> tuple[bytes, ...]:
    """The folders of a search path, each so that the name of a program can be appended."""
    found = map(os.fsencode, path.split(os.pathsep))
    return tuple(folder if not folder or folder.endswith(b"/") else folder + b"/" for folder in found)


_folders = functools.lru_cache(maxsize=4)(_split)


def _above_standard_streams(fd: int) -> int:
    """A duplicate of a descriptor that is none of the standard streams."""
    lower = []
    while fd < 3:
        lower.append(fd)
        fd = os.dup(fd)
    for each in lower:
        os.close(each)
    return fd
