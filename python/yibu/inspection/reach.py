"""`Reach`: what a piece of the program can touch, and by which names its code calls things.

From a coroutine, a callback or a frame it goes on to the variables, to the attributes of the objects in them,
and to the functions that the code names. The search stops at tasks, loops and modules: code that has a task
reaches nothing of what that task has. Objects are read and never changed. Called by
`wakers.py` and `time_limits.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from types import (
    BuiltinMethodType,
    CodeType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

from yibu import _yibu
from yibu.inspection.descriptions import PACKAGE, is_of_library, is_pythons

_LEAVES = {str, bytes, bytearray, int, float, complex, bool, type(None), range}
_LEAVES |= {CodeType, ModuleType, contextvars.Context}
_STOPS: tuple[type, ...] = (_yibu.Task, asyncio.Task, asyncio.AbstractEventLoop)
_NAMED: tuple[type, ...] = (BuiltinMethodType, MethodDescriptorType)
"""Functions of C, which have a name and no code."""


class Reach:
    """The objects that were reached, nearest first, and the names in the code among them."""

    def __init__(self, breathe: Callable[[], None], most: int, called_by_others: bool = False) -> None:
        self.breathe = breathe
        self._called_by_others = called_by_others
        """Whether every method of an object may be called, as a transport calls those of a protocol."""

        self.left = most
        """So many objects are still looked into; at 0 there may be more than was found."""

        self.looked_at = 0

        self.found: dict[int, Any] = {}
        self.names: set[str] = set()
        self.in_code: set[str] = set()
        """Those of the names that stand in code; methods of C that were reached have the others."""

        self._pending: deque[Any] = deque()
        self._methods: dict[str, list[Any]] = {}
        """What classes have by names that no code was seen to use."""

    def add(self, objects: Iterable[Any]) -> None:
        """Objects from which to start."""
        for one in objects:
            if type(one) not in _LEAVES and id(one) not in self.found:
                self.found[id(one)] = one
                self._pending.append(one)

    def add_code(self, code: CodeType, variables: dict[str, Any]) -> None:
        """Code with the variables of its module: the names in it, and what the program means by them."""
        file = code.co_filename
        if is_pythons(file):
            return
        names = list(code.co_names)
        inner = [const for const in code.co_consts if type(const) is CodeType]
        while inner:
            code = inner.pop()
            names += code.co_names
            inner += [const for const in code.co_consts if type(const) is CodeType]
        self.in_code.update(names)
        for name in names:
            self._named(name)
        # A package's variables lead to all of the package, and nearly never to what is the program's.
        if not is_of_library(file):
            for name in names:
                # A function may import what it uses.
                self._add_variable(variables.get(name, sys.modules.get(name)), names)

    def _add_variable(self, value: Any, names: list[str]) -> None:
        """A variable of a module; of one that is a module of the program, its variables of these names."""
        if type(value) is ModuleType:
            file = value.__dict__.get("__file__")
            if isinstance(file, str) and not file.startswith(PACKAGE) and not is_of_library(file):
                self.add(value.__dict__[name] for name in names if name in value.__dict__)
        elif value is not None:
            self.add([value])

    def add_frame(self, frame: FrameType) -> None:
        """A frame of a thread that runs: its variables, and what its code names."""
        if not frame.f_code.co_filename.startswith(PACKAGE):
            if frame.f_locals is not frame.f_globals:
                self.add(list(frame.f_locals.values()))
            self.add_code(frame.f_code, frame.f_globals)

    def go(self) -> None:
        """Follow everything that was added."""
        while self._pending and self.left > 0:
            self.breathe()
            self.left -= 1
            self.looked_at += 1
            self._follow(self._pending.popleft())

    def _named(self, name: str) -> None:
        if name not in self.names:
            self.names.add(name)
            self.add(self._methods.pop(name, ()))

    def _follow(self, one: Any) -> None:
        kind = type(one)
        if kind is FunctionType:
            self.add(one.__closure__ or ())
            self.add(one.__defaults__ or ())
            self.add((one.__kwdefaults__ or {}).values())
            self._named(one.__name__)
            self.add_code(one.__code__, one.__globals__)
        elif kind is MethodType:
            self.add((one.__self__, one.__func__))
        elif type in kind.__mro__:  # `isinstance` asks for a `__class__` of the program
            self._follow_class(one)
        elif kind is FrameType:
            self.add_frame(one)
        elif not any(stop in kind.__mro__ for stop in _STOPS):
            if kind in _NAMED:
                self._named(one.__name__)
            self.add(gc.get_referents(one))
            self.add([kind])
            if weakref.ref in kind.__mro__:
                self.add([one()])

    def _follow_class(self, one: type) -> None:
        """Of a class that is not Python's, what may be called: by its name, or as a method of a base."""
        module = sys.modules.get(one.__dict__.get("__module__", ""))
        file = getattr(module, "__file__", None) if type(module) is ModuleType else ""
        if module is None or (isinstance(file, str) and is_pythons(file)):
            return
        bases = [base for base in one.__mro__[1:] if base is not object]
        self.add(bases)
        for name, value in list(one.__dict__.items()):
            if (
                self._called_by_others
                or name in self.names
                or (name.startswith("__") and type(value) is FunctionType)
                or any(name in base.__dict__ for base in bases)
            ):
                self.add([value])
            else:
                self._methods.setdefault(name, []).append(value)
