"""Processes that a program starts by `multiprocessing` run on yibu if the program does.

A forked process has all that its parent has. One that is started anew, by the methods "spawn" and
"forkserver", begins with `python -c COMMAND`, and nothing of the parent's `install()` is there. So while
yibu is installed the command gets a prelude that installs it in the same way, before the program's modules
are imported there (in the process of "forkserver", before it preloads them: its children are forked from
it). What uses multiprocessing is included: `ProcessPoolExecutor`, `uvicorn --workers`. Other child processes
are not touched.

Called by `installation.py`.
"""

import os
from collections.abc import Sequence
from multiprocessing import util
from typing import Any

# What runs in multiprocessing's processes that run a program's code; its resource tracker does not.
_STARTS = ("from multiprocessing.spawn import spawn_main", "from multiprocessing.forkserver import main")

# The child may find its modules elsewhere than this process, which perhaps changed sys.path or its directory.
# It may even be another Python, by `multiprocessing.set_executable()`, and one without yibu: then it says so.
_PRELUDE = """
import sys
path = sys.path[:]
sys.path.append({folder!r})
try:
    from yibu.installation import install
    install(patch={patch!r}, as_uvloop={as_uvloop!r})
except ImportError as error:
    import warnings
    warnings.warn(f"this process runs on asyncio, not on yibu as its parent: {{error}}", RuntimeWarning)
finally:
    sys.path[:] = path
"""

_util: Any = util


class _Start:
    """Stands in the place of `multiprocessing.util.spawnv_passfds`."""

    def __init__(self, stock: Any) -> None:
        self.stock = stock
        self.keywords: dict[str, bool] | None = None  # of `install()` in the children; None for no call

    def __call__(self, path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
        if self.keywords is not None:
            args = _with_prelude(args, self.keywords)
        pid: int = self.stock(path, args, passfds)
        return pid


_start = _Start(_util.spawnv_passfds)


def take_along(**keywords: bool) -> None:
    """From now on start processes with yibu installed there by `install(**keywords)`."""
    _start.keywords = keywords
    if _util.spawnv_passfds is _start.stock:
        _util.spawnv_passfds = _start


def leave_behind() -> None:
    """Start processes as before, also where the program has wrapped what `take_along` put in place."""
    _start.keywords = None
    if _util.spawnv_passfds is _start:
        _util.spawnv_passfds = _start.stock


def _with_prelude(args: Sequence[Any], keywords: dict[str, bool]) -> Sequence[Any]:
    """The arguments of a process, with the prelude in its command if it is one that runs a program's code."""
    for place, argument in enumerate(args):
        if (
            isinstance(argument, str)
            and any(start in argument for start in _STARTS)
            and args[place - 1] == "-c"
        ):
            folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
            prelude = _PRELUDE.format(folder=folder, **keywords)
            # A namespace of its own: the command's is the module `__main__`, which the program can see.
            return [*args[:place], f"exec({prelude!r}, {{}}); {argument}", *args[place + 1 :]]
    return args
