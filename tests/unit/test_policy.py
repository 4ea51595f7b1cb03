"""Python without event loop policies, as 3.16 will be: yibu is imported and runs programs there."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yibu

pytestmark = pytest.mark.yibu_only
PACKAGE_ROOT = str(Path(yibu.__file__).parent.parent)

# Takes away what has "policy" in its name; the functions that asked a policy keep a loop for each thread.
WITHOUT_POLICIES = """
import asyncio, asyncio.events, asyncio.unix_events, sys, threading

for module in asyncio, asyncio.events, asyncio.unix_events:
    for name in list(vars(module)):
        if "policy" in name.lower():
            delattr(module, name)
    module.__dict__.pop("__getattr__", None)

class _Loops(threading.local):
    loop = None

_loops = _Loops()
STOCK = asyncio.SelectorEventLoop

def get_event_loop():
    running = asyncio._get_running_loop()
    if running is None and _loops.loop is None:
        raise RuntimeError("There is no current event loop in thread 'MainThread'.")
    return running or _loops.loop

def set_event_loop(loop):
    _loops.loop = loop

def new_event_loop():
    return STOCK()

for function in get_event_loop, set_event_loop, new_event_loop:
    for module in asyncio, asyncio.events:
        setattr(module, function.__name__, function)
asyncio.__all__ = tuple(name for name in asyncio.__all__ if hasattr(asyncio, name))
"""


def run(source):
    """Run a program without policies; it must end well and print nothing, not even a warning."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_POLICIES + dedent(source)],
        env=os.environ | {"PYTHONPATH": PACKAGE_ROOT},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (process.stderr, process.stdout, process.returncode) == ("", "", 0)


class TestWithoutPolicies:
    def test_the_namespace_has_none(self):
        run("""
            import yibu
            from yibu import *
            assert not [name for name in dir(yibu) if "policy" in name.lower() and name != "policy"]
            assert not [name for name in yibu.__all__ if not hasattr(yibu, name)]
        """)

    def test_a_program(self):
        run("""
            import yibu

            async def main():
                server = await yibu.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
                reader, writer = await yibu.open_connection(*server.sockets[0].getsockname())
                assert await reader.read() == b""
                writer.close()
                server.close()
                child = await yibu.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
                assert await child.wait() == 3
                return type(yibu.get_running_loop())

            assert yibu.run(main()) is yibu.EventLoop
            with yibu.Runner() as runner:
                assert runner.run(main()) is yibu.EventLoop
            loop = yibu.new_event_loop()
            yibu.set_event_loop(loop)
            assert yibu.get_event_loop() is loop is asyncio.get_event_loop()
            loop.close()
        """)

    def test_installed(self):
        run("""
            import yibu

            async def main():
                return type(asyncio.get_running_loop()), type(asyncio.current_task())

            for _ in range(2):
                yibu.install(patch=False)
                assert asyncio.run(main()) == (yibu.EventLoop, yibu.Task)
                yibu.install()
                assert asyncio.run(main()) == (yibu.EventLoop, yibu.Task)
                loop = asyncio.new_event_loop()
                assert type(loop) is yibu.EventLoop
                loop.close()
                yibu.uninstall()
                assert asyncio.new_event_loop is new_event_loop
                assert asyncio.run(main()) == (STOCK, asyncio.Task)
        """)

    def test_the_command_line(self, tmp_path):
        (tmp_path / "program.py").write_text(
            "import asyncio\n"
            "async def main():\n"
            "    return type(asyncio.get_running_loop()).__module__\n"
            "assert asyncio.run(main()) == 'yibu.event_loop'\n"
        )
        run(f"""
            import runpy
            sys.argv = ["yibu", {str(tmp_path / "program.py")!r}]
            runpy.run_module("yibu", run_name="__main__", alter_sys=True)
        """)
