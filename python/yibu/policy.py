"""The event loop policy, and the two functions that make loops.

`EventLoopPolicy` is the running interpreter's own default policy (child watchers included, where it
still has them) except that the loops it makes are yibu's. Policies are deprecated since Python 3.14;
the class itself never warns: `asyncio.set_event_loop_policy`, without which it is of no use, does.

Called by programs, by `installation.py` (which makes this policy the process's) and by the native `Runner`.
"""

import sys
import threading
import warnings
from asyncio import AbstractEventLoop, events, unix_events
from typing import Any

from yibu.event_loop import EventLoop

if sys.version_info < (3, 14):
    from asyncio import AbstractChildWatcher

    from yibu.child_watchers import default_child_watcher

# How the standard library says that something will be removed.
_warn: Any = vars(warnings).get("_deprecated")
_LEAVES = "{name!r} is deprecated as of Python 3.12 and will be removed in Python {remove}."

# Its public name moves and warns with the versions; this one is the same in all of them.
StockPolicy: Any = vars(unix_events)["_UnixDefaultEventLoopPolicy"]


class EventLoopPolicy(StockPolicy):  # type: ignore[misc]  # no version's stubs agree on the base
    """The default policy of this Python, with yibu's event loop."""

    _loop_factory = EventLoop

    if sys.version_info < (3, 14):
        # The watcher of child processes, for programs that set one, or ask: a loop needs none.

        def __init__(self) -> None:
            super(StockPolicy, self).__init__()
            self._watcher: AbstractChildWatcher | None = None

        def set_event_loop(self, loop: AbstractEventLoop | None) -> None:
            """Set the current loop of this thread. In the main thread the watcher goes with it."""
            super(StockPolicy, self).set_event_loop(loop)
            if self._watcher is not None and threading.current_thread() is threading.main_thread():
                self._watcher.attach_loop(loop)

        def get_child_watcher(self) -> AbstractChildWatcher:
            """Return the watcher, made now if there is none. Deprecated since Python 3.12."""
            with vars(events)["_lock"]:
                if self._watcher is None:
                    self._watcher = default_child_watcher()
            if sys.version_info >= (3, 12):
                _warn("get_child_watcher", _LEAVES, remove=(3, 14))
            return self._watcher

        def set_child_watcher(self, watcher: AbstractChildWatcher | None) -> None:
            """Set the watcher, None for none, and close the one before. Deprecated since Python 3.12."""
            assert watcher is None or isinstance(watcher, AbstractChildWatcher)
            if self._watcher is not None:
                self._watcher.close()
            self._watcher = watcher
            if sys.version_info >= (3, 12):
                _warn("set_child_watcher", _LEAVES, remove=(3, 14))


def new_event_loop() -> EventLoop:
    """Make a new event loop, whatever policy is in force."""
    return EventLoop()


def current_policy() -> Any:
    """The policy of this process. Asking is no use of a deprecated feature, so it never warns."""
    if sys.version_info >= (3, 14):
        return events._get_event_loop_policy()
    return events.get_event_loop_policy()


def set_policy(policy: Any) -> None:
    """Make `policy` the one of this process, without the deprecation warning of 3.14 and later."""
    if sys.version_info >= (3, 14):
        events._set_event_loop_policy(policy)
    else:
        events.set_event_loop_policy(policy)


def get_event_loop() -> AbstractEventLoop:
    """`asyncio.get_event_loop`, except that a loop made on demand is yibu's.

    The current loop of a thread is one thing, whether asked for or set through asyncio or through
    yibu. Only where a default policy, the interpreter's or yibu's, is about to make a loop (the main
    thread, before Python 3.14) does this function step in: to make yibu's loop, and to let the
    warning point at the caller, for which the policy would take this module.
    """
    running = events._get_running_loop()
    if running is not None:
        return running
    policy = current_policy()
    if type(policy) in (StockPolicy, EventLoopPolicy) and sys.version_info < (3, 14):
        local = policy._local
        in_main_thread = threading.current_thread() is threading.main_thread()
        if local._loop is None and not local._set_called and in_main_thread:
            if sys.version_info >= (3, 12):
                warnings.warn("There is no current event loop", DeprecationWarning, stacklevel=2)
            policy.set_event_loop(new_event_loop())
    loop: AbstractEventLoop = policy.get_event_loop()
    return loop


if sys.version_info >= (3, 14):

    def __getattr__(name: str) -> object:
        """The two classes that the asyncio namespace still gives, with a warning, until Python 3.16.

        `yibu/__init__.py` takes this function for its own.
        """
        classes = {
            "AbstractEventLoopPolicy": events._AbstractEventLoopPolicy,
            "DefaultEventLoopPolicy": EventLoopPolicy,
        }
        if name not in classes:
            raise AttributeError(f"module 'yibu' has no attribute {name!r}")
        message = f"'asyncio.{name}' is deprecated and slated for removal in Python 3.16"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return classes[name]
