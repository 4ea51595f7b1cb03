"""What yibu tells of a running program: which step blocks a loop.

    import yibu.observing

`watchdog.py` has the thread that watches, `blockage.py` what it reports, `cause.py` how it tells a step that
computes from one that waits. `docs/observing.md` shows how all of it is used.
"""

from yibu.observing.blockage import Blockage, Line, OtherThread, Stack
from yibu.observing.watchdog import Watch
from yibu.watching import watch

__all__ = ["Blockage", "Line", "OtherThread", "Stack", "Watch", "watch"]
