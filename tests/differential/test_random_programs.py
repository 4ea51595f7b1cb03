"""Random programs must leave the same trace on the loop, Future and Task under test as on stock asyncio's."""

import asyncio
import functools
import sys

import pytest

from tests.differential.random_programs import OPERATIONS, draw, trace_of

SEEDS = range(1600)
GROUP = 100


def traces(seed, impl, debug=False, **keywords):
    """Return the trace of a seed on stock asyncio and on the implementation."""

    def make(task_type):
        return functools.partial(task_type, **keywords)

    return (
        trace_of(seed, asyncio.SelectorEventLoop(), asyncio.Future, make(asyncio.Task), debug=debug),
        trace_of(seed, impl.new_event_loop(), impl.Future, make(impl.Task), debug=debug),
    )


def compare(seed, expected, trace):
    for number, (wanted, got) in enumerate(zip(expected, trace, strict=False)):
        assert got == wanted, f"seed {seed}, event {number}, after {expected[max(0, number - 8) : number]}"
    assert len(trace) == len(expected), f"seed {seed}"


@pytest.mark.parametrize("group", range(0, len(SEEDS), GROUP))
def test_equal_traces(impl, group):
    for seed in SEEDS[group : group + GROUP]:
        compare(seed, *traces(seed, impl))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
@pytest.mark.parametrize("group", range(0, len(SEEDS), 4 * GROUP))
def test_equal_traces_of_eager_tasks(impl, group):
    for seed in SEEDS[group : group + GROUP]:
        compare(seed, *traces(seed, impl, eager_start=True))


def test_equal_traces_in_debug_mode(impl):
    for seed in SEEDS[: GROUP // 2]:
        compare(seed, *traces(seed, impl, debug=True))


def test_the_programs_are_worth_running(impl):
    """Every operation occurs, most programs are long, and hardly two are alike."""
    programs = [draw(seed) for seed in SEEDS]
    assert {operation[0] for program in programs for script in program for operation in script} == set(
        OPERATIONS
    )
    samples = [traces(seed, impl)[0] for seed in range(0, len(SEEDS), 80)]
    assert sum(len(trace) > 150 for trace in samples) > len(samples) / 2
    words = {event for trace in samples for event in trace if event[0] == "called"}
    assert len(words) > 50
