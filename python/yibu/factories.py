"""`eager_task_factory` that makes native tasks. Exists, like asyncio's, since Python 3.12."""

import asyncio
import sys

from yibu._yibu import Task

if sys.version_info >= (3, 12):
    eager_task_factory = asyncio.create_eager_task_factory(Task)
