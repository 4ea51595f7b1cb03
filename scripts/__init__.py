"""What `make` runs: building, testing, measuring. Standard library only, so a bare Python can start it."""

import sys

# Before anything is imported that an older Python cannot read.
if sys.version_info < (3, 11):  # noqa: UP036  # an older Python is told here
    sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}: yibu needs CPython 3.11 or newer")
