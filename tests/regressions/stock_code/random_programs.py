"""Runs random programs of the differential tests on the implementation that is named."""

import sys

from tests.conftest import Implementation
from tests.differential.fuzzing.comparison import trace
from tests.differential.fuzzing.grammar import draw
from tests.differential.fuzzing.implementations import pair

PROGRAMS = 25
MODES = "plain", "debug", "eager", "subclasses", "only children"

impl = Implementation(sys.argv[1])
programs = [program for seed in range(PROGRAMS) if (program := draw(seed)).mode in MODES]
for program in programs:
    assert len(trace(program, pair(program, impl)[1])) > 100
print("done")
