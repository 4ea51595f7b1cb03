"""`import uvloop` answered by yibu: for frameworks that name uvloop and no other loop.

`install(as_uvloop=True)` puts a module `uvloop` into `sys.modules` that has what programs use of the real
one: `run`, `new_event_loop`, `Loop`, `install`, `EventLoopPolicy` and `uvloop.loop.Loop`, all of them yibu's.
A program that has imported the real one before keeps it. What is asked of the installed distribution
(`importlib.metadata.version("uvloop")`) is about that, not about this module.

Called by `installation.py`.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Callable, Coroutine
from importlib.machinery import ModuleSpec
from types import ModuleType

from yibu import _yibu, policy
from yibu.event_loop import EventLoop, new_event_loop

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

VERSION = "0.23.0"
"""The version of uvloop whose names these are; some programs compare it."""


class Alias:
    """The module and its one submodule, and what was in their place."""

    def __init__(self) -> None:
        self.modules = _modules()
        self.found = {name: sys.modules.get(name) for name in self.modules}
        sys.modules.update(self.modules)

    def undo(self) -> None:
        """Take the modules away again, unless the program has put others there since."""
        for name, module in self.modules.items():
            if sys.modules.get(name) is module:
                before = self.found[name]
                if before is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = before


def run(
    main: Coroutine[Any, Any, Any],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = new_event_loop,
    debug: bool | None = None,
) -> object:
    """`uvloop.run`: run a coroutine on a loop of yibu's."""
    with _yibu.Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(_on_a_loop_of_yibu(main))


async def _on_a_loop_of_yibu(main: Coroutine[Any, Any, Any]) -> object:
    """As uvloop: a call of this `run` asks for this loop."""
    if not isinstance(asyncio.get_running_loop(), EventLoop):
        main.close()
        raise TypeError("uvloop.run() uses a non-uvloop event loop")
    return await main


def install() -> None:
    """`uvloop.install`: make yibu's the event loop policy. Deprecated by uvloop since Python 3.12."""
    if sys.version_info >= (3, 12):
        warnings.warn(
            "uvloop.install() is deprecated in favor of uvloop.run() starting with Python 3.12.",
            DeprecationWarning,
            stacklevel=2,
        )
    policy.set_policy(policy.EventLoopPolicy())


def _modules() -> dict[str, ModuleType]:
    package = _module("uvloop", is_package=True)
    submodule = _module("uvloop.loop", is_package=False)
    vars(submodule).update(Loop=EventLoop)
    vars(package).update(
        __version__=VERSION,
        Loop=EventLoop,
        loop=submodule,
        new_event_loop=new_event_loop,
        run=run,
        __all__=("new_event_loop", "run"),
    )
    if policy.HAS_POLICIES:
        vars(package).update(
            install=install,
            EventLoopPolicy=policy.EventLoopPolicy,
            __all__=("new_event_loop", "run", "install", "EventLoopPolicy"),
        )
    return {"uvloop": package, "uvloop.loop": submodule}


class _Loader:
    """Loads the module that is there: for an `import uvloop` in the middle of which it comes to be."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it is."""


def _module(name: str, *, is_package: bool) -> ModuleType:
    """An empty module that `importlib.util.find_spec()` finds."""
    module = ModuleType(name, "yibu, in the place of uvloop.")
    loader: Any = _Loader(module)  # no `importlib.abc.Loader`, which takes long to import
    module.__loader__ = loader
    module.__spec__ = ModuleSpec(name, loader, origin=__file__, is_package=is_package)
    module.__file__ = __file__
    module.__package__ = "uvloop"
    if is_package:
        module.__path__ = []
    return module
