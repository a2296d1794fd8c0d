"""Metric: what a run's score is called and which way it is better."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from population.fitness import INTERVAL, Fitness
from population.records import Json


class Direction(StrEnum):
    """Which way a metric is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True, slots=True)
class Metric:
    """The number that a run improves.

    A run keeps every score so that lower is better, in fields that are called ``val_bpb`` after the
    usual metric: of a metric that is maximised it keeps the negative. Whoever shows a score to
    people shows ``shown(score)`` under ``name``.

    Attributes:
        name: What trainers and people call it.
        direction: Which way it is better.
        unit: Of its values; "" if it has none.
    """

    name: str = "val_bpb"
    direction: Direction = Direction.MINIMIZE
    unit: str = "bpb"

    def kept(self, value: float) -> float:
        """The score that is kept for a value of the metric."""
        return -value if self.direction is Direction.MAXIMIZE else value

    def shown(self, score: float) -> float:
        """The value of the metric behind a score that is kept."""
        return self.kept(score)

    def words(self, fitness: Fitness) -> str:
        """A fitness as people read it, ± 95 %, under the metric's name."""
        if fitness.mean is None or self == Metric():
            return f"{self.name} {fitness}"
        return f"{self.name} {self.shown(fitness.mean):.6g} ± {INTERVAL * fitness.sd:.2g}"

    def to_json(self) -> dict[str, str]:
        """As the store keeps it."""
        return {key: str(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, fact: Json) -> "Metric":
        """What the store kept; a run that kept nothing has the usual metric."""
        if not isinstance(fact, dict):
            return cls()
        return cls(str(fact["name"]), Direction(str(fact["direction"])), str(fact["unit"]))
