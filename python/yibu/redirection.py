"""Wrappers in asyncio's classes, for the interpreter of Python 3.11: see `crates/ffi/src/redirection.rs`.

Called by the extension module while it is being made. For `inspect` a wrapper is the function in whose
place it stands: it has its name, parameters, defaults, globals and place in the source, and no closure. What
it needs are constants of its code.
"""

import functools
import inspect
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

NATIVE_CLASS, NATIVE_METHOD, FUNCTION = "<native class>", "<native method>", "<function>"
"""What stands in a wrapper's source where its constants go."""


def wrap(stock: type, native: type, call_native: Callable[..., Any], with_init: bool) -> None:
    """Have methods of a class of asyncio's be the native ones on objects of the native class."""
    for name, function in list(vars(stock).items()):
        # The native `__init__` has done all that those of the bases of asyncio's class do.
        is_init = name == "__init__"
        method = vars(native).get("_init_of_base" if is_init and not with_init else name)
        is_special = name.startswith("__") and not is_init
        if method is not None and isinstance(function, FunctionType) and not is_special:
            setattr(stock, name, _wrapper(function, native, functools.partial(call_native, native, method)))


def _wrapper(function: FunctionType, native: type, call: Callable[..., Any]) -> FunctionType:
    code = _code(function, {NATIVE_CLASS: native, NATIVE_METHOD: call, FUNCTION: function})
    wrapper = FunctionType(code, function.__globals__, function.__name__, function.__defaults__)
    wrapper.__kwdefaults__ = function.__kwdefaults__
    wrapper.__annotations__ = function.__annotations__
    wrapper.__doc__ = function.__doc__
    wrapper.__module__ = function.__module__
    wrapper.__qualname__ = function.__qualname__
    wrapper.__dict__.update(vars(function))
    return wrapper


def _code(function: FunctionType, constants: dict[str, Any]) -> CodeType:
    """The code of a wrapper, whose frames look like the function's at its first line."""
    code = function.__code__
    parameters, arguments = _parameters(code)
    first = code.co_consts[0]
    text = f"{first!r}; " if isinstance(first, str) and first == function.__doc__ else ""
    async_, await_ = ("async ", "await ") if inspect.iscoroutinefunction(function) else ("", "")
    chosen = f"({NATIVE_METHOD!r} if isinstance({code.co_varnames[0]}, {NATIVE_CLASS!r}) else {FUNCTION!r})"
    source = f"{async_}def wrapper({parameters}): {text}return {await_}{chosen}({arguments})"
    made: dict[str, Any] = {}
    exec(source, made)
    wrapper: CodeType = made["wrapper"].__code__
    own = (None if constant is None else constants.get(constant, constant) for constant in wrapper.co_consts)
    return wrapper.replace(
        co_consts=tuple(own),
        co_names=wrapper.co_names + code.co_names,
        co_varnames=code.co_varnames,
        co_nlocals=len(code.co_varnames),
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
    )


def _parameters(code: CodeType) -> tuple[str, str]:
    """The parameters of a function as its `def` has them, without defaults, and as arguments."""
    positional, every = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    names = list(code.co_varnames)
    parameters, arguments = names[:positional], names[:positional]
    if code.co_posonlyargcount:
        parameters.insert(code.co_posonlyargcount, "/")
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append(f"*{names[every]}")
        arguments.append(f"*{names[every]}")
    elif code.co_kwonlyargcount:
        parameters.append("*")
    parameters += names[positional:every]
    arguments += [f"{name}={name}" for name in names[positional:every]]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        last = names[every + bool(code.co_flags & inspect.CO_VARARGS)]
        parameters.append(f"**{last}")
        arguments.append(f"**{last}")
    return ", ".join(parameters), ", ".join(arguments)
