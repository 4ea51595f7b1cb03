"""Loads the tests of one module and names them `module.Class.test`."""

import importlib
import unittest
from collections.abc import Iterable, Iterator
from types import ModuleType


def load(module: str) -> ModuleType:
    """Import a module of CPython's asyncio tests; raises unittest.SkipTest for another platform's."""
    return importlib.import_module("test.test_asyncio." + module)


def tests_of(module: ModuleType) -> list[unittest.TestCase]:
    """Every test of the module, in unittest's order."""
    return list(_flatten(unittest.defaultTestLoader.loadTestsFromModule(module)))


def _flatten(suite: Iterable[unittest.TestCase | unittest.TestSuite]) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flatten(test)
        else:
            yield test


def class_name(test: unittest.TestCase) -> str:
    """The class of the test; also where a function made the class, its name is unique in the module."""
    return type(test).__name__


def method_name(test: unittest.TestCase) -> str:
    return getattr(test, "_testMethodName", str(test))


def skipped_by_decorator(test: unittest.TestCase) -> str | None:
    """The reason of a skip that is known without running the test."""
    method = getattr(test, method_name(test), None)
    for owner in (type(test), method):
        if getattr(owner, "__unittest_skip__", False):
            return str(getattr(owner, "__unittest_skip_why__", ""))
    return None
