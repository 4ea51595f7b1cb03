"""Passes every test and leaves with a bad exit code, as a crash in the last moments would."""

import atexit
import os

from ..stock import EventLoop  # noqa: F401  # the rest is asyncio's

atexit.register(os._exit, 3)
