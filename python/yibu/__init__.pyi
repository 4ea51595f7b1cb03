# ruff: isort: skip_file
# For a type checker the first of two definitions counts: yibu's own go before asyncio's. There is no
# `__all__`, because type checkers understand no other than a literal one, and every version has its own.
import sys

from yibu._yibu import Barrier as Barrier
from yibu._yibu import BoundedSemaphore as BoundedSemaphore
from yibu._yibu import Condition as Condition
from yibu._yibu import Event as Event
from yibu._yibu import Future as Future
from yibu._yibu import Handle as Handle
from yibu._yibu import LifoQueue as LifoQueue
from yibu._yibu import Lock as Lock
from yibu._yibu import PriorityQueue as PriorityQueue
from yibu._yibu import Queue as Queue
from yibu._yibu import Runner as Runner
from yibu._yibu import Semaphore as Semaphore
from yibu._yibu import Server as Server
from yibu._yibu import Task as Task
from yibu._yibu import TaskGroup as TaskGroup
from yibu._yibu import Timeout as Timeout
from yibu._yibu import TimerHandle as TimerHandle
from yibu._yibu import __version__ as __version__
from yibu._yibu import create_task as create_task
from yibu._yibu import ensure_future as ensure_future
from yibu._yibu import gather as gather
from yibu._yibu import run as run
from yibu._yibu import run_coroutine_threadsafe as run_coroutine_threadsafe
from yibu._yibu import shield as shield
from yibu._yibu import sleep as sleep
from yibu._yibu import to_thread as to_thread
from yibu._yibu import wrap_future as wrap_future
from yibu.event_loop import EventLoop as EventLoop
from yibu.event_loop import new_event_loop as new_event_loop
from yibu.installation import install as install
from yibu.installation import uninstall as uninstall
from yibu.nesting import allow_nested as allow_nested
from yibu.policy import EventLoopPolicy as EventLoopPolicy
from yibu.policy import get_event_loop as get_event_loop

from asyncio import *  # type: ignore[assignment]  # noqa: F403
from asyncio import base_events as base_events
from asyncio import base_futures as base_futures
from asyncio import base_subprocess as base_subprocess
from asyncio import base_tasks as base_tasks
from asyncio import constants as constants
from asyncio import coroutines as coroutines
from asyncio import events as events
from asyncio import exceptions as exceptions
from asyncio import format_helpers as format_helpers
from asyncio import futures as futures
from asyncio import locks as locks
from asyncio import log as log
from asyncio import mixins as mixins
from asyncio import protocols as protocols
from asyncio import queues as queues
from asyncio import runners as runners
from asyncio import selector_events as selector_events
from asyncio import sslproto as sslproto
from asyncio import staggered as staggered
from asyncio import streams as streams
from asyncio import subprocess as subprocess
from asyncio import taskgroups as taskgroups
from asyncio import tasks as tasks
from asyncio import threads as threads
from asyncio import timeouts as timeouts
from asyncio import transports as transports
from asyncio import trsock as trsock
from asyncio import unix_events as unix_events

if sys.version_info >= (3, 14):
    from asyncio import graph as graph
