"""Random programs must leave the same trace on the implementation under test as on stock asyncio.

`python -m tests.differential.fuzz` (`make fuzz`) looks for more of them, and makes those that differ small.
"""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from tests.differential.fuzzing import comparison, implementations
from tests.differential.fuzzing.choices import MODES
from tests.differential.fuzzing.comparison import difference, traces
from tests.differential.fuzzing.grammar import Program, draw
from tests.differential.fuzzing.shrinking import shrunk

SEEDS = range(1000)
GROUP = 50


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("first", SEEDS[::GROUP])
def test_equal_traces(impl, first):
    for seed in range(first, first + GROUP):
        if found := difference(draw(seed), impl):
            pytest.fail(f"python -m tests.differential.fuzz --seed {seed} makes the program small\n{found}")


@pytest.mark.time_limit(120)
def test_the_programs_are_worth_running(impl):
    """Every mode occurs, traces are long, and hardly anything in them comes twice."""
    programs = [draw(seed) for seed in SEEDS[::10]]
    assert {program.mode for program in programs} == {mode for mode, weight in MODES.items() if weight}
    samples = [traces(program, impl)[0] for program in programs]
    assert sum(len(trace) > 150 for trace in samples) > len(samples) * 0.9
    events = {event.split(": ", 1)[1] for trace in samples for event in trace if " stir: " not in event}
    assert len(events) > 1000
    missing = {
        "begins",
        "ends",
        "TimeoutError",
        "CancelledError[stop",
        "Queue.put_nowait",
        "is patched",
        "has cut",
        "KeyError[",
        "QueueFull",
        "Exception in callback",
        "waiters:",
    }
    if MODES["wires"]:
        missing.add("data ")
    if sys.version_info >= (3, 13):
        missing.add("ExceptionGroup[")
    for event in events:
        missing -= {word for word in missing if word in event}
    assert not missing


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="asyncio's own semaphores differ here: none is in a program"
)
@pytest.mark.time_limit(120)
def test_a_difference_is_found_and_made_small(impl, monkeypatch):
    """The comparison can fail: here by a semaphore that wakes nobody."""

    class Semaphore(asyncio.Semaphore):
        def release(self):
            self._value += 1

    def pair(program, impl):
        stock, other = implementations.pair(Program("plain", program.scripts), impl)
        other.aio = SimpleNamespace(**vars(stock.aio) | {"Semaphore": Semaphore})
        return stock, other

    monkeypatch.setattr(comparison, "pair", pair)
    seed = next(seed for seed in SEEDS if difference(draw(seed), impl))
    program = shrunk(draw(seed), lambda candidate: difference(candidate, impl) is not None)
    assert "semaphores[" in program.source()
    assert sum(map(len, program.scripts)) <= 4
