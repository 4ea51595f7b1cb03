# To a type checker yibu's classes and functions are asyncio's, as the native classes themselves say at run
# time, so what a function returns has the type that programs write. The loop and what makes it are yibu's
# own: of the two modules that have these names as well, the other names are listed. There is no `__all__`,
# because type checkers understand no other than a literal one, and every version has its own.
import sys
from asyncio.base_events import *
from asyncio.coroutines import *
from asyncio.events import AbstractEventLoop as AbstractEventLoop
from asyncio.events import AbstractServer as AbstractServer
from asyncio.events import Handle as Handle
from asyncio.events import TimerHandle as TimerHandle
from asyncio.events import _get_running_loop as _get_running_loop
from asyncio.events import _set_running_loop as _set_running_loop
from asyncio.events import get_event_loop as get_event_loop
from asyncio.events import get_event_loop_policy as get_event_loop_policy
from asyncio.events import get_running_loop as get_running_loop
from asyncio.events import set_event_loop as set_event_loop
from asyncio.events import set_event_loop_policy as set_event_loop_policy
from asyncio.exceptions import *
from asyncio.futures import *
from asyncio.locks import *
from asyncio.protocols import *
from asyncio.queues import *
from asyncio.runners import *
from asyncio.streams import *
from asyncio.subprocess import *
from asyncio.taskgroups import *
from asyncio.tasks import *
from asyncio.threads import *
from asyncio.timeouts import *
from asyncio.transports import *
from asyncio.unix_events import SelectorEventLoop as SelectorEventLoop

from yibu import base_events as base_events
from yibu import base_futures as base_futures
from yibu import base_subprocess as base_subprocess
from yibu import base_tasks as base_tasks
from yibu import constants as constants
from yibu import coroutines as coroutines
from yibu import events as events
from yibu import exceptions as exceptions
from yibu import format_helpers as format_helpers
from yibu import futures as futures
from yibu import locks as locks
from yibu import log as log
from yibu import mixins as mixins
from yibu import protocols as protocols
from yibu import queues as queues
from yibu import runners as runners
from yibu import selector_events as selector_events
from yibu import sslproto as sslproto
from yibu import staggered as staggered
from yibu import streams as streams
from yibu import subprocess as subprocess
from yibu import taskgroups as taskgroups
from yibu import tasks as tasks
from yibu import threads as threads
from yibu import timeouts as timeouts
from yibu import transports as transports
from yibu import trsock as trsock
from yibu import unix_events as unix_events
from yibu._yibu import __version__ as __version__
from yibu.event_loop import EventLoop as EventLoop
from yibu.event_loop import new_event_loop as new_event_loop
from yibu.inspection import inspect as inspect
from yibu.inspection import ps as ps
from yibu.inspection import pstree as pstree
from yibu.installation import install as install
from yibu.installation import uninstall as uninstall
from yibu.nesting import allow_nested as allow_nested
from yibu.observation import observe as observe
from yibu.policy import EventLoopPolicy as EventLoopPolicy
from yibu.tracing import trace as trace
from yibu.watching import watch as watch

if sys.version_info >= (3, 14):
    from asyncio import AbstractEventLoopPolicy as AbstractEventLoopPolicy
    from asyncio.graph import *

    from yibu import graph as graph
else:
    from asyncio.events import AbstractEventLoopPolicy as AbstractEventLoopPolicy
    from asyncio.events import get_child_watcher as get_child_watcher
    from asyncio.events import set_child_watcher as set_child_watcher
    from asyncio.unix_events import AbstractChildWatcher as AbstractChildWatcher
    from asyncio.unix_events import FastChildWatcher as FastChildWatcher
    from asyncio.unix_events import MultiLoopChildWatcher as MultiLoopChildWatcher
    from asyncio.unix_events import PidfdChildWatcher as PidfdChildWatcher
    from asyncio.unix_events import SafeChildWatcher as SafeChildWatcher
    from asyncio.unix_events import ThreadedChildWatcher as ThreadedChildWatcher

DefaultEventLoopPolicy = EventLoopPolicy
