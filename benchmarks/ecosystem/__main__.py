"""`python -m benchmarks.ecosystem`."""

import sys

from benchmarks.ecosystem.run import main

sys.exit(main())
