"""Runs programs under faults, and looks for what they leave behind."""

import asyncio
import gc
import random

import pytest

from tests.faults.descriptors import descriptors


class Unkind:
    """A place to run programs in: each gets a loop of its own whose system calls fail."""

    def __init__(self, impl):
        self.impl = impl
        self.struck = 0

    def run(self, program, seed, **chances):
        """Run `program(loop, source)` and return what it does; nothing may be left or reported."""
        before, struck = descriptors(), self.set_faults(seed, **chances)
        loop = self.impl.new_event_loop()
        self.set_faults(0)
        reports = []
        loop.set_exception_handler(lambda _loop, context: reports.append(context))
        try:
            result = loop.run_until_complete(program(loop, random.Random(seed)))
            left = asyncio.all_tasks(loop)
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
            self.struck += self.set_faults(0) - struck
        assert left == set()
        assert reports == []
        gc.collect()
        assert descriptors() == before
        return result

    def set_faults(self, seed, **chances):
        return self.impl.module._yibu._faults(seed, **chances)


@pytest.fixture
def unkind(impl):
    """Give every test a place of its own, in which something must have happened when it ends."""
    place = Unkind(impl)
    yield place
    assert place.struck > 0, "no fault has struck: nothing was tested"
