"""Puts the classes of an implementation into the stock asyncio package, in this process, before tests load.

Every name of asyncio that the implementation defines itself takes the place of the stock object
where any stock module holds it: `asyncio.Task`, `asyncio.tasks._CTask`, `_asyncio.Task`.
So the swap grows by itself as an implementation takes over more of asyncio.
"""

import asyncio
import importlib
import logging
import pkgutil
import sys
from types import ModuleType
from typing import Any
from unittest import mock

# Taken by no swap, with the reason.
KEPT = {"new_event_loop": "asks the policy, as tests with policies of their own demand"}

# Private names through which tasks are known to `asyncio.current_task()` and `all_tasks()`.
PRIVATE_NAMES = (
    "_register_task",
    "_unregister_task",
    "_enter_task",
    "_leave_task",
    "_swap_current_task",
    "_register_eager_task",
    "_unregister_eager_task",
    "_get_running_loop",
    "_set_running_loop",
    "future_add_to_awaited_by",
    "future_discard_from_awaited_by",
)

# Classes that no namespace has, but tests call by name: an implementation gives them in its native module,
# which is called like the package with an underscore in front.
PRIVATE_CLASSES = (
    "SSLProtocol",
    "_SSLProtocolTransport",
    "BaseSubprocessTransport",
    "ReadSubprocessPipeProto",
    "WriteSubprocessPipeProto",
    "Process",
    "SubprocessStreamProtocol",
    "_PidfdChildWatcher",
    "_ThreadedChildWatcher",
    "_UnixSubprocessTransport",
)


class Implementation:
    """The module under test, and what of it was put into asyncio."""

    def __init__(self, name: str) -> None:
        _import_all_of_asyncio()
        # Its TestLoop must stay a subclass of the stock BaseEventLoop: it is the tests' foreign loop.
        importlib.import_module("test.test_asyncio.utils")
        self.module = importlib.import_module(name)
        self.native = getattr(self.module, "_" + name, None)
        self.event_loop: type[asyncio.AbstractEventLoop] = self.module.EventLoop
        self.replaced: set[str] = set()

    def install(self, abstract_loop: bool) -> None:
        """Swap everything in. Once per process; there is no way back.

        With `abstract_loop`, BaseEventLoop too: tests make instances of it as if it were complete. It stays
        where a test patches the stock base class of TestLoop.
        """
        # Not `asyncio.__all__`, which leaves out TaskGroup in Python 3.11.
        for name in dict.fromkeys([*vars(asyncio), *PRIVATE_NAMES]):
            if name not in KEPT and not name.startswith("__"):
                self._replace(name, getattr(self.module, name, None))
        for name in PRIVATE_CLASSES:
            self._replace(name, getattr(self.native, name, None))
        self._replace_loops(abstract_loop)
        _let_mocks_see_the_logger()

    def _replace(self, name: str, new: Any) -> None:
        old = _stock_object(name)
        # Constants are not implemented, what the implementation re-exports is stock code, and of modules the
        # parts are swapped: only the stock modules have the names of C classes that tests ask for.
        if old is None or new is None or new is old or isinstance(old, int | float | str | ModuleType):
            return
        _sweep(old, new)
        self.replaced.add(name)

    def _replace_loops(self, abstract_loop: bool) -> None:
        """Every way in which the tests make a loop: by class, by abstract class, by policy."""
        from asyncio import base_events, unix_events

        for stock_class in (
            asyncio.SelectorEventLoop,
            *((base_events.BaseEventLoop,) if abstract_loop else ()),
        ):
            if stock_class is not self.event_loop:
                _sweep(stock_class, self.event_loop)
        for name in ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
            policy = getattr(unix_events, name, None)
            if policy is not None:
                policy._loop_factory = self.event_loop
        self.replaced.add("EventLoop")


def _import_all_of_asyncio() -> None:
    for found in pkgutil.iter_modules(asyncio.__path__):
        if not found.name.startswith(("windows", "_")):
            importlib.import_module("asyncio." + found.name)


def _asyncio_modules() -> list[ModuleType]:
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.partition(".")[0] in ("asyncio", "_asyncio") and module is not None
    ]


def _stock_object(name: str) -> Any:
    for module in [asyncio, *_asyncio_modules()]:
        if name in vars(module):
            return vars(module)[name]
    return None


def _sweep(old: Any, new: Any) -> None:
    """Rebind every global of asyncio's modules that holds `old`."""
    for module in _asyncio_modules():
        for name, value in list(vars(module).items()):
            if value is old:
                setattr(module, name, new)


def _let_mocks_see_the_logger() -> None:
    """`mock.patch("asyncio.base_events.logger")` must catch what any implementation logs.

    The stock modules hold the logger "asyncio" in a global of their own; others ask logging for it. So the
    logger's methods pass a call on to whichever mock is in a stock module's place at the time.
    """
    logger = logging.getLogger("asyncio")
    holders = [module for module in _asyncio_modules() if vars(module).get("logger") is logger]

    def mocked() -> mock.NonCallableMock | None:
        for module in holders:
            found = vars(module).get("logger")
            if isinstance(found, mock.NonCallableMock):
                return found
        return None

    for method in ("error", "warning", "debug", "info", "critical", "exception", "log"):
        original = getattr(logger, method)

        def forward(
            *arguments: Any, _original: Any = original, _method: str = method, **keywords: Any
        ) -> None:
            target = mocked()
            if target is not None:
                getattr(target, _method)(*arguments, **keywords)
            else:
                keywords["stacklevel"] = keywords.get("stacklevel", 1) + 1
                _original(*arguments, **keywords)

        setattr(logger, method, forward)
