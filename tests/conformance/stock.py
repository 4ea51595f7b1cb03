"""asyncio itself as an implementation. Swapped in, every test that is not excluded must pass: this calibrates
the patches, the set-ups and the exclusions without any code of yibu."""

import asyncio
import functools
import selectors
from typing import Any
from unittest import mock

from .exclusions import SCAFFOLDING


class _Selector(selectors.EpollSelector):
    """Tests set `select.return_value`, which a method does not allow and a partial does."""

    def __init__(self) -> None:
        super().__init__()
        self.select = functools.partial(super().select)  # type: ignore[method-assign]


class EventLoop(asyncio.SelectorEventLoop):
    """The stock loop, which like any other complete loop does not come to run on mocks of its parts."""

    def __init__(self) -> None:
        super().__init__(_Selector())
        self._write_to_self = functools.partial(super()._write_to_self)  # type: ignore[misc]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in SCAFFOLDING or not isinstance(value, mock.NonCallableMock):
            super().__setattr__(name, value)


new_event_loop = EventLoop
