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

        return _in_place_of(function, async_wrapper)

    @functools.wraps(function)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, native):
            return call(self, *args, **kwargs)
        return function(self, *args, **kwargs)

    return _in_place_of(function, wrapper)


def _in_place_of(function: FunctionType, wrapper: Any) -> Callable[..., Any]:
    """Let frames of the wrapper look like those of the function, for who looks at stacks."""
    code = function.__code__
    wrapper.__code__ = wrapper.__code__.replace(
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
    )
    result: Callable[..., Any] = wrapper
    return result
