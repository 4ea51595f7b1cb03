"""Processes that a program starts by multiprocessing run on yibu if the program does, however started."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yibu

pytestmark = pytest.mark.yibu_only
PACKAGE_ROOT = str(Path(yibu.__file__).parents[1])
METHODS = ("spawn", "forkserver", "fork")

KINDS = """
import asyncio
from asyncio import Lock

async def main():
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]

def kinds():
    return asyncio.run(main()), type(Lock()).__init__ is asyncio.Lock.__init__, asyncio.Lock is THEIR_LOCK()

def THEIR_LOCK():
    import sys
    yibu = sys.modules.get("yibu")
    return yibu.Lock if yibu else None
"""
ON_YIBU = ("yibu", True, True)


def python(tmp_path, *arguments, **environment):
    """What a program prints, evaluated."""
    finished = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PACKAGE_ROOT, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (finished.stderr, finished.returncode) == ("", 0)
    return eval(finished.stdout)


def write(tmp_path, text, name="program.py"):
    (tmp_path / "kinds.py").write_text(KINDS)
    (tmp_path / name).write_text(dedent(text))
    return name


POOL = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    import kinds

    def ask(depth, method):
        if depth == 0:
            return kinds.kinds()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            return pool.submit(ask, depth - 1, method).result(timeout=40)

    if __name__ == "__main__":
        print(ask(int(sys.argv[1]), sys.argv[2]))
"""


class TestCommandLine:
    @pytest.mark.parametrize("method", METHODS)
    def test_a_pool(self, tmp_path, method):
        program = write(tmp_path, POOL)
        assert python(tmp_path, "-m", "yibu", program, "1", method) == ON_YIBU

    @pytest.mark.parametrize("method", ["spawn", "forkserver"])
    def test_children_of_children(self, tmp_path, method):
        program = write(tmp_path, POOL)
        assert python(tmp_path, "-m", "yibu", program, "2", method) == ON_YIBU

    def test_a_module_as_the_program(self, tmp_path):
        write(tmp_path, POOL)
        assert python(tmp_path, "-m", "yibu", "-m", "program", "1", "spawn") == ON_YIBU

    def test_a_package_as_the_program(self, tmp_path):
        (tmp_path / "package").mkdir()
        write(tmp_path, "", "package/__init__.py")
        write(
            tmp_path,
            "import sys\nfrom package.work import ask\nprint(ask(1, sys.argv[1]))",
            "package/__main__.py",
        )
        write(tmp_path, dedent(POOL).partition("if __name__")[0], "package/work.py")
        assert python(tmp_path, "-m", "yibu", "-m", "package", "spawn") == ON_YIBU

    def test_without_yibu_nothing_is_on_it(self, tmp_path):
        program = write(tmp_path, POOL)
        assert python(tmp_path, program, "1", "spawn") == ("asyncio", True, False)

    def test_what_the_main_module_imported_is_yibu_s(self, tmp_path):
        """The names that a program has in its `__main__` are looked up anew in the child."""
        program = write(
            tmp_path,
            """
            import multiprocessing
            from asyncio import Lock, Queue

            def ask(connection):
                import asyncio
                import yibu
                connection.send((Lock is asyncio.Lock is yibu.Lock, Queue is asyncio.Queue))

            if __name__ == "__main__":
                found = []
                for method in "spawn", "forkserver":
                    context = multiprocessing.get_context(method)
                    if method == "forkserver":
                        context.set_forkserver_preload(["__main__", "asyncio.locks"])
                    here, there = context.Pipe()
                    process = context.Process(target=ask, args=(there,))
                    process.start()
                    found.append(here.recv())
                    process.join()
                print(found)
            """,
        )
        assert python(tmp_path, "-m", "yibu", program) == [(True, True)] * 2

    def test_another_directory_and_no_path_in_the_environment(self, tmp_path):
        """The child finds yibu where its parent has it, also where the parent had to look for it."""
        program = write(tmp_path, POOL)
        found = f"""
            import os, sys

            if __name__ == "__main__":
                sys.path.append({PACKAGE_ROOT!r})
                import yibu

                yibu.install()
                os.chdir("/")
            """
        (tmp_path / program).write_text(dedent(found) + dedent(POOL))
        assert python(tmp_path, program, "1", "spawn", PYTHONPATH="") == ON_YIBU


class TestInstall:
    PROGRAM = """
        import multiprocessing, sys
        import kinds

        def ask():
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool:
                return pool.apply(kinds.kinds)

        if __name__ == "__main__":
            import yibu
            yibu.install(patch=False)
            loop_only = ask()
            yibu.install()
            everything = ask()
            yibu.uninstall()
            print(loop_only, everything, ask(), sep=", ")
    """

    def test_the_child_gets_what_its_parent_has_at_that_moment(self, tmp_path):
        loop_only, everything, nothing = python(tmp_path, write(tmp_path, self.PROGRAM))
        assert loop_only == ("yibu", True, False)
        assert everything == ON_YIBU
        assert nothing == ("asyncio", True, False)

    def test_another_python_that_has_no_yibu(self, tmp_path):
        """`multiprocessing.set_executable()`: the child says that it runs on asyncio, and runs."""
        (tmp_path / "hide.py").write_text(
            "import sys\n"
            "sys.modules['yibu'] = None\n"
            "command, sys.argv = sys.argv[-2], ['-c', sys.argv[-1]]\n"
            "exec(command)\n"
        )
        (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/hide.py "$@"\n')
        (tmp_path / "python").chmod(0o755)
        program = write(
            tmp_path,
            """
            import multiprocessing, os
            import kinds

            if __name__ == "__main__":
                import yibu
                yibu.install()
                multiprocessing.set_executable(os.path.abspath("python"))
                process = multiprocessing.get_context("spawn").Process(target=kinds.show)
                process.start()
                process.join()
            """,
        )
        with open(tmp_path / "kinds.py", "a") as file:
            file.write("\ndef show():\n    print(kinds())\n")
        finished = subprocess.run(
            [sys.executable, program],
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": PACKAGE_ROOT},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert finished.stdout == "('asyncio', True, False)\n"
        assert "RuntimeWarning: this process runs on asyncio, not on yibu as its parent" in finished.stderr
