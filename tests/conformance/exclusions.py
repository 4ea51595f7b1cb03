"""Which of CPython's tests cannot mean anything for another implementation of asyncio, each with its reason.

`child` asks about every test. The five kinds of reason, and no others:

    platform    for another operating system
    white box   drives private parts of the stock loop, where the loop is the implementation's
    mock        replaces a module global of the stock loop, which another one does not use
    duplicate   the same test again, for another selector or child watcher of the stock loop
    stock only  runs nothing but stock code, whatever is swapped in

Tests of the stock loops' private parts on stock loops do run: with the implementation's futures, tasks and
handles.
"""

import re
import unittest
from typing import NamedTuple

from .selection import class_name, method_name
from .sources import Sources


class Exclusion(NamedTuple):
    """Why a test is left out."""

    kind: str
    reason: str


MODULES = {
    "test_windows_events": Exclusion("platform", "Windows"),
    "test_windows_utils": Exclusion("platform", "Windows"),
    "test_tools": Exclusion("stock only", "formats hand-made tables; no loop, future or task takes part"),
}

_ONE_SELECTOR = Exclusion("duplicate", "the same tests on another selector; SelectEventLoopTests is kept")
_ONE_WATCHER = Exclusion("duplicate", "the same tests with another child watcher; one is kept")
_PYTHON_TASKS = Exclusion(
    "stock only", "asyncio's Python registry of tasks, given a loop that makes asyncio's Python tasks"
)
_WATCHERS = Exclusion("stock only", "stock child watchers, on mocks")

CLASSES = {
    "test_base_events.BaseEventTests": Exclusion("stock only", "base_events._ipaddr_info"),
    "test_base_events.TestSelectorUtils": Exclusion("stock only", "base_events._set_nodelay"),
    "test_unix_events.SelectorEventLoopSignalTests": Exclusion("mock", "unix_events.signal"),
    "test_unix_events.AbstractChildWatcherTests": _WATCHERS,
    "test_unix_events.BaseChildWatcherTests": _WATCHERS,
    "test_unix_events.SafeChildWatcherTests": _WATCHERS,
    "test_unix_events.FastChildWatcherTests": _WATCHERS,
    "test_unix_events.PolicyTests": Exclusion("stock only", "the child watcher of the stock policy"),
    "test_graph.TestCallStackPy": _PYTHON_TASKS,
    "test_events.PollEventLoopTests": _ONE_SELECTOR,
    "test_events.EPollEventLoopTests": _ONE_SELECTOR,
    "test_sendfile.PollEventLoopTests": _ONE_SELECTOR,
    "test_sendfile.EPollEventLoopTests": _ONE_SELECTOR,
    "test_sock_lowlevel.PollEventLoopTests": _ONE_SELECTOR,
    "test_sock_lowlevel.EPollEventLoopTests": _ONE_SELECTOR,
    "test_subprocess.SubprocessSafeWatcherTests": _ONE_WATCHER,
    "test_subprocess.SubprocessFastWatcherTests": _ONE_WATCHER,
    "test_subprocess.SubprocessMultiLoopWatcherTests": _ONE_WATCHER,
}

# Tests whose loop is the stock one, or test_utils.TestLoop, whatever is swapped in: its parts are all there.
ON_STOCK_LOOPS = (
    "test_base_events.BaseLoopSockSendfileTests",
    "test_proactor_events.",
    "test_selector_events.",
    "test_sslproto.SslProtoHandshakeTests",
    "test_subprocess.SubprocessTransportTests",
    "test_unix_events.UnixReadPipeTransportTests",
    "test_unix_events.UnixWritePipeTransportTests",
)

# Classes of tests that run only stock code until the implementation has these of its own.
NEEDED = {
    "test_events.AbstractEventLoopTests": "AbstractEventLoop",
    "test_events.TestAbstractServer": "AbstractServer",
    "test_transports.TransportTests": "Transport",
    "test_protocols.ProtocolsAbsTests": "Protocol",
}

# Single tests, by regular expression on module.Class.test.
TESTS = {
    r"test_base_events\..*\.test_single_selecter_event_callback_after_stopping": Exclusion(
        "white box", "a _process_events of its own on a mocked selector"
    ),
    r"test_tasks\.GenericTaskTests\.test_asyncio_module_compiled": Exclusion(
        "stock only", "imports _asyncio"
    ),
    r"test_ssl\..*\.test_remote_shutdown_receives_trailing_data_on_slow_socket": Exclusion(
        "white box", "replaces _sock of the stock selector transport and waits for its _read_ready_cb"
    ),
    r"test_free_threading\..*PyFreeThreading\..*_includes_eager_tasks": _PYTHON_TASKS,
    r".*\.test_env_var_debug": Exclusion("stock only", "stock asyncio in a new interpreter"),
    r"test_events\.TestPyGetEventLoop\..*running.*": Exclusion(
        "stock only", "asyncio's Python record of the running loop, which native loops do not write"
    ),
    r"test_events\..*\.test_get_event_loop_new_process": Exclusion(
        "stock only", "stock asyncio in a new process"
    ),
}

