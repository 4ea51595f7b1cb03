"""What yibu has to do with event loop policies: everything, and nothing where Python has none.

`EventLoopPolicy` is the running interpreter's own default policy (child watchers included, where it
still has them) except that the loops it makes are yibu's. Policies are deprecated since Python 3.14;
the class itself never warns: `asyncio.set_event_loop_policy`, without which it is of no use, does.
Python 3.16 removes them. Then `names()` is empty, and `install()` gives asyncio another `new_event_loop`.

Called by programs, by `yibu/__init__.py`, and by `installation.py`, which makes this policy the process's.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from asyncio import AbstractEventLoop, events, unix_events
from collections.abc import Mapping

from yibu.event_loop import EventLoop, new_event_loop

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

if sys.version_info < (3, 14):
    from asyncio import AbstractChildWatcher

    from yibu.child_watchers import default_child_watcher

# How the standard library says that something will be removed.
_warn: Any = vars(warnings).get("_deprecated")
_LEAVES = "{name!r} is deprecated as of Python 3.12 and will be removed in Python {remove}."

# Its public name moves and warns with the versions; this one is the same in all of them that have policies.
StockPolicy: Any = vars(unix_events).get("_UnixDefaultEventLoopPolicy")
HAS_POLICIES = StockPolicy is not None


class EventLoopPolicy(StockPolicy or object):  # type: ignore[misc]  # no version's stubs agree on the base
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
    if not HAS_POLICIES:
        return events.get_event_loop()
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


def names() -> dict[str, object]:
    """What yibu's namespace has of policies: the class, and the names under which asyncio has its own."""
    if not HAS_POLICIES:
        return {}
    if sys.version_info < (3, 14):
        return {"EventLoopPolicy": EventLoopPolicy, "DefaultEventLoopPolicy": EventLoopPolicy}
    return {"EventLoopPolicy": EventLoopPolicy, "__getattr__": _deprecated_name}


def _deprecated_name(name: str) -> object:
    """The two classes that the asyncio namespace still gives, with a warning, until Python 3.16."""
    classes = {
        "AbstractEventLoopPolicy": vars(events).get("_AbstractEventLoopPolicy"),
        "DefaultEventLoopPolicy": EventLoopPolicy,
    }
    if name not in classes:
        raise AttributeError(f"module 'yibu' has no attribute {name!r}")
    message = f"'asyncio.{name}' is deprecated and slated for removal in Python 3.16"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return classes[name]


def replacements() -> list[tuple[str, object, object]]:
    """What `install()` replaces by name: what `set_event_loop_policy(None)` goes back to."""
    if not HAS_POLICIES:
        return []
    name = "_DefaultEventLoopPolicy" if sys.version_info >= (3, 14) else "DefaultEventLoopPolicy"
    return [(name, StockPolicy, EventLoopPolicy)]


class Installed:
    """Yibu's policy as that of the process; without policies, yibu's `new_event_loop` in asyncio's place."""

    def __init__(self) -> None:
        self.found: Any = None
        self.policy: EventLoopPolicy | None = None
        if not HAS_POLICIES:
            self.found = events.new_event_loop
            _rebind_new_event_loop(self.found, new_event_loop)
            return
        self.found, self.policy = current_policy(), EventLoopPolicy()
        if type(self.found) is StockPolicy:
            # The current loops, thread by thread, and the child watcher. Shared, not copied:
            # `asyncio.set_event_loop` before, during and after an installation is one story.
            self.policy.__dict__.update(self.found.__dict__)
        set_policy(self.policy)

    def undo(self) -> None:
        """Go back to what was found, unless the program has replaced it since."""
        if self.policy is None:
            _rebind_new_event_loop(new_event_loop, self.found)
        elif current_policy() is self.policy:
            set_policy(self.found)


def _rebind_new_event_loop(old: object, new: object) -> None:
    modules: tuple[Mapping[str, object], ...] = vars(asyncio), vars(events)
    for namespace in modules:
        if namespace["new_event_loop"] is old:
            namespace["new_event_loop"] = new  # type: ignore[index]
