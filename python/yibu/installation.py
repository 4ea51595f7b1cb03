"""`install()` and `uninstall()`: run the whole process on yibu, without a change to its programs.

`install()` does two things.

- The event loop policy becomes yibu's, so that `asyncio.run`, `asyncio.new_event_loop` and whatever
  else asks the policy get yibu's loop. On Pythons where policies are deprecated this does not warn; where
  there are none, `asyncio.new_event_loop` becomes yibu's (`policy.py`).
- With `patch=True`, the default, everything native takes the place of what it stands for in `asyncio`
  and its modules: functions and classes, `asyncio.run` included. What was imported from there before
  `install()` stays what it was; it keeps working on the new loops, as do loops made before, and
  `isinstance` takes its classes and the native ones for the same (`namesakes.py`). What says its name and
  module, says asyncio's from then on.

A call of `asyncio.SelectorEventLoop` without a selector makes yibu's loop then, too (`selector_loop.py`).
Loops of asyncio's, which subclasses of its loop classes still are, lose a bug (`clock_resolution.py`).

With `as_uvloop=True` an `import uvloop` gets yibu, too (`uvloop_alias.py`).

In any case processes that the program starts by `multiprocessing` do as their parent (`children.py`).

Left alone on purpose: `asyncio.SelectorEventLoop` itself (a class derived from it builds on what is in it),
the `Server` class (only a loop makes servers), `asyncio.new_event_loop` (it asks the policy, and so does a
`Runner` that stands in asyncio's place), and `_PyTask` and `_PyFuture`, which are written in Python.

Called by programs, and by `command_line.py` before it runs one; `modules.py` asks what is replaced.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import base_subprocess, selector_events, sslproto, staggered, streams, subprocess, unix_events
from collections.abc import Iterator

from yibu import _yibu, policy
from yibu.event_loop import EventLoop

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from yibu import uvloop_alias

# A name of asyncio, and what stands behind it before and after `install()`.
Replacement = tuple[str, object, object]


class _Installation:
    """What `install()` has done, for `uninstall()` to undo."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.policy: policy.Installed | None = None
        self.replacements: list[Replacement] = []
        self.alias: uvloop_alias.Alias | None = None


_done = _Installation()

# Completed in Python, too, where there are any.
_CHILD_WATCHERS: dict[str, object] = {}
if sys.version_info < (3, 14):
    from yibu import child_watchers

    for _name in ("PidfdChildWatcher", "ThreadedChildWatcher"):
        _CHILD_WATCHERS[_name] = vars(child_watchers)[_name]

# Native, and yet not put into asyncio: only a loop makes servers.
_LEFT_ALONE = {"Server"}

# What the modules of asyncio have of each other.
_PRIVATE = {
    asyncio.tasks: ("_GatheringFuture", "_ensure_future"),
    asyncio.futures: ("_chain_future", "_set_result_unless_cancelled"),
    sslproto: ("SSLProtocol", "_SSLProtocolTransport"),
    staggered: ("staggered_race",),
    streams: ("FlowControlMixin",),
    base_subprocess: ("BaseSubprocessTransport", "ReadSubprocessPipeProto", "WriteSubprocessPipeProto"),
    subprocess: ("Process", "SubprocessStreamProtocol"),
    unix_events: (
        "_PidfdChildWatcher",
        "_ThreadedChildWatcher",
        "_UnixSubprocessTransport",
        "can_use_pidfd",
    ),
}

# Classes that stay in asyncio, and the native ones that stand for them and for their subclasses. By name,
# because asyncio's type stubs do not have them.
_RECOGNISED: dict[type, tuple[type, ...]] = {
    vars(module)[name]: native_classes
    for module, name, native_classes in (
        (
            selector_events,
            "_SelectorTransport",
            (_yibu._SelectorSocketTransport, _yibu._SelectorDatagramTransport),
        ),
        (selector_events, "_SelectorSocketTransport", (_yibu._SelectorSocketTransport,)),
        (selector_events, "_SelectorDatagramTransport", (_yibu._SelectorDatagramTransport,)),
        (unix_events, "_UnixReadPipeTransport", (_yibu._UnixReadPipeTransport,)),
        (unix_events, "_UnixWritePipeTransport", (_yibu._UnixWritePipeTransport,)),
    )
}

