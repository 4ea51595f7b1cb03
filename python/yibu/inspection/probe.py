"""How late loops are: an empty callback is handed to each, and the time until it runs is what a request would
wait for, too.

Called by `observed.py` for the page, which asks every second; nobody else has loops run anything. The probe
of a loop that is blocked stays until it runs, so there is one at most for each loop.
"""

import time
import weakref
from contextvars import Context
from typing import Any

from yibu import _yibu


class _Probe:
    """One callback."""

    def __init__(self, loop: Any) -> None:
        self.loop = weakref.ref(loop)
        self.posted = time.monotonic()
        self.ran: float | None = None

    def __call__(self) -> None:
        self.ran = time.monotonic()


_probes: dict[int, _Probe] = {}


def post() -> None:
    """Hand a callback to each running loop that does not have one."""
    for key, probe in list(_probes.items()):
        if probe.ran is not None or probe.loop() is None:
            del _probes[key]
    for loop, thread, _look in _yibu._native_loops():
        if not thread or id(loop) in _probes:
            continue
        probe = _Probe(loop)
        try:
            loop.call_soon_threadsafe(probe, context=Context())
        except RuntimeError:  # it was closed
            continue
        _probes[id(loop)] = probe


def lag(loop: int) -> float | None:
    """How late a loop was, or is by now; None where it was not asked."""
    probe = _probes.get(loop)
    if probe is None:
        return None
    return (time.monotonic() if probe.ran is None else probe.ran) - probe.posted
