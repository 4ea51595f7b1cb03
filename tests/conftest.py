"""Fixtures and limits of the whole suite: the implementation under test, its loop, what a test may leave.

The tests are a specification.  By default they hold yibu to it; `--impl asyncio` holds the standard library
to it, which is how the tests themselves are checked.  Tests marked `yibu_only` ask for more than stock gives,
or, with `since` and `before`, for what it gives on other versions of Python than those.
"""

import asyncio
import faulthandler
import gc
import importlib
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import pytest

TEST_LIMIT = 30
"""Seconds that one test may take before it is interrupted (a test that hangs is a failure, not a wait)."""

PROCESS_LIMIT = 30
"""Seconds more after which a test that could not even be interrupted ends the run, with all stacks."""

TEARDOWN_LIMIT = 5
"""Seconds that tasks left running by a failed test get to end when they are cancelled."""


class Implementation:
    """One implementation of asyncio: every name of its namespace is an attribute, and it can run programs."""

    def __init__(self, name):
        self.name = name
        self.module = importlib.import_module(name)
        self.is_stock = self.module is asyncio

    def __getattr__(self, attribute):
        return getattr(self.module, attribute)

    def __repr__(self):
        return f"<implementation {self.name}>"

    def environment(self, **variables):
        """Return an environment in which a child interpreter finds this implementation."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHONASYNCIO")}
        package_root = os.path.dirname(os.path.dirname(os.path.abspath(self.module.__file__)))
        if not self.is_stock:
            env["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, env.get("PYTHONPATH")]))
        return env | variables

    def run_source(self, source, *arguments, python_options=(), timeout=TEST_LIMIT, **variables):
        """Run `source` in a fresh interpreter where `aio` is this implementation; return the process."""
        program = f"import {self.name} as aio\n" + textwrap.dedent(source)
        return subprocess.run(
            [sys.executable, *python_options, "-c", program, *arguments],
            check=False,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def pytest_addoption(parser):
    parser.addoption(
        "--impl", choices=("yibu", "asyncio"), default="yibu", help="the implementation that the tests run on"
    )


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "yibu_only(since=, before=): asks for more than stock gives (on Pythons since one and before one)",
    )
    config.addinivalue_line(
        "markers", f"time_limit(seconds): how long the test may take, instead of {TEST_LIMIT}"
    )
    config.addinivalue_line("filterwarnings", "error")
    # A background job of a shell without job control starts with SIGINT ignored, one under nohup with SIGHUP,
    # and so do their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--impl") != "asyncio":
        return
    for item in items:
        marker = item.get_closest_marker("yibu_only")
        if marker and is_version_of(marker):
            item.add_marker(pytest.mark.skip(reason="stock asyncio does not give this"))


def is_version_of(marker, since=(0,), before=(sys.maxsize,)):
    """Tell whether the running Python is one of those that a mark speaks of."""
    return marker.kwargs.get("since", since) <= sys.version_info < marker.kwargs.get("before", before)


def pytest_collection_finish():
    """Keep what exists before the first test out of the collections that follow every loop."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def time_limit(request):
    """Interrupt a test that takes too long; end the run when it cannot even be interrupted."""
    marker = request.node.get_closest_marker("time_limit")
    seconds = marker.args[0] if marker else TEST_LIMIT

    def interrupt(*_):
        pytest.fail(f"still running after {seconds} seconds")

    faulthandler.dump_traceback_later(seconds + PROCESS_LIMIT, exit=True)
    previous = signal.signal(signal.SIGALRM, interrupt)
    # Repeated, because a loop reports what is raised inside a callback and goes on.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def impl(request):
    """The implementation under test."""
    return Implementation(request.config.getoption("--impl"))


@pytest.fixture
def reports():
    """The contexts given to the loop's exception handler; a test that asks for them accounts for them."""
    return []


@pytest.fixture
def make_loop(impl):
    """Make loops that are closed when the test ends, whatever it does with them."""
    loops = []

    def make(factory=impl.new_event_loop):
        loops.append(factory())
        return loops[-1]

    yield make
    for loop in loops:
        if not loop.is_closed():
            loop.close()
    gc.collect()


@pytest.fixture
def loop(request, make_loop, reports):
    """A loop of the implementation; what is reported to its handler fails a test that did not ask for it."""
    loop = make_loop()
    loop.set_exception_handler(lambda _loop, context: reports.append(context))
    yield loop
    if not loop.is_closed():
        finish_tasks(loop)
    gc.collect()
    if "reports" not in request.fixturenames:
        assert reports == []


def finish_tasks(loop):
    """Cancel what the test left running, as `asyncio.run` does, so that nothing outlives its test."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=TEARDOWN_LIMIT))
    loop.run_until_complete(loop.shutdown_asyncgens())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loop.run_until_complete(loop.shutdown_default_executor())


@pytest.fixture
def run(loop):
    """Run a coroutine on the test's loop and return its result."""
    return loop.run_until_complete
