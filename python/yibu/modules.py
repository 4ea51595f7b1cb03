"""The modules of asyncio in yibu's namespace: `yibu.subprocess.PIPE`, `from yibu.tasks import Task`.

A module of which yibu has a part of its own is given as a copy that has yibu's part in it; the other
modules are the standard library's own. Called by `yibu/__init__.py`.
"""

import asyncio
import sys
from collections.abc import Mapping
from types import ModuleType

from yibu import _yibu, stock
from yibu.installation import replacements

_OF_THE_FILE = {"__builtins__", "__cached__", "__file__", "__loader__", "__name__", "__package__", "__spec__"}


def modules(namespace: Mapping[str, object]) -> dict[str, ModuleType]:
    """Return each module that this Python's asyncio has, as it goes with `yibu`'s `namespace`.

    They can be imported as modules of yibu from then on.
    """
    own = {
        name: [(old, namespace[name])]
        for name, old in vars(asyncio).items()
        if namespace.get(name, old) is not old
    }
    for name, old, new in replacements():
        own.setdefault(name, []).append((old, new))
    found = {}
    for name in stock.MODULES:
        if name in vars(asyncio):
            module = vars(asyncio)[name]
            found[name] = sys.modules[f"yibu.{name}"] = _with(own, module)
            if found[name] is not module:
                # What a program puts there is used, too.
                _yibu._note_module(module.__name__, vars(found[name]))
    return found


def _with(own: Mapping[str, list[tuple[object, object]]], module: ModuleType) -> ModuleType:
    """`module` itself if nothing in it is to be replaced, else a copy in which that is done.

    `own` has, by names, what is to be replaced, and by what.
    """
    content = dict(vars(module))
    mine: dict[str, object] = {}
    for name in own.keys() & content.keys():
        for old, new in own[name]:
            if content[name] is old:
                mine.setdefault(name, new)
    if not mine:
        return module
    copy = ModuleType(f"yibu.{module.__name__.rpartition('.')[2]}", module.__doc__)
    for name in _OF_THE_FILE:
        content.pop(name, None)
    copy.__dict__.update(content | mine)
    return copy
