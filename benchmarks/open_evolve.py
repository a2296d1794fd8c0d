"""OpenEvolve 0.4 as a rival: its own search, with the proposer that all rivals have.

Its database (islands, niches, archive, migration), scheduling, prompts and diffs are its own code
with the settings it ships, on workers in virtual time (``virtual_pool.py``). A stand-in for its
model is given the parent, draws an edit with `Proposer` and answers with SEARCH/REPLACE blocks;
another one for its evaluator measures on the world. As with real workers

- a parent is drawn when its iteration is handed in: up to twice as many as there are workers, the
  same number for each island, one at least; what ends while it waits its proposal does not know;
- a crash scores 0, any other training 2 − val_bpb, and what it would hand over is its best score;
- an edit that changes nothing is turned down before it trains, and costs nothing.

One thing is told otherwise: the baseline trains before anything else, and that the other workers
wait for it is not counted, which is rather to its favour.

A model may take over what it is shown of other programs, which OpenEvolve calls inspirations, so
there are two arms: one whose stand-in only edits the parent, and one where a third of the answers
are the parent's union with an inspiration that trained, as in the GA. What worlds cannot show:
niches are by length and characters of the text, which here say nothing of what it does.

``pip install -e '.[rivals]'`` installs OpenEvolve.
"""

import asyncio
import importlib.metadata
import logging
import random
import sys
from collections.abc import Callable, Iterator, Mapping, MutableSet, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from benchmarks.courses import Course
from benchmarks.rivals import Proposer
from benchmarks.virtual_pool import VirtualPool
from benchmarks.worlds import Landscape

#: The arms, with the share of answers that are unions.
OPEN_EVOLVES: Mapping[str, float] = {"OpenEvolve": 0.0, "OpenEvolve with unions": 0.33}
VERSION = "0.4.0"  # its internals are driven, so it has to be this one
SCORE = "combined_score"  # the metric that it goes by
ENDLESS = sys.maxsize  # iterations: device-seconds end it
NOTHING_CHANGED = "Diff did not change the parent program"  # its own words


def missing() -> str | None:
    """Why OpenEvolve cannot be searched with; None where it can."""
    try:
        found = importlib.metadata.version("openevolve")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found == VERSION:
        return None
    return (
        f"OpenEvolve as a rival is openevolve {VERSION}, but {found} is installed: "
        "run `pip install -e '.[rivals]'`, or leave its arms out"
    )


class Answer(Protocol):
    """What came of an iteration."""

    error: str | None


@dataclass  # without slots: OpenEvolve reads vars()
class StandIn:
    """What OpenEvolve takes for a model and for an evaluator.

    Attributes:
        proposer: Draws the edits.
        unions: Share of answers that are unions of the parent and an inspiration.
        parent: The genome that is to be edited.
        inspirations: Genomes that trained, of those that the model is shown.
        seconds: Of a device, of what was evaluated last.
        troubles: What went wrong; OpenEvolve itself would go on.
    """

    proposer: Proposer
    unions: float = 0.0
    model: str = "stand-in"
    last_usage: None = None
    parent: str = ""
    inspirations: Sequence[str] = ()
    seconds: float = 0.0
    troubles: list[str] = field(default_factory=list)

    def play(
        self,
        work: Callable[..., Answer],
        iteration: int,
        known: Mapping[str, Any],
        parent: str,
        inspirations: Sequence[str],
    ) -> tuple[float, object]:
        """One iteration, done by OpenEvolve's own ``work`` on what was known when it was handed in.

        In a thread of its own, because it starts an event loop.
        """
        self.parent, self.seconds = known["programs"][parent]["code"], 0.0
        shown = [known["programs"][each] for each in inspirations]
        self.inspirations = [one["code"] for one in shown if one["metrics"][SCORE] > 0]
        with ThreadPoolExecutor(1) as thread:
            result = thread.submit(work, iteration, known, parent, inspirations).result()
        if result.error and result.error != NOTHING_CHANGED:
            self.troubles.append(result.error)
        return self.seconds, result

    async def generate_with_context(
        self, _system: str, messages: Sequence[Mapping[str, str]], **_: object
    ) -> str:
        """An edit of the parent that the prompt shows, as a diff."""
        if self.parent not in messages[-1]["content"]:
            raise ValueError("the prompt does not show the parent")
        return blocks(self.parent, self._union() or self.proposer.mutant(self.parent))

    def _union(self) -> str | None:
        rng = self.proposer.rng
        if not self.inspirations or rng.random() >= self.unions:
            return None
        other = self.inspirations[int(rng.integers(len(self.inspirations)))]
        return self.proposer.union(self.parent, other)

    async def evaluate_program(self, code: str, _id: str) -> dict[str, float]:
        """The score of one training."""
        measured = self.proposer.landscape.measure(code, int(self.proposer.rng.integers(2**31)))
        self.seconds = measured.seconds
        return {SCORE: 0.0 if measured.bpb is None else 2.0 - measured.bpb}

    def get_pending_artifacts(self, _id: str) -> None:
        """No output to be read."""


