"""Wrappers in asyncio's classes, for the interpreter of Python 3.11: see `ffi/stand_ins.rs`.

Called by the extension module while it is being made.
"""

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any


def wrap(stock: type, native: type, call_native: Callable[..., Any]) -> None:
    """Have methods of a class of asyncio's be the native ones on objects of the native class."""
    for name, function in list(vars(stock).items()):
        method = vars(native).get(name)
        if method is not None and isinstance(function, FunctionType) and not name.startswith("__"):
            setattr(stock, name, _wrapper(function, native, functools.partial(call_native, method)))


def _wrapper(function: FunctionType, native: type, call: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def async_wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(self, native):
                return await call(self, *args, **kwargs)
            return await function(self, *args, **kwargs)

        return async_wrapper

    @functools.wraps(function)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, native):
            return call(self, *args, **kwargs)
        return function(self, *args, **kwargs)

    return wrapper
