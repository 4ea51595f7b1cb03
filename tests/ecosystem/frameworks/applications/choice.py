"""The loop of a program that makes it itself: of yibu, or of the module that the second argument names."""

import importlib
import sys


def new_event_loop():
    """Make the loop."""
    return importlib.import_module(sys.argv[2] if len(sys.argv) > 2 else "yibu").new_event_loop()
