"""Puts every Python of a container on yibu: `YIBU_INSTALL=1` in the environment, no change to any program.

`yibu_auto.pth` beside this file is read whenever an interpreter starts. If the variable is set it calls
`switch_on`, which arranges that yibu is installed as soon as asyncio is imported; without that import it
costs nothing. The values:

    0, or nothing   off
    1               `yibu.install()`
    loop            `yibu.install(patch=False)`: the event loop alone
    uvloop          `yibu.install(as_uvloop=True)`: `import uvloop` gets yibu, too

A value that is none of these, and a yibu that cannot be imported here, are said in one line on standard
error; the program then runs on asyncio.
"""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

_KEYWORDS = {"1": {}, "loop": {"patch": False}, "uvloop": {"as_uvloop": True}}


_asked: list[str] = []


def switch_on(value: str) -> None:
    """Do what the variable says, when asyncio is imported."""
    if _asked:
        return  # in a virtual environment the interpreter reads path files twice
    _asked.append(value)
    if value not in _KEYWORDS:
        _say(f"YIBU_INSTALL={value} is none of {', '.join(['0', *_KEYWORDS])}")
    elif "asyncio" in sys.modules:
        _install(_KEYWORDS[value])
    else:
        sys.meta_path.insert(0, _Finder(_KEYWORDS[value]))


def _install(keywords: dict[str, bool]) -> None:
    try:
        from yibu import install
    except ImportError as error:
        _say(f"YIBU_INSTALL is set, and yibu cannot be imported: {error}")
    else:
        install(**keywords)


def _say(what: str) -> None:
    print(f"yibu-auto: {what}; this program runs on asyncio", file=sys.stderr)


class _Finder:
    """Asked first for every module until asyncio is imported."""

    def __init__(self, keywords: dict[str, bool]) -> None:
        self.keywords = keywords

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name in ("asyncio", "yibu"):  # yibu imports asyncio before it can be asked for anything
            sys.meta_path.remove(self)
            spec = find_spec(name)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, self.keywords)
            return spec
        if name == "uvloop" and "as_uvloop" in self.keywords:
            import asyncio  # noqa: F401  # brings the alias, unless yibu could not be imported

            return getattr(sys.modules.get(name), "__spec__", None)
        return None


class _Loader:
    """Loads a module as its own loader does, and then installs yibu."""

    def __init__(self, loader, keywords: dict[str, bool]) -> None:
        self.loader = loader
        self.keywords = keywords

    def __getattr__(self, name: str):
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec):
        return self.loader.create_module(spec)

    def exec_module(self, module) -> None:
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        _install(self.keywords)
