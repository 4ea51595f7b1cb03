"""What yibu takes from the standard library's own asyncio, all of it listed here, and why.

`NAMES` are the names of the asyncio namespace that `yibu/__init__.py` passes on as they are, `MODULES` the
modules of which it passes on what is not native; both ignore what the running Python lacks. The event loop
takes nothing but its abstract base class (`event_loop.py`). `tests/unit/test_package.py` holds the lists to
the truth.
"""

import sys

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

# Stock, and used on the native loop through its public methods, when a program asks for them by name:
# watchers that listen to SIGCHLD. Python 3.12 deprecates and 3.14 drops them; nothing chooses them.
BORROWED_NAMES = (
    "FastChildWatcher",
    "MultiLoopChildWatcher",
    "SafeChildWatcher",
)

# Stock because there is nothing in it to be fast at: it makes a function around a class of tasks. yibu's
# own `eager_task_factory` is made by it, so that all factories share the code object by which libraries
# recognise them.
FACTORY_NAMES = ("create_eager_task_factory",)

NAMES = SHARED_NAMES + C_NAMES + BORROWED_NAMES + FACTORY_NAMES

# The modules of asyncio, for programs that write `asyncio.subprocess.PIPE` or `asyncio.tasks.Task`: see
# `modules.py`.
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
