"""Interruptions, calls that do less than they were asked for, and reports of nothing: no program notices."""

import pytest

from tests.faults import programs

pytestmark = pytest.mark.yibu_only  # stock asyncio has no such layer

SEEDS = 25

MIXES = {
    "interruptions": {"again": 80},
    "short reads": {"short_read": 150},
    "short writes": {"short_write": 150},
    "spurious reports": {"spurious": 150},
    "all at once": {"again": 50, "short_read": 80, "short_write": 80, "spurious": 80},
}

EVERYWHERE = (
    programs.protocols,
    programs.buffered_protocols,
    programs.protocols_over_tls,
    programs.half_closed,
    programs.streams,
    programs.streams_over_tls,
    programs.start_tls,
    programs.many_connections,
    programs.unix_streams,
    programs.pipes,
    programs.sendfile,
)
"""Programs that every one of the faults strikes."""

SOMEWHERE = (
    programs.own_sockets,
    programs.own_datagrams,
    programs.threads_and_timers,
    programs.signals,
    programs.readers_and_writers,
    programs.datagrams,
    programs.datagrams_in_a_row,
    programs.subprocesses,
)
"""Programs in which the loop makes only some of the calls."""


def name(program):
    return program.__name__


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("program", EVERYWHERE, ids=name)
def test_nothing_is_lost_or_noticed(unkind, program, mix):
    for seed in range(SEEDS):
        unkind.run(program, seed, **MIXES[mix])


@pytest.mark.parametrize("program", SOMEWHERE, ids=name)
def test_nothing_is_lost_or_noticed_where_some_may_strike(unkind, program):
    for seed in range(SEEDS):
        unkind.run(program, seed, **MIXES["all at once"])
