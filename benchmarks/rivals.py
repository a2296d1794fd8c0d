"""Rivals: other searches on the same worlds, with the same proposer and the same workers.

Each is given what the engine is given: a genome, edits and knobs to draw from, virtual trainings
that cost device-seconds. What a rival hands over is what it believes its best: the genome of its
best score, or for keep/revert the one it has kept. Exact repeats are drawn again, also those of
what still trains.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from deap import base, tools
from numpy.random import Generator

from agents.knob_moves import Surroundings, drawn_moves
from benchmarks.courses import Course
from benchmarks.worlds import Landscape, Measured, values_of

KNOB_SHARE = 0.35 / 0.80  # of mutations, as in the engine's shipped weights of knobs and structure
DRAWS = 20  # for something that was not tried before


T = TypeVar("T")


class Rival(Protocol):
    """A search that is asked for genomes and told what became of them."""

    def ask(self) -> str:
        """A genome to train."""
        ...

    def tell(self, text: str, measured: Measured) -> None:
        """What its training gave."""
        ...

    def best(self) -> str | None:
        """What it would hand over now; None before its first score."""
        ...


class Proposer:
    """Draws edits: a part set to another option, or knobs moved as the shipped operator moves them.

    How far to move them is not learned: that is the engine's own.
    """

    def __init__(self, landscape: Landscape, rng: Generator) -> None:
        self.landscape, self.rng = landscape, rng
        self._seen = {landscape.start}

    def mutant(self, parent: str) -> str:
        """One edit of a genome, new if it can be."""
        text = parent
        for _ in range(DRAWS):
            text = self._drawn(parent)
            if text not in self._seen:
                break
        self._seen.add(text)
        return text

    def union(self, one: str, other: str) -> str | None:
        """All edits of two genomes, where both changed a thing by chance; None if it is not new.

        Unlike a textual merge it never fails on edits of one block.
        """
        landscape = self.landscape
        start = values_of(landscape.start)
        mine, theirs = landscape.options(one), landscape.options(other)
        options = {
            part: self._either(mine.get(part), theirs.get(part))
            for part in sorted({*mine, *theirs})
        }
        ours, others = values_of(one), values_of(other)
        values = {
            name: self._either(
                None if ours[name] == start[name] else ours[name],
                None if others[name] == start[name] else others[name],
            )
            for name in start
        }
        kept = {name: start[name] if value is None else value for name, value in values.items()}
        text = landscape.text({p: o for p, o in options.items() if o is not None}, kept)
        if text in self._seen:
            return None
        self._seen.add(text)
        return text

    def _either(self, one: T | None, other: T | None) -> T | None:
        if one is None or other is None:
            return other if one is None else one
        return one if self.rng.random() < 0.5 else other

    def _drawn(self, parent: str) -> str:
        if self.landscape.world.parts and self.rng.random() >= KNOB_SHARE:
            return self.landscape.edited(parent, self.rng) or parent
        values = values_of(parent)
        moves = drawn_moves(Surroundings(values, {}), list(values), self.rng)
        numbers = {name: value for name, value in moves.items() if isinstance(value, float)}
        return self.landscape.text(self.landscape.options(parent), {**values, **numbers})


@dataclass(slots=True)
class KeepOrRevert:
    """autoresearch's loop: one line of descent; a change stays where its one score is better."""

    proposer: Proposer
    kept: str = ""
    score: float = math.inf

    def ask(self) -> str:
        """The baseline first; then one edit of what is kept."""
        if not self.kept:
            self.kept = self.proposer.landscape.start
            return self.kept
        return self.proposer.mutant(self.kept)

    def tell(self, text: str, measured: Measured) -> None:
        """Keep it where it is better."""
        if measured.bpb is not None and measured.bpb < self.score:
            self.kept, self.score = text, measured.bpb

    def best(self) -> str | None:
        """What is kept."""
        return self.kept if self.score < math.inf else None


@dataclass(slots=True)
class Scored:
    """What all searches that remember their scores share."""

    proposer: Proposer
    scores: dict[str, float] = field(default_factory=dict)
    has_begun: bool = False

    def first(self) -> str | None:
        """The baseline, and until something is known its mutants; None from then on."""
        if self.scores:
            return None
        start = self.proposer.landscape.start
        has_begun, self.has_begun = self.has_begun, True
        return self.proposer.mutant(start) if has_begun else start

    def tell(self, text: str, measured: Measured) -> None:
        """Remember the score."""
        if measured.bpb is not None:
            self.scores[text] = measured.bpb

    def best(self) -> str | None:
        """The genome of the best score."""
        return min(self.scores, key=lambda text: self.scores[text], default=None)


@dataclass(slots=True)
class AnyParent(Scored):
    """Random search: every genome that trained is as likely a parent as any other."""

    def ask(self) -> str:
        """Once something trained, an edit of any of those."""
        first = self.first()
        if first is not None:
            return first
        texts = list(self.scores)
        return self.proposer.mutant(texts[int(self.proposer.rng.integers(len(texts)))])


