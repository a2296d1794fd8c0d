"""Courses: what a search had found after how many device-seconds."""

import bisect
import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Course:
    """One search on one landscape.

    Attributes:
        arm: Which search.
        world: Name of the world.
        number: Which instance of it.
        seed: Of the search.
        workers: Trainings at once.
        seconds: Device-seconds at which something was learnt, rising.
        bpb: True fitness of what the search would hand over then.
        trials: How many there were.
        operators: How many variants each operator of the engine made; empty for a rival.
        claims: True gain, in bpb, of each champion over the one before it, by how it was named;
            empty for a rival.
        places: Where the truth lies in what the engine believes at the end, from 0 to 1, of
            fitnesses and of edits (`benchmarks.coverage`); empty for a rival.
    """

    arm: str
    world: str
    number: int
    seed: int
    workers: int
    seconds: list[float] = field(default_factory=list)
    bpb: list[float] = field(default_factory=list)
    trials: int = 0
    operators: dict[str, int] = field(default_factory=dict)
    claims: dict[str, list[float]] = field(default_factory=dict)
    places: dict[str, list[float]] = field(default_factory=dict)

    def add(self, seconds: float, bpb: float | None) -> None:
        """What is handed over after so many device-seconds; told only where it changes."""
        value = math.inf if bpb is None else bpb
        if not self.bpb or self.bpb[-1] != value:
            self.seconds.append(seconds)
            self.bpb.append(value)

    def at(self, seconds: float, start: float) -> float:
        """What was handed over at a moment; before the first result, the start."""
        place = bisect.bisect_right(self.seconds, seconds)
        return self.bpb[place - 1] if place else start
