"""What one test came to: the vocabulary of the process that runs tests and of the one that judges them."""

from dataclasses import dataclass

PASSED = "passed"
EXPECTED_FAILURE = "expected failure"  # marked so in CPython's source
SKIPPED = "skipped"
FAILED = "failed"
ERROR = "error"
HUNG = "hung"
CRASHED = "crashed"
NOT_RUN = "not run"

# Later ones outweigh earlier ones when a test has several outcomes (subtests, clean-ups).
SEVERITY = (PASSED, SKIPPED, EXPECTED_FAILURE, FAILED, ERROR)
GOOD = (PASSED, EXPECTED_FAILURE)


@dataclass
class Outcome:
    """The end of one test, with what it has to say (a traceback, the reason of a skip)."""

    state: str
    message: str = ""
    seconds: float = 0.0

    @property
    def last_line(self) -> str:
        """The line that says most, for one-line reports."""
        lines = [line for line in self.message.splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""
