"""`asyncio.SelectorEventLoop()`, called by a program after `install()`, makes yibu's loop.

Servers name that class where they mean "asyncio's loop" (uvicorn does). Only the plain call is taken over:
a given selector is to be used, and a subclass builds upon the class's insides, so both get
the standard library's loop. The class itself stays what and where it is; it has a `__new__` while yibu is
installed. Not a metaclass: a subclass may have one, and could have no other one then. Called by
`installation.py`.
"""

from __future__ import annotations

import inspect
from asyncio import unix_events

from yibu.event_loop import EventLoop

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

# Not `asyncio.SelectorEventLoop`, where a program may have put another class before `install()`.
STOCK: Any = vars(unix_events)["_UnixSelectorEventLoop"]


class _Call:
    """Whether the plain call is taken over."""

    taken_over = False


def _new(cls: Any, /, *args: Any, **kwargs: Any) -> Any:
    if (
        _Call.taken_over
        and cls is STOCK
        and not any(given is not None for given in (*args, *kwargs.values()))
    ):
        # The call goes on with its `__init__`, which refuses wrong arguments.
        return EventLoop.__new__(EventLoop)
    # What another class that `cls` derives from makes of the arguments; `object` takes none.
    following = super(STOCK, cls).__new__
    return following(cls) if following is object.__new__ else following(cls, *args, **kwargs)


def take_over() -> None:
    """Let the plain call make yibu's loop, unless the program has given the class a `__new__`."""
    _Call.taken_over = True
    if "__new__" not in vars(STOCK):
        # What a call of the class takes, for `inspect`.
        parameters = list(inspect.signature(STOCK).parameters.values())
        cls = inspect.Parameter("cls", inspect.Parameter.POSITIONAL_ONLY)
        _new.__dict__["__signature__"] = inspect.Signature([cls, *parameters])
        STOCK.__new__ = _new


def give_back() -> None:
    """Undo it. `_new` stays: a class that has lost its `__new__` takes no arguments any more."""
    _Call.taken_over = False
