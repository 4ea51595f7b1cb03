"""`asyncio.SelectorEventLoop`, called by programs that have installed yibu, and left alone otherwise."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yibu

pytestmark = pytest.mark.yibu_only
PACKAGE_ROOT = str(Path(yibu.__file__).parent.parent)

PRELUDE = """
import abc, asyncio, selectors
from asyncio import SelectorEventLoop
import yibu

def kind(loop):
    loop.close()
    return type(loop)

STOCK = type(asyncio.SelectorEventLoop())
"""


def run(source):
    """Run a program after the prelude; it must end well and print nothing."""
    process = subprocess.run(
        [sys.executable, "-c", PRELUDE + dedent(source)],
        env=os.environ | {"PYTHONPATH": PACKAGE_ROOT},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (process.stdout, process.returncode) == ("", 0), process.stderr


class TestSelectorEventLoop:
    def test_the_plain_call_makes_yibu_s_loop(self):
        run("""
            yibu.install()
            assert kind(asyncio.SelectorEventLoop()) is yibu.EventLoop
            assert kind(asyncio.SelectorEventLoop(None)) is yibu.EventLoop
            assert kind(asyncio.SelectorEventLoop(selector=None)) is yibu.EventLoop
            assert kind(SelectorEventLoop()) is yibu.EventLoop
        """)

    def test_its_signature_is_asyncio_s(self):
        run("""
            import inspect
            before = inspect.signature(asyncio.SelectorEventLoop)
            yibu.install()

            class Own(asyncio.SelectorEventLoop):
                def __init__(self, name, *, debug=False): ...

            assert inspect.signature(asyncio.SelectorEventLoop) == before
            assert str(inspect.signature(Own)) == "(name, *, debug=False)"
        """)

    def test_wrong_arguments_are_refused(self):
        run("""
            def refusal(*args, **kwargs):
                try:
                    kind(asyncio.SelectorEventLoop(*args, **kwargs))
                except TypeError as error:
                    return str(error)

            yibu.install()
            assert "takes from 1 to 2 positional arguments but 3 were given" in refusal(None, None)
            assert "unexpected keyword argument 'loop'" in refusal(loop=None)
        """)

    def test_runners_with_the_class_as_their_factory(self):
        run("""
            yibu.install()
            async def main():
                return type(asyncio.get_running_loop())
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                assert runner.run(main()) is yibu.EventLoop
        """)

    def test_a_selector_of_the_program_s_is_used(self):
        run("""
            yibu.install()
            selector = selectors.SelectSelector()
            loop = asyncio.SelectorEventLoop(selector)
            assert loop._selector is selector and kind(loop) is STOCK
        """)

    def test_subclasses_are_the_standard_library_s(self):
        run("""
            yibu.install()
            class Mine(asyncio.SelectorEventLoop):
                def _run_once(self):
                    self.turns = getattr(self, "turns", 0) + 1
                    super()._run_once()
            class Abstract(asyncio.SelectorEventLoop, abc.ABC):
                @abc.abstractmethod
                def missing(self): ...
            loop = Mine()
            loop.run_until_complete(asyncio.sleep(0))
            assert loop.turns > 1
            assert isinstance(loop, (asyncio.SelectorEventLoop)) and not isinstance(loop, Abstract)
            assert issubclass(Mine, STOCK) and not issubclass(Mine, Abstract)
            loop.close()
            try:
                Abstract()
            except TypeError as error:
                assert "abstract" in str(error)
            else:
                raise AssertionError("an abstract class was made")
        """)

    def test_loops_made_before_are_still_instances(self):
        run("""
            before = asyncio.SelectorEventLoop()
            yibu.install()
            assert isinstance(before, asyncio.SelectorEventLoop) and kind(before) is STOCK
            assert not isinstance(yibu, asyncio.SelectorEventLoop)
            assert not issubclass(int, asyncio.SelectorEventLoop)
        """)

    def test_the_loop_alone_leaves_the_call_as_it_is(self):
        run("""
            yibu.install(patch=False)
            assert kind(asyncio.SelectorEventLoop()) is STOCK
        """)

    def test_uninstalling(self):
        run("""
            yibu.install()
            class Mine(asyncio.SelectorEventLoop): ...
            yibu.uninstall()
            assert kind(asyncio.SelectorEventLoop()) is STOCK is asyncio.SelectorEventLoop
            assert type(STOCK) is type
            assert kind(Mine()) is Mine
        """)

    def test_metaclasses_of_subclasses(self):
        run("""
            yibu.install()
            class Named(type):
                def __call__(cls, name, *args):
                    loop = super().__call__(*args)
                    loop.name = name
                    return loop
            class Mine(asyncio.SelectorEventLoop, metaclass=Named):
                def __new__(cls, *args):
                    return super().__new__(cls)
            class Other:
                def __new__(cls):
                    made = super().__new__(cls)
                    made.of_other = True
                    return made
            class Mixed(Mine, Other): ...
            for cls in Mine, Mixed:
                selector = selectors.SelectSelector()
                loop = cls("main", selector)
                assert type(cls) is Named and getattr(loop, "of_other", False) == (cls is Mixed)
                assert (loop.name, loop._selector is selector) == ("main", True)
                assert loop.run_until_complete(asyncio.sleep(0, 3)) == 3
                assert kind(loop) is cls
        """)

    def test_arguments_of_subclasses_before_and_after_uninstalling(self):
        run("""
            yibu.install()
            class Mine(asyncio.SelectorEventLoop):
                def __init__(self, name):
                    super().__init__()
                    self.name = name
            assert kind(Mine("one")) is Mine
            yibu.uninstall()
            assert kind(Mine("two")) is Mine
            assert kind(asyncio.SelectorEventLoop(selectors.SelectSelector())) is STOCK
        """)
