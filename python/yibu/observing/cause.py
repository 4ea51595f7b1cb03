"""`Evidence`: why a step takes long, from what the samples of the watchdog have seen.

A step computes when its thread uses the processor. A thread that waits for the interpreter waits for a futex,
as one does that waits for a lock; but then another thread computes, and the watchdog has to wait for the
interpreter as well. Called by `watchdog.py`.
"""

import sys
from collections import Counter
from dataclasses import dataclass, field

# A thread that keeps the interpreter without computing, as a C function that sleeps, keeps the watchdog
# waiting for this part of the blockage, and for so many seconds, as no scheduler does.
_KEPT = 0.5
_LONG = 0.05

# A thread that waits for the interpreter wakes now and then to ask for it, and uses no more of a processor.
_LITTLE = 0.02

# A step that computes has a processor for this part of the time, unless others keep them.
_SHARE = 0.4


@dataclass
class Evidence:
    """What was seen of one blockage so far."""

    seconds: float = 0.0
    cpu_seconds: float | None = None
    samples: int = 0
    waited: float = 0.0
    """How long the watchdog waited for the interpreter, in all samples."""
    longest_wait: float = 0.0
    activities: Counter[str] = field(default_factory=Counter)
    others: dict[int, float] = field(default_factory=dict)
    """Processor time of other threads, by their native identities."""

    def add(
        self, activity: str, wait: float, seconds: float, cpu: float | None, others: list[tuple[int, float]]
    ) -> None:
        """Take one sample into account."""
        self.samples += 1
        self.seconds += seconds
        self.activities[activity] += 1
        self.waited += wait
        self.longest_wait = max(self.longest_wait, wait)
        if cpu is not None:
            self.cpu_seconds = (self.cpu_seconds or 0.0) + cpu
        for thread, time in others:
            self.others[thread] = self.others.get(thread, 0.0) + time

    def busiest(self) -> tuple[int, float] | None:
        """The other thread that computed most."""
        return max(self.others.items(), key=lambda item: item[1], default=None)

    @property
    def kept_long(self) -> bool:
        """Whether the watchdog got the interpreter only at the end of the blockage."""
        return self.longest_wait >= _LONG and self.waited >= _KEPT * self.seconds

    def cause(self) -> str:
        """One word of those that `Blockage.cause` lists."""
        if not self.samples or not self.seconds or self.cpu_seconds is None:
            return "unknown"
        own = self.cpu_seconds / self.seconds
        busiest = self.busiest()
        other = busiest[1] / self.seconds if busiest else 0.0
        usual = self.activities.most_common(1)[0][0]
        if own >= _SHARE and own >= other:
            return "computes"
        if usual == "blocked":
            return "system call"
        if other > own and self.waited / self.samples >= sys.getswitchinterval() / 2:
            return "interpreter"
        if usual == "futex":
            return "interpreter" if self.kept_long else "lock"
        if usual == "runs":
            return "interpreter" if own < _LITTLE and other >= _SHARE else "processor"
        return "unknown"
