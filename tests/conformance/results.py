"""What a whole run found out: filled by `runner`, judged by `expectations`, shown by `report`."""

from dataclasses import dataclass, field

from .outcome import Outcome


@dataclass
class ModuleResults:
    """One module of tests, as loaded and as run."""

    label: str
    # Test id -> reason of a decorator's skip or None. Of the untouched asyncio, and of the implementation.
    reference: dict[str, str | None] = field(default_factory=dict)
    loaded: dict[str, str | None] = field(default_factory=dict)
    excluded: dict[str, tuple[str, str]] = field(default_factory=dict)  # id -> kind and reason
    planned: list[str] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    troubles: list[str] = field(
        default_factory=list
    )  # of processes, modules and fixtures; each fails the run
    skipped_because: str = ""  # the whole module is for another platform
    seconds: float = 0.0

    def count(self, *states: str) -> int:
        return sum(outcome.state in states for outcome in self.outcomes.values())


@dataclass
class Results:
    """All of a run."""

    implementation: str
    python: str
    complete: bool  # no module or test was left out by request
    modules: dict[str, ModuleResults] = field(default_factory=dict)