@dataclass(slots=True)
class GeneticAlgorithm(Scored):
    """A classic GA with DEAP's operators on raw scores: (μ + λ) of 16, tournaments of three.

    A third of the offspring are unions of two, the others mutants. Workers do not wait for a
    generation: selection goes on as each offspring ends, which is rather to its favour.
    """

    size: int = 16
    crossover: float = 0.33
    population: list[str] = field(default_factory=list)

    def ask(self) -> str:
        """A union or a mutant of tournaments' winners, once the population is there."""
        proposer, first = self.proposer, self.first()
        if first is not None:
            return first
        if len(self.population) < self.size:
            return proposer.mutant(proposer.landscape.start)
        one, other = self._selected(), self._selected()
        if proposer.rng.random() < self.crossover and one != other:
            text = proposer.union(one, other)
            if text is not None:
                return text
        return proposer.mutant(one)

    def tell(self, text: str, measured: Measured) -> None:
        """The worst one leaves once there are enough."""
        Scored.tell(self, text, measured)
        if text in self.scores and text not in self.population:
            self.population.append(text)
            self.population.sort(key=lambda each: self.scores[each])
            del self.population[self.size :]

    def _selected(self) -> str:
        field_ = [_Member(text, _Score((-self.scores[text],))) for text in self.population]
        drawn = self.proposer.rng.integers(len(field_), size=3)
        winner: _Member = tools.selBest([field_[int(index)] for index in drawn], 1)[0]
        return winner.text


class _Score(base.Fitness):  # type: ignore[misc]
    weights = (1.0,)


@dataclass(slots=True)
class _Member:
    text: str
    fitness: _Score


@dataclass(slots=True)
class FrontierOfFour(Scored):
    """GEAR's loop (arXiv 2605.13874): a frontier of four with roles, parents by an upper bound.

    The frontier holds the two best, the leanest of the best eight, and the one of them least like
    the best. A parent is drawn by UCB1 over the mean gain of its children, in the spread of all
    gains; each fourth offspring is a union of two of the frontier.
    """

    parent_of: dict[str, str] = field(default_factory=dict)
    gains: dict[str, list[float]] = field(default_factory=dict)
    asked: int = 0

    def ask(self) -> str:
        """A mutant of the most promising of the frontier, or a union with another of it."""
        proposer, first = self.proposer, self.first()
        if first is not None:
            return first
        self.asked += 1
        frontier = self._frontier()
        parent = max(frontier, key=self._bound)
        if self.asked % 4 == 0 and len(frontier) > 1:
            others = [text for text in frontier if text != parent]
            text = proposer.union(parent, others[int(proposer.rng.integers(len(others)))])
            if text is not None:
                self.parent_of[text] = parent
                return text
        text = proposer.mutant(parent)
        self.parent_of[text] = parent
        return text

    def tell(self, text: str, measured: Measured) -> None:
        """A child's gain is its parent's merit; a crash is a gain of nothing."""
        Scored.tell(self, text, measured)
        parent = self.parent_of.get(text)
        if parent is not None:
            gain = 0.0 if measured.bpb is None else max(0.0, self.scores[parent] - measured.bpb)
            self.gains.setdefault(parent, []).append(gain)

    def _frontier(self) -> list[str]:
        ranked = sorted(self.scores, key=lambda text: self.scores[text])[:8]
        options = {text: self.proposer.landscape.options(text) for text in ranked}
        leanest = min(ranked, key=lambda text: len(options[text]))
        first = set(options[ranked[0]].items())
        unlike = max(ranked, key=lambda text: len(first ^ set(options[text].items())))
        return list(dict.fromkeys([*ranked[:2], leanest, unlike]))

    def _bound(self, text: str) -> float:
        gains = self.gains.get(text, [])
        if not gains:
            return math.inf
        spread = float(np.std([gain for each in self.gains.values() for gain in each])) or 1e-9
        return float(np.mean(gains)) + spread * math.sqrt(2 * math.log(self.asked) / len(gains))


RIVALS: dict[str, Callable[[Proposer], Rival]] = {
    "keep/revert": KeepOrRevert,
    "random": AnyParent,
    "GA": GeneticAlgorithm,
    "frontier of 4": FrontierOfFour,
}


def played_out(
    arm: str,
    made: Callable[[Proposer], Rival],
    landscape: Landscape,
    seed: int,
    *,
    workers: int,
    device_seconds: float,
) -> Course:
    """One search of a rival, in virtual time.

    Args:
        arm: What the rival is called.
        made: Makes it, e.g. one of `RIVALS`.
        landscape: Searched.
        seed: Of all chance of the search.
        workers: Trainings at once.
        device_seconds: To spend, of all workers together.
    """
    rng = np.random.default_rng([seed, *arm.encode()])
    rival = made(Proposer(landscape, rng))
    course = Course(arm, landscape.world.name, landscape.number, seed, workers)
    running: list[tuple[float, int, str, Measured]] = []
    now = 0.0
    while now * workers < device_seconds:
        while len(running) < workers:
            text = rival.ask()
            measured = landscape.measure(text, int(rng.integers(2**31)))
            course.trials += 1
            heapq.heappush(running, (now + measured.seconds, course.trials, text, measured))
        now, _, text, measured = heapq.heappop(running)
        rival.tell(text, measured)
        best = rival.best()
        if best is not None:
            course.add(now * workers, landscape.truth(best))
    return course
