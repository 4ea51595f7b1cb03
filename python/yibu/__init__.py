"""yibu: asyncio, implemented in Rust.

    import yibu as asyncio

gives every name of the running interpreter's asyncio in its native form, or, where it must be the same
object in the whole process, from the standard library (`yibu/stock.py` lists these). A program that keeps
`import asyncio` runs on yibu as well:

    asyncio.run(main(), loop_factory=yibu.new_event_loop)    # Python 3.12 and later
    yibu.run(main())
    yibu.install()                                           # for all that is imported afterwards
    python -m yibu program.py                                # the same, from outside

Type checkers read `__init__.pyi`.
"""

# ruff: noqa: F401, PLE0605  # every import here is the package's namespace, and `__all__` is a list

import asyncio as _asyncio
import sys as _sys

from yibu import _yibu
from yibu import starting as _starting
from yibu import stock as _stock
from yibu._yibu import __version__
from yibu.environment import follow as _follow_environment
from yibu.event_loop import EventLoop, new_event_loop
from yibu.inspection import inspect, ps, pstree
from yibu.installation import install, uninstall
from yibu.modules import modules as _modules
from yibu.nesting import allow_nested
from yibu.observation import observe
from yibu.policy import get_event_loop
from yibu.policy import names as _names_of_policies
from yibu.task_registry import join_task_registry as _join_task_registry
from yibu.tracing import trace
from yibu.watching import watch

globals().update(_names_of_policies())
if _sys.version_info < (3, 14):
    from yibu.child_watchers import PidfdChildWatcher, ThreadedChildWatcher

# What this Python's asyncio has: from the extension module where that has it, else from the standard
# library.
for _name in _stock.NAMES:
    if _name in vars(_asyncio):
        globals()[_name] = vars(_asyncio)[_name]
for _name in vars(_yibu):
    if _name in vars(_asyncio) and _name not in globals():
        globals()[_name] = vars(_yibu)[_name]
del _name
globals().update(_modules(globals()))

__all__ = sorted(
    {*_asyncio.__all__, *(name for name in _names_of_policies() if name == "EventLoopPolicy")}
    | {"EventLoop", "__version__", "allow_nested", "install", "new_event_loop", "ps", "pstree", "uninstall"}
    | {"inspect", "observe", "trace", "watch"}
)

_join_task_registry()
_follow_environment()