def blocks(before: str, after: str) -> str:
    """SEARCH/REPLACE blocks that make one genome of another: one a line, as no line is twice."""
    pairs = zip(before.split("\n"), after.split("\n"), strict=True)
    changed = [(old, new) for old, new in pairs if old != new] or [(before, before)]
    return "\n".join(
        f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE" for old, new in changed
    )


class Ordered(MutableSet[str]):
    """A set that is read in the order in which it was filled, so that draws from it replay."""

    def __init__(self) -> None:
        self._members: dict[str, None] = {}

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, value: str) -> None:
        """Put one in."""
        self._members[value] = None

    def discard(self, value: str) -> None:
        """Take one out, if it is there."""
        self._members.pop(value, None)


@contextmanager
def _overheard(troubles: list[str]) -> Iterator[None]:
    """Note the errors that OpenEvolve logs and goes on after; leave its chatter out."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            troubles.append(record.getMessage())

    logger, notes = logging.getLogger("openevolve"), Notes(logging.ERROR)
    before = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.addHandler(notes)
    try:
        yield
    finally:
        logger.removeHandler(notes)
        logger.setLevel(before[0])
        logger.propagate = before[1]


@contextmanager
def _lent_chance() -> Iterator[None]:
    """OpenEvolve seeds and draws from the global generator: put it back afterwards."""
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


def open_evolved(
    arm: str, landscape: Landscape, seed: int, *, workers: int, device_seconds: float
) -> Course:
    """One search of OpenEvolve, in virtual time.

    Args:
        arm: One of `OPEN_EVOLVES`.
        landscape: Searched.
        seed: Of all chance of the search.
        workers: Trainings at once.
        device_seconds: To spend, of all workers together.

    Raises:
        RuntimeError: OpenEvolve is not there, or something went wrong in it.
    """
    lack = missing()
    if lack is not None:
        raise RuntimeError(lack)
    rng = np.random.default_rng([seed, *arm.encode()])
    stand_in = StandIn(Proposer(landscape, rng), OPEN_EVOLVES[arm])
    course = Course(arm, landscape.world.name, landscape.number, seed, workers)
    with _overheard(stand_in.troubles), _lent_chance():
        _play_out(course, stand_in, device_seconds)
    if stand_in.troubles:
        raise RuntimeError(f"OpenEvolve went wrong: {'; '.join(stand_in.troubles[:3])}")
    return course


def _play_out(course: Course, stand_in: StandIn, device_seconds: float) -> None:
    from openevolve import process_parallel
    from openevolve.config import Config, LLMModelConfig
    from openevolve.database import Program, ProgramDatabase

    landscape = stand_in.proposer.landscape
    config = Config(random_seed=int(stand_in.proposer.rng.integers(2**31)), language="python")
    config.max_code_length = max(config.max_code_length, 2 * len(landscape.start))
    config.llm.models = [LLMModelConfig(name=stand_in.model, init_client=lambda _: stand_in)]
    config.evaluator.parallel_evaluations = course.workers
    config.database.random_seed = config.random_seed
    database = ProgramDatabase(config.database)
    database.islands = [Ordered() for _ in database.islands]
    database.archive = Ordered()

    score = asyncio.run(stand_in.evaluate_program(landscape.start, "baseline"))
    database.add(Program("baseline", landscape.start, language="python", metrics=score))

    def look(spent: float) -> None:
        course.add(spent, landscape.truth(database.get(database.best_program_id).code))

    controller = process_parallel.ProcessParallelController(config, "", database)
    controller.executor = pool = VirtualPool(
        course.workers,
        device_seconds,
        stand_in.play,
        look,
        controller.request_shutdown,
        stand_in.troubles,
        now=stand_in.seconds / course.workers,
        started=1,
    )
    process_parallel._worker_init(controller._serialize_config(config), "")
    process_parallel._worker_evaluator = stand_in
    asyncio.run(controller.run_evolution(1, ENDLESS))
    look(pool.now * course.workers)
    course.trials = pool.started
