"""The two ways in which a program meets the implementation: by its names, or only by its loop."""

import asyncio
import warnings

import pytest


class Names:
    """The names of one module, and ways to run a coroutine on the implementation's loop."""

    def __init__(self, impl, module):
        self.impl = impl
        self.module = module

    def __getattr__(self, name):
        return getattr(self.module, name)

    def run(self, main, **options):
        """Run a coroutine as `asyncio.run` does, on a new loop of the implementation."""
        with self.Runner(**options) as runner:
            return runner.run(main)

    def Runner(self, **options):
        return asyncio.Runner(loop_factory=self.impl.new_event_loop, **options)


class OwnNames(Names):
    """`import yibu as asyncio`: everything comes from the implementation."""

    def run(self, main, **options):
        return self.impl.run(main, **options)

    def Runner(self, **options):
        return self.impl.Runner(**options)


@pytest.fixture(params=["its names", "asyncio's names on its loop"])
def aio(request, impl):
    """The names that the program uses for asyncio's."""
    if request.param == "its names":
        return OwnNames(impl, impl.module)
    return Names(impl, asyncio)


@pytest.fixture(autouse=True)
def no_current_loop():
    """Forget the current loop of the thread, which programs set as they like."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop(None)
