"""What the process has open."""

import contextlib
import os


def descriptors():
    """Return the descriptors of the process, each with what it refers to."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
    return found
