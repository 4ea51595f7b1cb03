"""`install(as_uvloop=True)`, `--uvloop-alias`: `import uvloop` is answered by yibu."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yibu

pytestmark = pytest.mark.yibu_only

PACKAGE_ROOT = str(Path(yibu.__file__).parent.parent)
START = "import yibu\nyibu.install(as_uvloop=True)\n"


def run_program(source, *options, start=START, cwd=None):
    """Run a program in an interpreter where warnings are errors; return what it printed."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    process = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", start + dedent(source)],
        env=env | {"PYTHONPATH": PACKAGE_ROOT},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (process.stderr, process.returncode) == ("", 0)
    return process.stdout


def test_what_frameworks_use():
    run_program(
        """
        import asyncio, importlib.util, sys, warnings

        import uvloop
        from uvloop import Loop
        from uvloop.loop import Loop as SameLoop

        async def main():
            assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
            return await asyncio.sleep(0, "result")

        assert Loop is SameLoop is yibu.EventLoop
        assert importlib.util.find_spec("uvloop") is uvloop.__spec__
        assert uvloop.run(main()) == "result"
        assert uvloop.run(main(), debug=True, loop_factory=uvloop.new_event_loop) == "result"
        loop = uvloop.new_event_loop()
        assert loop.run_until_complete(main()) == "result"
        loop.close()
        assert tuple(int(part) for part in uvloop.__version__.split(".")) > (0, 20)

        warnings.simplefilter("ignore")  # policies, where they are deprecated
        if hasattr(asyncio, "set_event_loop_policy"):
            for set_policy in uvloop.install, lambda: asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()):
                asyncio.set_event_loop_policy(None)
                set_policy()
                assert type(asyncio.get_event_loop_policy()) is yibu.EventLoopPolicy
        """
    )


def test_a_loop_of_another_kind_is_refused():
    run_program(
        """
        import asyncio, selectors
        import uvloop

        async def main():
            raise AssertionError("it ran")

        try:
            uvloop.run(main(), loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector()))
        except TypeError as error:
            assert str(error) == "uvloop.run() uses a non-uvloop event loop"
        else:
            raise AssertionError("it was taken")
        """
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="uvloop warns since Python 3.12")
def test_uvloop_s_own_warning():
    run_program(
        """
        import warnings
        import uvloop

        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            uvloop.install()
        assert [str(warning.message) for warning in found] == [
            "uvloop.install() is deprecated in favor of uvloop.run() starting with Python 3.12."
        ]
        assert found[0].filename == "<string>"
        """
    )


def test_uninstall_takes_it_away():
    run_program(
        """
        import sys

        yibu.uninstall()
        assert "uvloop" not in sys.modules and "uvloop.loop" not in sys.modules
        yibu.install()
        assert "uvloop" not in sys.modules
        yibu.install(as_uvloop=True)
        yibu.install()
        assert sys.modules["uvloop"].Loop is yibu.EventLoop
        sys.modules["uvloop"] = other = object()  # somebody's since
        yibu.uninstall()
        assert sys.modules["uvloop"] is other
        """
    )


def test_one_that_was_imported_before_comes_back(tmp_path):
    (tmp_path / "uvloop.py").write_text("real = True\n")
    run_program(
        """
        import uvloop
        import yibu

        yibu.install(as_uvloop=True)
        assert uvloop.real
        import uvloop as alias
        assert alias.Loop is yibu.EventLoop
        yibu.uninstall()
        import uvloop as again
        assert again is uvloop
        """,
        start="",
        cwd=tmp_path,
    )


def test_from_the_command_line():
    source = "import uvloop; print(uvloop.Loop.__module__)"
    assert run_program(source, "-m", "yibu", "--uvloop-alias", start="") == "yibu.event_loop\n"
    assert run_program(source, "-m", "yibu", "-B", "--uvloop-alias", start="") == "yibu.event_loop\n"


def test_processes_of_multiprocessing(tmp_path):
    (tmp_path / "work.py").write_text(
        dedent(
            """
            def work():
                import uvloop
                return uvloop.Loop.__module__

            if __name__ == "__main__":
                import multiprocessing, sys
                for method in "spawn", "forkserver":
                    with multiprocessing.get_context(method).Pool(1) as pool:
                        assert pool.apply(work) == "yibu.event_loop", method
            """
        )
    )
    process = subprocess.run(
        [sys.executable, "-m", "yibu", "--uvloop-alias", "work.py"],
        env=os.environ | {"PYTHONPATH": PACKAGE_ROOT},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (process.stderr, process.returncode) == ("", 0)
