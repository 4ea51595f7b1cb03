"""The layer itself: whom it strikes, and what it refuses."""

import contextlib
import random
import socket

import pytest

from tests.faults import programs

pytestmark = pytest.mark.yibu_only  # stock asyncio has no such layer


@pytest.fixture
def faults(impl):
    yield impl.module._yibu._faults
    impl.module._yibu._faults()


def test_only_loops_made_after_it_are_struck(faults, make_loop):
    kind, struck = make_loop(), faults(1, again=200)
    unkind = make_loop()
    assert faults() == struck
    kind_again = make_loop()
    for loop in (kind, kind_again):
        loop.run_until_complete(programs.threads_and_timers(loop, random.Random(1)))
    assert faults() == struck
    unkind.run_until_complete(programs.threads_and_timers(unkind, random.Random(1)))
    assert faults() > struck


def test_every_loop_has_a_seed_of_its_own(faults, make_loop):
    """What one loop does draws nothing from the chance of another."""

    def interrupted(loop):
        """Ask the kernel many times, and return which times that was interrupted."""
        found = []
        for _ in range(60):
            before = faults()
            loop.call_soon(loop.stop)
            loop.run_forever()
            found.append(faults() - before)
        return found

    with contextlib.ExitStack() as stack:

        def pair():
            faults(5, again=128)
            loops = make_loop(), make_loop()
            for loop in loops:
                for sock in socket.socketpair():
                    loop.add_reader(stack.enter_context(sock), int)
            return loops

        (one, two), (one_again, _) = pair(), pair()
        assert interrupted(one) == interrupted(one_again) != interrupted(two)


@pytest.mark.parametrize("chances", [{"again": 256}, {"reset": -1}])
def test_chances_are_out_of_256(faults, chances):
    with pytest.raises(OverflowError):
        faults(1, **chances)


def test_unknown_faults_are_refused(faults):
    with pytest.raises(TypeError, match=r"_faults\(\) got an unexpected keyword argument 'bad_luck'"):
        faults(1, bad_luck=1)
    with pytest.raises(TypeError, match="takes from 0 to 1 positional arguments but 2 were given"):
        faults(1, 2)
