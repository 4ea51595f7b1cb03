"""What was measured: samples per contender, and the arithmetic that the table and the chart share."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.contenders import NO_RIVALS, YIBU


@dataclass(frozen=True)
class Ratio:
    """How many times dearer one contender is than another, round by round."""

    middle: float
    low: float
    high: float


@dataclass
class Measurement:
    """One line of the table. Smaller is better in every unit."""

    topic: str
    name: str
    unit: str
    #: One sample a round, in the order of the rounds, for every contender that took part.
    samples: dict[str, list[float]] = field(default_factory=dict)
    #: Why a contender has no samples.
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, contender: str, sample: float) -> None:
        """Take the sample of one more round."""
        self.samples.setdefault(contender, []).append(sample)

    def fail(self, contender: str, reason: str) -> None:
        """Drop a contender from this line: its rounds could not be compared any more."""
        self.samples.pop(contender, None)
        self.failures[contender] = reason

    def typical(self, contender: str) -> float:
        """The middle of a contender's samples."""
        return median(self.samples[contender])

    def best_rival(self) -> str | None:
        """The cheapest contender that is neither yibu nor the floor."""
        rivals = (name for name in self.samples if name not in NO_RIVALS)
        return min(rivals, key=self.typical, default=None)

    def ratio(self, rival: str | None, contender: str = YIBU.name) -> Ratio | None:
        """How many times a rival's cost is that of `contender`.

        Rounds are compared one by one, since what disturbs the machine disturbs neighbours alike.
        """
        if rival not in self.samples or contender not in self.samples:
            return None
        pairs = list(zip(self.samples[rival], self.samples[contender], strict=True))
        if any(own <= 0 for _, own in pairs):
            return None
        ratios = [other / own for other, own in pairs]
        return Ratio(median(ratios), min(ratios), max(ratios))


@dataclass
class Run:
    """One whole run: where it happened, who took part, and every line."""

    python: str
    machine: str
    rounds: int
    #: The contenders in the order of the columns, with their versions.
    versions: dict[str, str]
    #: Contenders that are not there, with the reason.
    missing: dict[str, str]
    measurements: list[Measurement] = field(default_factory=list)
    #: The versions of the libraries that were measured on these loops, where there are any.
    libraries: dict[str, str] = field(default_factory=dict)

    def columns(self, measurements: list[Measurement]) -> list[str]:
        """The contenders that took part in any of the lines, in a fixed order."""
        seen = {name for line in measurements for name in (*line.samples, *line.failures)}
        rest = [name for base in self.versions for name in (base, f"{base}/m")]
        ordered = list(dict.fromkeys([*NO_RIVALS, *rest]))
        return [name for name in ordered if name in seen]

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read what `save` wrote."""
        fields = json.loads(path.read_text())
        lines = [Measurement(**line) for line in fields.pop("measurements")]
        return cls(**fields, measurements=lines)
