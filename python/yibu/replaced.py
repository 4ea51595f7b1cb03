"""Who has replaced what in asyncio, and in what it uses: for `doctor.py`.

Nothing is remembered for it. A function or class that stands in a module of asyncio, or in a class of
asyncio or of yibu, and comes from neither these nor the rest of the standard library, was put there by
somebody, and says itself from which module it is.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, MethodType, ModuleType

import yibu

# Names that asyncio looks up outside its own modules.
_USED = {
    time: ("monotonic", "sleep", "time"),
    socket: ("socket", "socketpair", "getaddrinfo"),
    subprocess: ("Popen",),
}
_CLASSES_USED = (socket.socket, subprocess.Popen, ThreadPoolExecutor)


def found_replacements() -> Iterator[tuple[str, str]]:
    """Each place in which there is an object of other code, and where that comes from."""
    seen: set[int] = set()
    for module in _modules():
        for name, value in list(vars(module).items()):
            owner = _owner(value)
            if owner and not name.startswith("__"):
                yield f"{module.__name__}.{name}", owner
            elif isinstance(value, type) and _is_of_asyncio(value.__module__) and id(value) not in seen:
                seen.add(id(value))
                yield from _in_class(value)
    for module, names in _USED.items():
        for name in names:
            owner = _owner(getattr(module, name))
            if owner:
                yield f"{module.__name__}.{name}", owner
    for used in _CLASSES_USED:
        yield from _in_class(used)


def _modules() -> list[ModuleType]:
    modules = [asyncio, yibu]
    modules += [module for name, module in sys.modules.items() if name.startswith("asyncio.") and module]
    return modules


def _in_class(cls: type) -> Iterator[tuple[str, str]]:
    for name, value in list(vars(cls).items()):
        owner = _owner(value.fget if isinstance(value, property) else getattr(value, "__func__", value))
        if owner:
            yield f"{cls.__module__}.{cls.__qualname__}.{name}", owner


def _owner(value: object) -> str | None:
    """The module that a function or class is from, if that is neither Python's nor yibu's."""
    if isinstance(value, MethodType):
        value = value.__func__
    if isinstance(value, FunctionType):
        # What `functools.wraps` copies does not say who wrapped; the globals do.
        module = value.__globals__.get("__name__")
    else:
        # Of an object, its class: wrappers are instances. Not by `__class__`, which they fake.
        module = getattr(value if isinstance(value, type) else type(value), "__module__", None)
    if not isinstance(module, str):
        return None
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("yibu", "_frozen_importlib"):
        return None
    return module


def _is_of_asyncio(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in ("asyncio", "_asyncio", "yibu")
