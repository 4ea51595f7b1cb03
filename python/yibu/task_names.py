"""`name_of()`: the name of a task for those who only look, whatever the class of the task does with it.

Called by `inspection` and `observing`.
"""

import asyncio
import contextlib
from typing import Any

from yibu import _yibu


def name_of(task: Any) -> str:
    """What `get_name()` returns; of a class of the program's own, whose `get_name()` raises, what asyncio's
    would."""
    for ask in (
        lambda: task.get_name(),  # noqa: PLW0108 (the attribute itself may be missing)
        lambda: _yibu.Task.get_name(task),
        lambda: asyncio.Task.get_name(task),
    ):
        with contextlib.suppress(Exception):
            return str(ask())
    return f"a {type(task).__name__}"
