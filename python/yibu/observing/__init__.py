"""What yibu tells of a running program: which step blocks a loop, and what loops have counted.

    import yibu.observing

`watchdog.py` has the thread that watches, `blockage.py` what it reports, `cause.py` how it tells a step that
computes from one that waits. `metrics.py` has what `EventLoop.metrics()` returns, `prometheus.py` and
`opentelemetry.py` send it away, `background.py` and `ticking.py` have the threads. `docs/observing.md` shows
how all of it is used.
"""

from yibu.observation import Observer, observe
from yibu.observing.blockage import Blockage, Line, OtherThread, Stack
from yibu.observing.metrics import FunctionMetrics, LoopMetrics, Times
from yibu.observing.watchdog import Watch
from yibu.watching import watch

__all__ = [
    "Blockage",
    "FunctionMetrics",
    "Line",
    "LoopMetrics",
    "Observer",
    "OtherThread",
    "Stack",
    "Times",
    "Watch",
    "observe",
    "watch",
]
