"""How a run goes: who takes part, how often, how much. Made by `run.py`, followed by every `measure`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.contenders import Contender

Item = TypeVar("Item")


@dataclass(frozen=True)
class Plan:
    """What all benchmarks of a run have in common."""

    #: The interpreter to measure with.
    python: str
    contenders: Sequence[Contender]
    rounds: int
    #: The part of the usual work that is done.
    scale: float

    def scaled(self, count: int) -> int:
        """How many operations to do where the usual number is `count`."""
        return max(int(count * self.scale), 1)

    def announce(self, round_number: int, key: str) -> None:
        """Show on a terminal what is being measured."""
        show(f"round {round_number + 1}/{self.rounds}  {key}")


def show(line: str) -> None:
    """Replace the line of progress, if there is a terminal for one."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)


def rotated(items: Sequence[Item], turn: int) -> list[Item]:
    """The items in their order, but beginning with another one each turn."""
    first = turn % len(items)
    return [*items[first:], *items[:first]]
