"""Classes that a program took from asyncio before `install()`, beside the native ones found there afterwards.

`from asyncio import Queue`, then `install()`: the program's `Queue` stays the standard library's class,
`asyncio.Queue` is the native one, and both will meet in the same `isinstance`. So the two are made to
recognise each other's instances and subclasses, by a metaclass that both get.

The private classes of asyncio's transports stay where they are. The native transports cannot derive from
them, and answer `__class__` with them; these classes get the metaclass to answer `issubclass()` as well.

Of the others, only where the program has kept a class of asyncio's in a module or a class, derived one, or
has an instance: a class with a metaclass cannot be combined with a class of yet another metaclass
(`abc.ABC` is no problem).

`pickle` names a class by its module and name, where another class stands since then. So it is told to write
that the name is to be looked up; whoever reads that gets the class that has the name there.

Called by `installation.py`.
"""

from __future__ import annotations

import copyreg
import gc
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterable
from operator import attrgetter

from yibu import _yibu

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

# Each class, and those whose instances and subclasses count as its own.
_NAMESAKES: dict[type, tuple[type, ...]] = {}


class Namesake(ABCMeta):
    """The metaclass of classes with namesakes: instances and subclasses of those are the class's, too."""

    # A static class of 3.11 has none of its own, and would be given this class's.
    __module__ = vars(type)["__module__"]

    def __instancecheck__(cls, instance: object) -> bool:
        """Ask the class, then its namesakes."""
        return any(_is_instance(kind, instance) for kind in _with_namesakes(cls))

    def __subclasscheck__(cls, subclass: type) -> bool:
        """Ask the class, then its namesakes."""
        return any(_is_subclass(kind, subclass) for kind in _with_namesakes(cls))


def _with_namesakes(cls: type) -> tuple[type, ...]:
    return (cls, *_NAMESAKES.get(cls, ()))


def _is_instance(cls: type, instance: object) -> bool:
    # Subclasses made since then are classes of ABCMeta in full; the pair itself was not made by it.
    if isinstance(cls, ABCMeta) and "_abc_impl" in vars(cls):
        return ABCMeta.__instancecheck__(cls, instance)
    return type.__instancecheck__(cls, instance)


def _is_subclass(cls: type, subclass: Any) -> bool:
    if isinstance(cls, ABCMeta) and "_abc_impl" in vars(cls):
        return ABCMeta.__subclasscheck__(cls, subclass)
    return type.__subclasscheck__(cls, subclass)


def _reduced(cls: Namesake) -> str | tuple[Callable[[str], Any], tuple[str]]:
    """What `pickle` is to write for a class: its name, or that the name is to be looked up."""
    from pkgutil import resolve_name  # here, because importing it takes a while

    module, name = cls.__module__, cls.__qualname__
    if cls in _NAMESAKES and attrgetter(name)(sys.modules[module]) is not cls:
        return resolve_name, (f"{module}:{name}",)
    return name


copyreg.pickle(Namesake, _reduced)


def are_kept(classes: Iterable[type]) -> bool:
    """Whether a module or a class outside of asyncio has one of these classes, or derives from one of them.

    Also whether there is an instance of one.
    """
    wanted = set(classes)
    identities = {id(cls) for cls in wanted}
    derived: list[type] = []
    for cls in wanted:
        derived += type.__subclasses__(cls)
    return (
        any(not _is_ours(kind.__module__) for kind in derived)
        or any(_has(module, identities) for name, module in list(sys.modules.items()) if not _is_ours(name))
        or any(
            type(thing) in wanted
            or (
                issubclass(type(thing), type)
                and not _is_ours(getattr(thing, "__module__", ""))
                and _has(thing, identities)
            )
            for thing in gc.get_objects()
        )
    )


_OURS = {"asyncio", "_asyncio", "yibu"}


def _is_ours(module: object) -> bool:
    return str(module).partition(".")[0] in _OURS


def _has(namespace: object, identities: set[int]) -> bool:
    return not identities.isdisjoint(map(id, list(getattr(namespace, "__dict__", {}).values())))


def join(stock: type, native: type) -> None:
    """Make two classes recognise each other's instances and subclasses."""
    if stock not in native.__mro__:
        recognise(stock, native)
    recognise(native, stock)


def recognise(cls: type, *namesakes: type) -> None:
    """Make a class recognise instances and subclasses of other classes."""
    _NAMESAKES[cls] = namesakes
    _yibu._set_metaclass(cls, Namesake)


def part(*classes: type) -> None:
    """Undo `join` and `recognise`."""
    for cls in classes:
        if _NAMESAKES.pop(cls, None) is not None:
            _yibu._set_metaclass(cls, type)
