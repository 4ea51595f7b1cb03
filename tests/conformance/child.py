"""The process that patches asyncio, loads one module of tests and carries out one order; `process` starts it.

It reports through a file descriptor of its own, one JSON object a line, so that nothing the tests print is
lost in it or mistaken for it.
"""

import faulthandler
import gc
import importlib
import json
import os
import re
import signal
import sys
import time
import traceback
import unittest
import warnings
from collections.abc import Callable
from typing import Any

from . import outcome, selection
from .exclusions import MODULES_ON_TEST_LOOP, Exclusions
from .fixtures import adapt
from .order import CENSUS, REPEAT, Order
from .patching import Implementation
from .repeating import repeat

Say = Callable[..., None]


def main(text: str) -> int:
    """Carry out the order and say so; the exit code is the parent's last check."""
    order = Order.from_json(text)
    report = os.fdopen(order.report_to, "w", buffering=1)

    def say(event: str, **facts: Any) -> None:
        report.write(json.dumps({"event": event, **facts}) + "\n")

    sys.path[:0] = order.paths
    # A background job of a shell without job control starts with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("default")
    try:
        tests, exclusions = _load(order)
    except unittest.SkipTest as skip:
        say("module skipped", reason=str(skip))
    except BaseException:
        say("load failed", message=traceback.format_exc())
        return 1
    else:
        if order.task == CENSUS:
            _census(order, tests, exclusions, say)
        elif order.task == REPEAT:
            chosen = _chosen(order, tests, exclusions)
            repeat(chosen, lambda: _Reporter(order, _to_nobody), lambda growth: say("round", growth=growth))
        else:
            unittest.TestSuite(_chosen(order, tests, exclusions)).run(_Reporter(order, say))
    say("finished")
    return 0


def _load(order: Order) -> tuple[list[unittest.TestCase], Exclusions | None]:
    """Patch, load, adapt. Untouched asyncio has no exclusions."""
    support = importlib.import_module("test.support")
    support.verbose = 0
    exclusions = None
    if order.implementation is None:
        module = selection.load(order.module)
    else:
        implementation = Implementation(order.implementation)
        on_test_loop = order.module in MODULES_ON_TEST_LOOP and not order.own_loop
        implementation.install(abstract_loop=not on_test_loop)
        if order.faults and implementation.native is not None:
            implementation.native._faults(**order.faults)
        module = selection.load(order.module)
        adapt(module, implementation, order.own_loop)
        if order.exclude:
            exclusions = Exclusions(implementation.replaced)
    return selection.tests_of(module), exclusions


def _census(order: Order, tests: list[unittest.TestCase], exclusions: Exclusions | None, say: Say) -> None:
    for test in tests:
        excluded = exclusions.of(order.module, test, order.own_loop) if exclusions else None
        say(
            "test",
            class_name=selection.class_name(test),
            id=_id(order, test),
            excluded=excluded,
            skipped=selection.skipped_by_decorator(test),
        )


def _chosen(
    order: Order, tests: list[unittest.TestCase], exclusions: Exclusions | None
) -> list[unittest.TestCase]:
    chosen = []
    for test in tests:
        wanted = selection.class_name(test) == order.class_name and re.search(order.match, _id(order, test))
        if not wanted or _id(order, test) in order.done:
            continue
        if exclusions is None or exclusions.of(order.module, test, order.own_loop) is None:
            chosen.append(test)
    return chosen


def _to_nobody(event: str, **facts: Any) -> None:
    """What a test came to is another run's concern."""


def _id(order: Order, test: unittest.TestCase) -> str:
    return f"{order.label}.{selection.class_name(test)}.{selection.method_name(test)}"


class _Reporter(unittest.TestResult):
    """Says the start and the one outcome of every test, and guards each against hanging."""

    def __init__(self, order: Order, say: Say) -> None:
        super().__init__()
        self.order = order
        self.say = say
        self.current: str | None = None
        self.state = outcome.PASSED
        self.message = ""
        self.start = 0.0

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        # Tests look for warnings; those about what an earlier one has left behind are not theirs.
        gc.collect()
        self.current, self.state, self.message = _id(self.order, test), outcome.PASSED, ""
        self.start = time.monotonic()
        self.say("start", id=self.current)
        # Works while the GIL is held, too: the thread that ends the process is not a Python thread.
        faulthandler.dump_traceback_later(self.order.seconds_per_test, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        if self.current is None:
            return  # 3.12.1 again: its skip has been said
        seconds = round(time.monotonic() - self.start, 3)
        self.say("end", id=self.current, state=self.state, message=self.message, seconds=seconds)
        self.current = None

    def _note(self, test: Any, state: str, message: str) -> None:
        if self.current is not None:
            if outcome.SEVERITY.index(state) >= outcome.SEVERITY.index(self.state):
                self.state, self.message = state, message
        elif isinstance(test, unittest.TestCase) and state == outcome.SKIPPED:
            # 3.12.1: a decorator's skip comes without startTest().
            self.say("start", id=_id(self.order, test))
            self.say("end", id=_id(self.order, test), state=state, message=message, seconds=0)
        else:
            # setUpClass or setUpModule: the tests that it should have prepared will be found not run.
            self.say("fixture", what=str(test), state=state, message=message)

    def addError(self, test: Any, err: Any) -> None:
        self._note(test, outcome.ERROR, _traceback(err))

    def addFailure(self, test: Any, err: Any) -> None:
        self._note(test, outcome.FAILED, _traceback(err))

    def addSkip(self, test: Any, reason: str) -> None:
        self._note(test, outcome.SKIPPED, reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self._note(test, outcome.EXPECTED_FAILURE, _traceback(err))

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._note(test, outcome.FAILED, "passes, though its source says that it fails")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            self._note(test, outcome.FAILED if failed else outcome.ERROR, _traceback(err))


def _traceback(err: Any) -> str:
    return "".join(traceback.format_exception(*err))[-4000:]
