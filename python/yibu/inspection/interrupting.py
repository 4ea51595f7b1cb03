"""`interrupt()`: has the main thread of another process return from the kernel where it waits for events.

A loop with nothing to do runs no Python code, so an interpreter that is asked for something by its remote
debugging would not notice. The process is held for a moment as a debugger holds it, and let go: waiting for
events ends early then, and the loop waits again. No signal is sent. Called by `client.py`.
"""

import contextlib
import ctypes
import os
import time

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_ALL_THREADS = 0x40000000
"""Of `waitpid`: also those that are no children."""

_STOPPED = 128
"""The event of a process that was interrupted; else a signal is on its way, which is passed on."""

_PATIENCE = 1.0
"""Seconds for the thread to be stopped; the kernel lets go of it when this process ends."""


def interrupt(pid: int) -> None:
    """Interrupt the main thread of a process, as far as the kernel lets this process do that."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    ptrace.restype = ctypes.c_long
    if ptrace(_SEIZE, pid, None, None) != 0:
        return
    ptrace(_INTERRUPT, pid, None, None)
    end = time.monotonic() + _PATIENCE
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end:
            stopped, status = os.waitpid(pid, os.WNOHANG | _ALL_THREADS)
            if stopped:
                signal = 0 if status >> 16 == _STOPPED else os.WSTOPSIG(status)
                ptrace(_DETACH, pid, None, signal)
                break
            time.sleep(0.001)
