"""`python -m yibu doctor`: what runs here, in plain lines. It is what a bug report asks for.

Says nothing about the machine's name, its users or its paths beyond those of Python and of yibu. A question
that cannot be answered here says so in its line and leaves the others alone. Called by `command_line.py`;
`replaced.py` finds out who has replaced what.
"""

import asyncio
import importlib
import importlib.metadata
import os
import platform
import resource
import select
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from pathlib import Path

import yibu
from yibu import _yibu, policy, stock
from yibu.installation import install, replacements
from yibu.replaced import found_replacements

# Packages whose version a report about asyncio needs: other loops, what builds on loops, what changes them.
_PACKAGES = (
    *("uvloop", "rloop", "winloop", "nest-asyncio", "nest-asyncio2", "gevent", "eventlet", "greenlet"),
    *(
        "anyio",
        "trio",
        "uvicorn",
        "uvicorn-worker",
        "hypercorn",
        "gunicorn",
        "granian",
        "aiohttp",
        "tornado",
        "Twisted",
    ),
    *(
        "fastapi",
        "starlette",
        "litestar",
        "quart",
        "sanic",
        "ipykernel",
        "pytest-asyncio",
        "distributed",
        "ray",
    ),
    *(
        "ddtrace",
        "sentry-sdk",
        "opentelemetry-instrumentation-asyncio",
        "blockbuster",
        "aiodebug",
        "yibu-auto",
    ),
)

Questions = Iterator[tuple[str, Callable[[], object]]]
"""What the lines of a section are called, and what says the rest of them."""


def main(names: list[str]) -> int:
    """Print the report, after the modules of these names have been imported; the exit code."""
    install()
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            print(f"python -m yibu doctor: cannot import {name}: {reason}", file=sys.stderr)
            return 1
    for heading, questions in _SECTIONS.items():
        print(heading)
        for label, text in _answered(questions()):
            print(f"  {label:<22} {text}")
    return 0


def _answered(questions: Questions) -> Iterator[tuple[str, str]]:
    for label, ask in questions:
        try:
            yield label, str(ask())
        except Exception as error:
            yield label, f"unknown ({type(error).__name__}: {error})"


def _versions() -> Questions:
    yield "yibu", lambda: f"{yibu.__version__}, {_yibu.__file__}"
    yield "Python", lambda: f"{platform.python_implementation()} {sys.version}"
    yield "executable", lambda: sys.executable
    yield "interpreter lock", lambda: "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off"
    yield "OpenSSL", lambda: ssl.OPENSSL_VERSION
    yield "variables", lambda: _list(f"{k}={v}" for k, v in sorted(os.environ.items()) if _is_ours(k))
    yield "packages", lambda: _list(_installed_packages())


def _is_ours(variable: str) -> bool:
    return variable.startswith("YIBU_") or variable in (
        "PYTHONASYNCIODEBUG",
        "PYTHONDEVMODE",
        "PYTHONUNBUFFERED",
    )


def _installed_packages() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue


def _list(items: Iterable[str]) -> str:
    return ", ".join(items) or "none"


def _system() -> Questions:
    yield "kernel", lambda: f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "C library", lambda: " ".join(platform.libc_ver()) or "unknown"
    yield "processors", lambda: f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}"
    yield "driver", lambda: "epoll, eventfd"
    yield "epoll", _epoll
    yield "eventfd", _eventfd
    yield "child processes", lambda: "pidfd" if _yibu.can_use_pidfd() else "a thread each (no pidfd here)"
    yield "IPv6", _ipv6


def _epoll() -> str:
    select.epoll().close()
    return "works"


def _eventfd() -> str:
    os.close(os.eventfd(0))
    return "works"


def _ipv6() -> str:
    with socket.create_server(("::1", 0), family=socket.AF_INET6):
        return "works"


def _native() -> Questions:
    names = sorted(name for name in {*asyncio.__all__, "TaskGroup"} if hasattr(yibu, name))
    borrowed = [name for name in names if name in stock.NAMES]
    native = [name for name in names if name not in stock.NAMES]
    # Set up by `install()`, as for a program under `python -m yibu`.
    in_place = [name for name, _old, new in replacements() if vars(asyncio).get(name) is new]
    yield "loop", lambda: f"{yibu.EventLoop.__module__}.{yibu.EventLoop.__qualname__}"
    yield (
        "policy",
        lambda: _class_of(policy.current_policy()) if policy.HAS_POLICIES else "this Python has none",
    )
    yield (
        "native",
        lambda: f"{len(native)} of {len(names)} public names, {len(in_place)} of them put into asyncio",
    )
    yield "not native", lambda: _list(borrowed)


def _class_of(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _replaced() -> Questions:
    found = list(found_replacements())
    for place, owner in found:
        yield place, f"by {owner}".__str__
    if not found:
        yield "nothing", lambda: "by nobody (name modules after doctor to import them first)"


def _limits() -> Questions:
    yield "open files", lambda: _limit(resource.RLIMIT_NOFILE)
    yield "processes, threads", lambda: _limit(resource.RLIMIT_NPROC)
    yield "memory", lambda: _limit(resource.RLIMIT_AS)
    yield "locked memory", lambda: _limit(resource.RLIMIT_MEMLOCK)
    yield "listen backlog", lambda: _setting("net/core/somaxconn")
    yield "epoll watches", lambda: _setting("fs/epoll/max_user_watches")
    yield "local ports", lambda: _setting("net/ipv4/ip_local_port_range")
    yield "recursion", sys.getrecursionlimit


def _limit(kind: int) -> str:
    soft, hard = ("no limit" if n == resource.RLIM_INFINITY else f"{n}" for n in resource.getrlimit(kind))
    return f"{soft} (at most {hard})"


def _setting(path: str) -> str:
    return " to ".join(Path("/proc/sys", path).read_text().split())


def _trials() -> Questions:
    yield "TCP", partial(_try, _tcp)
    yield "thread", partial(_try, _thread)
    yield "child process", partial(_try, _child)


def _try(trial: Callable[[], Coroutine[object, object, str]]) -> str:
    async def within_seconds() -> str:
        return await asyncio.wait_for(trial(), 20)

    return yibu.run(within_seconds())


async def _tcp() -> str:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"there and back\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return "works" if answer == b"there and back\n" else f"wrong answer {answer!r}"


async def _thread() -> str:
    return await asyncio.to_thread(lambda: "works")


async def _child() -> str:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "", stdin=asyncio.subprocess.DEVNULL)
    code = await child.wait()
    return "works" if code == 0 else f"exit code {code}"


_SECTIONS = {
    "versions": _versions,
    "system": _system,
    "asyncio on this Python": _native,
    "replaced in asyncio and in what it uses": _replaced,
    "limits": _limits,
    "trials on yibu's loop": _trials,
}
