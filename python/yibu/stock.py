"""What yibu still takes from the standard library's own asyncio, all of it listed here, and why.

Two lists. `NAMES` (and `MODULES`) are the names of the asyncio namespace that `yibu/__init__.py`
passes on as they are; it ignores those that the running Python lacks. `LoopMethods` are the methods
of yibu's event loop (`event_loop.py`) that run the interpreter's pure-Python code on top of the
native loop's readers, writers, timers, tasks and socket transports.
An entry leaves these lists when its native form arrives; `tests/unit/test_package.py` holds both to
the truth.
"""

import sys
from asyncio import base_events, unix_events
from functools import cached_property
from typing import Any

# Will stay stock: exceptions, constants, abstract classes and the functions that keep the record of
# the running loop and the current task must be the same objects for everybody in the process.
SHARED_NAMES = (
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "AbstractChildWatcher",
    "AbstractEventLoop",
    "AbstractEventLoopPolicy",
    "AbstractServer",
    "BaseEventLoop",
    "BaseProtocol",
    "BaseTransport",
    "BrokenBarrierError",
    "BufferedProtocol",
    "CancelledError",
    "DatagramProtocol",
    "DatagramTransport",
    "FrameCallGraphEntry",
    "FutureCallGraph",
    "IncompleteReadError",
    "InvalidStateError",
    "LimitOverrunError",
    "Protocol",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
    "ReadTransport",
    "SelectorEventLoop",
    "SendfileNotAvailableError",
    "SubprocessProtocol",
    "SubprocessTransport",
    "TimeoutError",
    "Transport",
    "WriteTransport",
    "_enter_task",
    "_get_running_loop",
    "_leave_task",
    "_register_task",
    "_set_running_loop",
    "_unregister_task",
    "get_child_watcher",
    "get_event_loop_policy",
    "get_running_loop",
    "iscoroutine",
    "iscoroutinefunction",
    "isfuture",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
)

# C functions of the interpreter since these versions; before, they are Python, and yibu has its own.
C_NAMES = (
    *(("all_tasks",) if sys.version_info >= (3, 14) else ()),
    *(("current_task",) if sys.version_info >= (3, 12) else ()),
)

# Stock for now: works on the native loop through its public methods, and will become native.
BORROWED_NAMES = (
    "FastChildWatcher",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
    "create_subprocess_exec",
    "create_subprocess_shell",
)

NAMES = SHARED_NAMES + C_NAMES + BORROWED_NAMES

# The modules of asyncio, for programs that write `asyncio.subprocess.PIPE` or `asyncio.tasks.Task`.
# They are the standard library's own; `yibu.install()` puts the native classes into them.
MODULES = (
    "base_events",
    "base_futures",
    "base_subprocess",
    "base_tasks",
    "constants",
    "coroutines",
    "events",
    "exceptions",
    "format_helpers",
    "futures",
    "graph",
    "locks",
    "log",
    "mixins",
    "protocols",
    "queues",
    "runners",
    "selector_events",
    "sslproto",
    "staggered",
    "streams",
    "subprocess",
    "taskgroups",
    "tasks",
    "threads",
    "timeouts",
    "transports",
    "trsock",
    "unix_events",
)

_Base: Any = base_events.BaseEventLoop
_unix: Any = unix_events
_Unix = _unix._UnixSelectorEventLoop


class LoopMethods:
    """The loop methods that are borrowed, with the private hooks that they call on their loop.

    Of the native loop they use, besides its public methods: `_debug`, `_transports`, `_ensure_resolved`,
    `_ensure_fd_no_transport`; and `_add_reader`, `_remove_reader`, `_add_writer`, `_remove_writer`, which
    do what the public ones do without looking for a transport.
    """

    # Child processes: stock's transport over `subprocess.Popen`, native pipes, and stock's watcher
    # (a process descriptor in the native poller where the kernel allows it, a thread otherwise).
    subprocess_exec = _Base.subprocess_exec
    subprocess_shell = _Base.subprocess_shell
    _log_subprocess = _Base._log_subprocess
    _make_subprocess_transport = _Unix._make_subprocess_transport
    _child_watcher_callback = _Unix._child_watcher_callback

    if sys.version_info >= (3, 14):

        @cached_property
        def _watcher(self) -> Any:
            """Who waits for child processes. Before Python 3.14 the policy has the watcher."""
            if _unix.can_use_pidfd():
                return _unix._PidfdChildWatcher()
            return _unix._ThreadedChildWatcher()