# Private parts of the stock loop. Other private attributes that tests touch belong to futures, tasks,
# handles, servers, locks or queues, where libraries read them too, so every implementation should have them.
LOOP_PARTS = {
    "_accept_connection",
    "_accept_connection2",
    "_add_callback",
    "_add_reader",
    "_add_writer",
    "_asyncgens",
    "_check_closed",
    "_check_signal",
    "_clock_resolution",
    "_close_self_pipe",
    "_connect_sock",
    "_coroutine_origin_tracking_enabled",
    "_create_server_getaddrinfo",
    "_csock",
    "_current_handle",
    "_ensure_fd_no_transport",
    "_ensure_resolved",
    "_handle_signal",
    "_HAS_IPv6",
    "_internal_fds",
    "_ipaddr_info",
    "_make_datagram_transport",
    "_make_read_pipe_transport",
    "_make_socket_transport",
    "_make_ssl_transport",
    "_make_subprocess_transport",
    "_make_write_pipe_transport",
    "_MIN_CANCELLED_TIMER_HANDLES_FRACTION",
    "_MIN_SCHEDULED_TIMER_HANDLES",
    "_process_events",
    "_read_from_self",
    "_ready",
    "_remove_reader",
    "_remove_writer",
    "_run_forever_cleanup",
    "_run_forever_setup",
    "_run_once",
    "_run_once_counter",
    "_scheduled",
    "_selector",
    "_sendfile_compatible",
    "_sendfile_native",
    "_set_coroutine_origin_tracking",
    "_set_nodelay",
    "_signal_handlers",
    "_sock_connect",
    "_sock_sendfile_native",
    "_sock_sendfile_native_impl",
    "_ssock",
    "_start_serving",
    "_stop_serving",
    "_thread_id",
    "_timer_cancelled_count",
    "_watcher",
    "_write_to_self",
}

# Tests assign these to make the abstract BaseEventLoop run. On a complete loop that changes nothing.
SCAFFOLDING = {"_selector", "_process_events", "_write_to_self"}

# Patching these means something for any implementation: `patching` sees to the logger, the others are looked
# at by stock code that stays in use, or mean what an environment variable means.
PATCHES_THAT_WORK = (
    ".logger",
    ".logger.error",
    "events.threading.current_thread",
    "coroutines._is_debug_mode",
)


class Exclusions:
    """The rules, applied for one implementation."""

    def __init__(self, replaced: set[str]) -> None:
        self.replaced = replaced
        self.sources = Sources()

    def of(self, module: str, test: unittest.TestCase, own_loop: bool) -> Exclusion | None:
        """Why this test of `module` is left out; None for a test that must run."""
        name = f"{module}.{class_name(test)}"
        needed = NEEDED.get(name)
        if needed is not None and needed not in self.replaced:
            return Exclusion("stock only", f"tests the stock {needed}, which is used as it is")
        return (
            MODULES.get(module)
            or CLASSES.get(name)
            or self._by_name(f"{name}.{method_name(test)}")
            or self._by_source(module, test, own_loop)
        )

    def _by_name(self, full_name: str) -> Exclusion | None:
        for pattern, exclusion in TESTS.items():
            if re.fullmatch(pattern, full_name):
                return exclusion
        return None

    def _by_source(self, module: str, test: unittest.TestCase, own_loop: bool) -> Exclusion | None:
        if module in MODULES_ON_TEST_LOOP and not own_loop:
            return None
        if f"{module}.{class_name(test)}".startswith(ON_STOCK_LOOPS):
            return None
        reach = self.sources.reach(type(test), method_name(test))
        parts = (reach.private_attributes | (reach.assigned_attributes - SCAFFOLDING)) & LOOP_PARTS
        if parts:
            return Exclusion("white box", "uses the stock loop's " + ", ".join(sorted(parts)))
        for target in sorted(reach.patched):
            if target.startswith("asyncio.") and not target.endswith(PATCHES_THAT_WORK):
                return Exclusion("mock", target)
        return None


# Modules whose set-ups use test_utils.new_test_loop(). They run twice: on that loop and on the own one.
MODULES_ON_TEST_LOOP = ("test_futures", "test_tasks")
