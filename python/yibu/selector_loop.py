"""`asyncio.SelectorEventLoop()`, called by a program after `install()`, makes yibu's loop.

Servers name that class where they mean "asyncio's loop" (uvicorn does). Only the plain call is taken over:
a given selector is to be used, and a subclass builds upon the class's insides, so both get
the standard library's loop. The class itself stays what and where it is; for that it has a metaclass while
yibu is installed. Called by `installation.py`, after the classes have become namesakes.
"""

from __future__ import annotations

import asyncio
import inspect

from yibu import _yibu
from yibu.event_loop import EventLoop
from yibu.namesakes import Namesake

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

STOCK: Any = asyncio.SelectorEventLoop


class SelectorLoopClass(Namesake):
    """The class of `asyncio.SelectorEventLoop` and of what is derived from it."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make a loop: yibu's for a call without a selector, whatever the class makes otherwise."""
        if cls is STOCK and not any(given is not None for given in (*args, *kwargs.values())):
            return EventLoop(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    @property
    def __signature__(cls) -> inspect.Signature:
        """What a call takes, which `inspect` would else take from `__call__` above."""
        made: Any = cls
        signature = inspect.signature(made.__init__ if made.__new__ is object.__new__ else made.__new__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def take_over() -> None:
    """Let the plain call make yibu's loop, unless the program gave the class another metaclass."""
    if type(STOCK) in (type, Namesake):
        _yibu._set_metaclass(STOCK, SelectorLoopClass)


def give_back() -> None:
    """Undo it."""
    if type(STOCK) is SelectorLoopClass:
        _yibu._set_metaclass(STOCK, type)
