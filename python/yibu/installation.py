"""`install()` and `uninstall()`: run the whole process on yibu, without a change to its programs.

`install()` does two things.

- The event loop policy becomes yibu's, so that `asyncio.run`, `asyncio.new_event_loop` and whatever
  else asks the policy get yibu's loop. On Pythons where policies are deprecated this does not warn.
- With `patch=True`, the default, the native classes take the place of the stock ones in `asyncio` and
  its modules, under the names listed in `_replacements()`. What was imported from there before
  `install()` stays what it was; it keeps working on the new loops, as do loops made before.

Left alone on purpose: `asyncio.SelectorEventLoop` (whoever names that class wants that class), the
`Server` class (only a loop makes servers), `asyncio.new_event_loop` and `asyncio.run` (they ask the
policy), private aliases such as `_CFuture` and `_PyTask`, and the C module `_asyncio`.

Called by programs, and by `command_line.py` before it runs one.
"""

import asyncio
import sys
import threading
from asyncio import events, unix_events
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

from yibu import _yibu
from yibu.event_loop import EventLoop
from yibu.gathering import _GatheringFuture
from yibu.policy import EventLoopPolicy, StockPolicy, current_policy, set_policy


class _Patch(NamedTuple):
    """One global of one module that `install()` replaced."""

    module: ModuleType
    name: str
    stock: object
    native: object


class _Installation:
    """What `install()` has done, for `uninstall()` to undo."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.policies: tuple[object, EventLoopPolicy] | None = None  # the one found, the one made
        self.patches: list[_Patch] = []


_done = _Installation()


def _replacements() -> Iterator[tuple[str, object, object]]:
    """Each name that `install()` replaces, with the stock object and the native one."""
    yield "Future", asyncio.futures.Future, _yibu.Future
    yield "_GatheringFuture", vars(asyncio.tasks)["_GatheringFuture"], _GatheringFuture
    yield "Task", asyncio.tasks.Task, _yibu.Task
    yield "Handle", events.Handle, _yibu.Handle
    yield "TimerHandle", events.TimerHandle, _yibu.TimerHandle
    for name in ("Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"):
        yield name, vars(asyncio.locks)[name], vars(_yibu)[name]
    yield "create_task", asyncio.tasks.create_task, _yibu.create_task
    yield "sleep", asyncio.tasks.sleep, _yibu.sleep
    yield "as_completed", asyncio.tasks.as_completed, _yibu.as_completed
    yield "wait", asyncio.tasks.wait, _yibu.wait
    yield "wait_for", asyncio.tasks.wait_for, _yibu.wait_for
    yield "Timeout", asyncio.timeouts.Timeout, _yibu.Timeout
    yield "timeout", asyncio.timeouts.timeout, _yibu.timeout
    yield "timeout_at", asyncio.timeouts.timeout_at, _yibu.timeout_at
    yield "to_thread", asyncio.threads.to_thread, _yibu.to_thread
    if sys.version_info >= (3, 12):
        from yibu.factories import eager_task_factory

        yield "eager_task_factory", asyncio.tasks.eager_task_factory, eager_task_factory
    if sys.version_info >= (3, 13):
        yield "EventLoop", unix_events.EventLoop, EventLoop
    # What `set_event_loop_policy(None)` goes back to.
    name = "_DefaultEventLoopPolicy" if sys.version_info >= (3, 14) else "DefaultEventLoopPolicy"
    yield name, StockPolicy, EventLoopPolicy


def _stock_modules() -> list[ModuleType]:
    """`asyncio` and those of its modules that have been imported."""
    names = [name for name in sys.modules if name == "asyncio" or name.startswith("asyncio.")]
    return [module for name in names if (module := sys.modules[name]) is not None]


def install(*, patch: bool = True) -> None:
    """Make yibu the asyncio of this process; see the module's text for what that is.

    May be called at any time, from any thread, and again: a second call adds what the first one left
    out (`install(patch=False)`, then `install()`), and otherwise changes nothing.
    """
    with _done.lock:
        if _done.policies is None:
            found = current_policy()
            policy = EventLoopPolicy()
            if type(found) is StockPolicy:
                _share_state(found, policy)
            set_policy(policy)
            _done.policies = found, policy
        if patch and not _done.patches:
            modules = _stock_modules()
            for name, stock, native in list(_replacements()):
                for module in modules:
                    if vars(module).get(name) is stock:
                        setattr(module, name, native)
                        _done.patches.append(_Patch(module, name, stock, native))


def uninstall() -> None:
    """Undo `install()`. What somebody else has replaced since is left as they made it."""
    with _done.lock:
        while _done.patches:
            patch = _done.patches.pop()
            if vars(patch.module).get(patch.name) is patch.native:
                setattr(patch.module, patch.name, patch.stock)
        if _done.policies is not None:
            found, policy = _done.policies
            _done.policies = None
            if current_policy() is policy:
                set_policy(found)


def _share_state(found: Any, policy: EventLoopPolicy) -> None:
    """Give `policy` the current loops, thread by thread, and the child watcher of the one it follows.

    Shared, not copied: `asyncio.set_event_loop` before, during and after an installation is one story.
    """
    policy.__dict__.update(found.__dict__)
