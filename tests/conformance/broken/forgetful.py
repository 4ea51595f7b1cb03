"""Futures that lose their result: tests must fail."""

import asyncio

from ..stock import EventLoop  # noqa: F401  # the rest is asyncio's


class Future(asyncio.Future):  # type: ignore[type-arg]
    """A future without a memory."""

    def result(self) -> None:
        super().result()
