"""The child watchers that Python has until 3.13, completed: the objects that wait for child processes.

What they do is native (`yibu._yibu`). These classes add what a native base cannot be: an
`asyncio.AbstractChildWatcher`, which policies insist on. The watchers that listen to SIGCHLD are still
the standard library's, see `stock.py`.

Made by `policy.py` where the default one is asked for, and by programs, which set them. A loop whose
policy has no watcher waits for its children itself.
"""

import sys
import warnings

from yibu import _yibu

if sys.version_info < (3, 14):
    from asyncio import AbstractChildWatcher, unix_events

    with warnings.catch_warnings():
        # To derive from the abstract class is deprecated since 3.12.
        warnings.simplefilter("ignore", DeprecationWarning)

        class PidfdChildWatcher(_yibu.PidfdChildWatcher, AbstractChildWatcher):
            """Waits for child processes with process descriptors, in the loop's own poller."""

        class ThreadedChildWatcher(_yibu.ThreadedChildWatcher, AbstractChildWatcher):
            """Waits for each child process in a thread."""

    _yibu._name_as(PidfdChildWatcher, unix_events.PidfdChildWatcher)
    _yibu._name_as(ThreadedChildWatcher, unix_events.ThreadedChildWatcher)

    def default_child_watcher() -> AbstractChildWatcher:
        """Make the watcher that this Python's default policy would have."""
        if sys.version_info >= (3, 12) and _yibu.can_use_pidfd():
            return PidfdChildWatcher()
        return ThreadedChildWatcher()
