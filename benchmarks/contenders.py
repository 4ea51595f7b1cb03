"""Who takes part: yibu, asyncio and the other loops, and how each is made to run a program.

Imported both by the measuring process and by every process that it starts. As a program,
`python -m benchmarks.contenders NAME` runs one coroutine on that contender and prints its version: the
measuring process asks this way, in the interpreter to be measured, who is really there.
"""

import asyncio
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

#: What a benchmark calls `asyncio`. It is `yibu` where yibu stands in for the whole package, and the names
#: of both are resolved at run time, so there is no static type for it.
Namespace = Any

#: Without these, glibc serves every buffer of 128 KiB and more by `mmap` until its threshold has adapted,
#: which costs loops that receive into such buffers several system calls a message. With them it never does.
ROOMY_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TOP_PAD_": str(16 << 20)}


@dataclass(frozen=True)
class Contender:
    """One column of the table."""

    name: str
    #: The module whose `new_event_loop` makes the loop.
    module: str
    #: The module that benchmarks use under the name `asyncio`.
    namespace: str = "asyncio"
    environment: Mapping[str, str] = field(default_factory=dict)
    #: The module whose `loop_factory` gives such loops transports of its own, if any.
    transports: str = ""
    #: Says where to find it when it is missing.
    note: str = ""
    #: What makes a loop, in `module`.
    factory: str = "new_event_loop"
    #: A function of `namespace` that turns on what looks into loops, without arguments.
    look: str = ""

    @property
    def modules(self) -> str:
        """What a program that uses it imports."""
        return ",".join(filter(None, (self.namespace, self.module, self.transports)))

    @property
    def is_yibu(self) -> bool:
        """Whether this is a way of running yibu, and so never a rival."""
        return self.module == "yibu"

    def found_in(self, folder: Path) -> "Contender":
        """The same loop, imported from a folder before any other."""
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join(filter(None, (str(folder.resolve()), inherited)))
        return replace(self, environment={**self.environment, "PYTHONPATH": path})

    def with_roomy_malloc(self) -> "Contender":
        """The same loop in a process whose malloc keeps large buffers."""
        return replace(self, name=f"{self.name}/m", environment=ROOMY_MALLOC)

    def import_namespace(self) -> Namespace:
        """Import what benchmarks call `asyncio`, and have its loops looked into where that is measured."""
        namespace = importlib.import_module(self.namespace)
        if self.look:
            LOOKING.append(getattr(namespace, self.look)())
        return namespace

    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        """Import what makes the loop."""
        factory: Callable[[], asyncio.AbstractEventLoop]
        factory = getattr(importlib.import_module(self.module), self.factory)
        if self.transports:
            factory = importlib.import_module(self.transports).loop_factory(factory)
        return factory

    def version(self) -> str:
        """The version installed in this interpreter."""
        if self.module == "asyncio":
            return "CPython " + sys.version.split()[0]
        try:
            return importlib.metadata.version(self.transports or self.module)
        except importlib.metadata.PackageNotFoundError:
            # Imported from a source tree.
            return str(getattr(importlib.import_module(self.module), "__version__", "unknown"))


YIBU = Contender("yibu", "yibu", namespace="yibu", note="build it and put it on the path first")
YIBU_UNDER_ASYNCIO = Contender("yibu*", "yibu", note=YIBU.note)
#: Another build of yibu, from the folder given by `--against`.
BEFORE = Contender("before", "yibu", namespace="yibu")
#: yibu with its other driver. Takes part where `--contenders` names it, and is no rival.
YIBU_ON_IO_URING = Contender(
    "yibu-io_uring", "yibu", namespace="yibu", environment={"YIBU_DRIVER": "io_uring"}, note=YIBU.note
)
#: yibu while somebody looks into its loops. They take part like the one above.
YIBU_LOOKED_INTO = [
    Contender("yibu-watched", "yibu", namespace="yibu", environment={"YIBU_WATCH": "0.1"}, note=YIBU.note),
    Contender("yibu-observed", "yibu", namespace="yibu", look="observe", note=YIBU.note),
    Contender(
        "yibu-traced", "yibu", namespace="yibu", environment={"YIBU_TRACE": os.devnull}, note=YIBU.note
    ),
]
#: What looks into the loops of this process, kept for as long as it runs.
LOOKING: list[object] = []
ASYNCIO = Contender("asyncio", "asyncio")

ALL = [
    YIBU,
    YIBU_UNDER_ASYNCIO,
    ASYNCIO,
    Contender("uvloop", "uvloop"),
    Contender(
        "uvloop+aiofastnet",
        "uvloop",
        transports="aiofastnet",
        note="the transports of aiofastnet on uvloop's loops",
    ),
    Contender("rloop", "rloop"),
    Contender("rsloop", "rsloop", note="for CPython 3.14 and later"),
    Contender("zuvloop", "zuvloop", note="for CPython 3.14 and later"),
    Contender("talyn", "talyn", factory="Loop", note="for CPython 3.14 and later, with io_uring"),
]

#: The bare epoll server of the network benchmarks: a floor, neither yibu nor a rival.
FLOOR = "raw epoll"

#: The columns that come first, and whose figures are not a rival's.
NO_RIVALS = (YIBU.name, YIBU_UNDER_ASYNCIO.name, BEFORE.name, FLOOR)


def by_name(name: str) -> Contender:
    """Find a contender as it is called on a command line, whatever malloc it runs with."""
    for contender in (*ALL, YIBU_ON_IO_URING, *YIBU_LOOKED_INTO, BEFORE):
        if contender.name == name.removesuffix("/m"):
            return contender
    raise LookupError(f"no contender is called {name!r}")


def main() -> None:
    """Prove that the contender named on the command line can run, and print its version."""
    contender = by_name(sys.argv[1])
    namespace = contender.import_namespace()
    with namespace.Runner(loop_factory=contender.loop_factory()) as runner:
        runner.run(namespace.sleep(0))
    print(contender.version())


if __name__ == "__main__":
    main()
