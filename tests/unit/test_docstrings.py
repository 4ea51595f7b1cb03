"""What asyncio documents is documented: help() and editors show it."""

import asyncio
import inspect

import pytest

CLASSES = [name for name in asyncio.__all__ if isinstance(getattr(asyncio, name), type)]


def documented(cls):
    """Return the public attributes of a class that have a docstring of their own."""
    return {
        name
        for name in dir(cls)
        if not name.startswith("_") and inspect.getattr_static(cls, name).__doc__ is not None
    }


@pytest.mark.parametrize("name", CLASSES)
def test_attributes_of_classes(impl, name):
    stock, ours = getattr(asyncio, name), getattr(impl, name, None)
    if ours is None:
        pytest.skip("not a name of this implementation's")
    assert (inspect.getdoc(ours) is None) <= (inspect.getdoc(stock) is None)
    assert documented(stock) - documented(ours) == set()


def test_a_class_has_more_to_say_of_cancel_than_its_name(impl):
    assert "CancelledError" in inspect.getdoc(impl.Task.cancel)
    assert "uncancel" in inspect.getdoc(impl.Task.cancelling)