# Other names of what is native.
_ALIASES = {asyncio.tasks: {"_CTask": "Task"}, asyncio.futures: {"_CFuture": "Future"}}


def replacements() -> Iterator[Replacement]:
    """Each name that `install()` replaces: all of asyncio's that are native, and a few private ones."""
    # The public classes of the loop and of the watchers are completed in Python.
    native = vars(_yibu) | {"EventLoop": EventLoop} | _CHILD_WATCHERS
    # Not asyncio's `__all__`, which leaves out TaskGroup in Python 3.11.
    for name, stock in list(vars(asyncio).items()):
        if name in native and not name.startswith("__") and name not in _LEFT_ALONE:
            yield name, stock, native[name]
    for module, names in _PRIVATE.items():
        for name in names:
            if name in vars(module):
                yield name, vars(module)[name], native[name]
    for module, aliases in _ALIASES.items():
        for alias, name in aliases.items():
            if alias in vars(module):
                yield alias, vars(module)[alias], native[name]
    yield from policy.replacements()


def _class_pairs(replaced: list[Replacement]) -> list[tuple[type, type]]:
    """Return the classes among what is replaced, each with the native one."""
    pairs = dict.fromkeys((stock, native) for _name, stock, native in replaced if isinstance(stock, type))
    return [(stock, native) for stock, native in pairs if isinstance(native, type)]


def _rebind(name: str, old: object, new: object) -> None:
    """Let `name` mean `new` in `asyncio`, in those of its modules and in `_asyncio`, where it means `old`."""
    for path, module in list(sys.modules.items()):
        of_asyncio = path.partition(".")[0] in ("asyncio", "_asyncio") and module is not None
        if of_asyncio and vars(module).get(name) is old:
            setattr(module, name, new)


def install(*, patch: bool = True, as_uvloop: bool = False) -> None:
    """Make yibu the asyncio of this process; see the module's text for what that is.

    May be called at any time, from any thread, and again: a second call adds what the first one left
    out (`install(patch=False)`, then `install()`), and otherwise changes nothing.
    """
    # Here, because importing multiprocessing takes a while, and the others are of use to nobody else.
    from yibu import children, clock_resolution, namesakes, selector_loop, uvloop_alias

    with _done.lock:
        as_uvloop = as_uvloop or _done.alias is not None
        children.take_along(patch=patch or bool(_done.replacements), as_uvloop=as_uvloop)
        replaced = list(replacements()) if patch and not _done.replacements else []
        pairs = _class_pairs(replaced)
        # Asked before the policy is installed, which keeps the one that there was.
        are_kept = bool(pairs) and namesakes.are_kept(stock for stock, _native in pairs)
        if _done.policy is None:
            _done.policy = policy.Installed()
        if replaced:
            _done.replacements = replaced
            if are_kept:
                for pair in pairs:
                    namesakes.join(*pair)
            for cls, native_classes in _RECOGNISED.items():
                namesakes.recognise(cls, *native_classes)
            for name, stock, native in _done.replacements:
                _rebind(name, stock, native)
            for _stock, native_class in pairs:
                _yibu._put_in_place(native_class, True)
            selector_loop.take_over()
            clock_resolution.mend()
            _yibu._set_installed(True)
        if as_uvloop and _done.alias is None:
            _done.alias = uvloop_alias.Alias()


def uninstall() -> None:
    """Undo `install()`. What other code has replaced since is left as it is."""
    from yibu import children, clock_resolution, namesakes, selector_loop

    with _done.lock:
        if _done.replacements:
            _yibu._set_installed(False)
        children.leave_behind()
        if _done.alias is not None:
            _done.alias.undo()
            _done.alias = None
        selector_loop.give_back()
        clock_resolution.give_back()
        for pair in _class_pairs(_done.replacements):
            _yibu._put_in_place(pair[1], False)
            namesakes.part(*pair)
        namesakes.part(*_RECOGNISED)
        while _done.replacements:
            name, stock, native = _done.replacements.pop()
            _rebind(name, native, stock)
        if _done.policy is not None:
            _done.policy.undo()
            _done.policy = None
