"""More signals than the pipe between interpreter and loop can hold: numbers may be lost, kinds never."""

import signal
from collections import Counter

import pytest

FLOOD = 70_000
"""More than the 65,536 bytes of a pipe."""

KINDS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGRTMIN)


@pytest.mark.yibu_only
def test_no_kind_is_lost(loop):
    came = Counter()

    def handle(kind):
        came[kind] += 1
        if len(came) == len(KINDS):
            loop.stop()

    def flood():
        for _ in range(FLOOD):
            signal.raise_signal(KINDS[0])
        for kind in KINDS[1:]:
            signal.raise_signal(kind)

    for kind in KINDS:
        loop.add_signal_handler(kind, handle, kind)
    loop.call_soon(flood)
    loop.run_forever()
    assert set(came) == set(KINDS)
    assert 1 < came[KINDS[0]] <= FLOOD
    assert all(came[kind] == 1 for kind in KINDS[1:])


@pytest.mark.yibu_only
def test_what_was_lost_is_not_handled_twice(loop):
    came = Counter()
    for kind in KINDS[:2]:
        loop.add_signal_handler(kind, came.update, [kind])

    def run_turns():
        # The handlers run in the turn after the one that reads the pipe.
        for _ in range(3):
            loop.call_soon(loop.stop)
            loop.run_forever()

    signal.raise_signal(KINDS[1])
    while not came:
        run_turns()
    for _ in range(FLOOD):
        signal.raise_signal(KINDS[0])
    while came[KINDS[0]] == 0:
        run_turns()
    run_turns()
    assert came[KINDS[1]] == 1
