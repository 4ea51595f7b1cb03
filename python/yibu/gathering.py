"""The future that `asyncio.gather` returns, as a native future.

Stock `gather` makes its result from a class of its own, a subclass of the stock `Future`. Once
`install()` has put the native class in that place, `isinstance(asyncio.gather(...), asyncio.Future)`
holds only if that class follows. Used by `installation.py`; goes when `gather` itself is native.
"""

from collections.abc import Sequence
from typing import Any

from yibu._yibu import Future


class _GatheringFuture(Future[list[Any]]):
    """A future that stands for several: cancelling it cancels those, and it ends when they do."""

    # Read by `gather` when the last of the children is done.
    _cancel_requested = False

    def __init__(self, children: Sequence[Future[Any]], *, loop: Any) -> None:
        super().__init__(loop=loop)
        self._children = children

    def cancel(self, msg: Any = None) -> bool:
        """Cancel every child; whether there was one left to cancel."""
        if self.done():
            return False
        cancelled = [child.cancel(msg=msg) for child in self._children]
        # The children may yet refuse; `gather` looks at this flag once all of them have ended.
        self._cancel_requested = self._cancel_requested or any(cancelled)
        return any(cancelled)
