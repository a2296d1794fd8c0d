"""Which search finds most for its device-seconds? The engine and its rivals on known worlds.

The engine is the run's own code with virtual trainings (``benchmarks/world_search.py``), with its
shipped settings; what rivals are is in ``benchmarks/rivals.py``, what worlds are in
``benchmarks/worlds.py``. Every search sees the same instances of a world, and the budget counts
device-seconds: a crash, a run stopped early and a run of the baseline cost what they take.

What the engine would hand over is its champion before any verdict, whose pairs would cost more;
what a rival would is its best score.

Reported for each world and number of workers: the true gain over the baseline of what a search
would hand over, after the device-seconds of 100 and 300 whole trainings, with 95 % t-intervals over
instances; and the device-seconds that keep/revert needs on average to have what the engine has at
300, over the engine's, with a bootstrap interval over instances.

    python -m benchmarks.search --worlds plain rugged --workers 1 16 --instances 4

What was searched is kept in the folder, so that the same command goes on where it was ended.
"""

import argparse
import functools
import hashlib
import json
import math
import os
import statistics
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.courses import Course
from benchmarks.effects import Interval
from benchmarks.rivals import RIVALS, played_out
from benchmarks.world_search import evolved
from benchmarks.worlds import FULL_SECONDS, KEPT_WORLDS, SETUP_SECONDS, WORLDS, Landscape

ENGINE = "evoresearch"
REFERENCE = "keep/revert"
WHOLE = SETUP_SECONDS + FULL_SECONDS  # device-seconds of one whole training
MARKS = (100, 300)  # budgets told, in whole trainings
SAMPLES = 2000  # of the bootstrap


@dataclass(frozen=True, slots=True)
class Asked:
    """One search to make."""

    arm: str
    world: str
    number: int
    workers: int
    trainings: int

    @property
    def key(self) -> str:
        """What its course is kept under."""
        name = self.arm.replace("/", "-").replace(" ", "-")
        return f"{name}-{self.world}-{self.number}-{self.workers}-{self.trainings}"


def search(asked: Asked) -> Course:
    """Make one search."""
    landscape = Landscape((WORLDS | KEPT_WORLDS)[asked.world], asked.number)
    seconds = asked.trainings * WHOLE
    if asked.arm == ENGINE:
        return evolved(landscape, asked.number, workers=asked.workers, device_seconds=seconds)
    return played_out(
        asked.arm, landscape, asked.number, workers=asked.workers, device_seconds=seconds
    )


def all_asked(options: argparse.Namespace) -> list[Asked]:
    """Every search of the tables; keep/revert goes on for longer, to be seen to catch up."""
    return [
        Asked(
            arm,
            world,
            number,
            workers,
            options.trainings * (options.patience if arm == REFERENCE else 1),
        )
        for world in options.worlds
        for workers in options.workers
        for arm in options.arms
        for number in range(options.instances)
    ]


def searched(asked: Sequence[Asked], folder: Path, jobs: int) -> list[Course]:
    """The courses, from the folder where it has them of the same code."""
    places = {one: folder / code_of(one.arm) / f"{one.key}.json" for one in asked}
    missing = [one for one in asked if not places[one].is_file()]
    with Progress(transient=True) as progress, ProcessPoolExecutor(jobs) as pool:
        task = progress.add_task("searches", total=len(asked), completed=len(asked) - len(missing))
        waiting = [pool.submit(_kept, one, places[one]) for one in missing]
        try:
            for done in as_completed(waiting):
                done.result()
                progress.advance(task)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [Course(**json.loads(place.read_text())) for place in places.values()]


def _kept(asked: Asked, place: Path) -> None:
    """Search and keep the course: a search is lost with nobody but itself."""
    place.parent.mkdir(parents=True, exist_ok=True)
    course = search(asked)
    partial = place.with_suffix(f".partial-{os.getpid()}")
    partial.write_text(json.dumps(asdict(course)))
    partial.rename(place)


@functools.cache
def code_of(arm: str) -> str:
    """What an arm's courses follow from: a hash of the code that searches and of the worlds."""
    root = Path(__file__).parents[1]
    paths = [root / "benchmarks" / f"{name}.py" for name in ("courses", "worlds", "rivals")]
    paths += [root / "agents" / "knob_moves.py"]
    if arm == ENGINE:
        folders = ("agents", "evolution", "population")
        paths += [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
        paths += [root / "benchmarks" / "world_search.py"]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def gains(courses: Iterable[Course], trainings: float) -> list[float]:
    """True gain of each over the baseline, in mbpb, by instance."""
    start = Landscape.start_bpb
    ordered = sorted(courses, key=lambda course: course.number)
    return [1000 * (start - course.at(trainings * WHOLE, start)) for course in ordered]


def interval(values: Sequence[float]) -> float:
    """Half of the 95 % t-interval of a mean."""
    return Interval.of(values).half_width if len(values) > 1 else math.inf


def catching_up(
    ours: Sequence[Course], theirs: Sequence[Course], trainings: int, patience: int
) -> tuple[float, float, float]:
    """How many times our device-seconds others need on average for what we have at the end.

    Returns:
        The ratio and the ends of its bootstrap interval; ``patience`` where they never have it.
    """
    grid = np.linspace(0.0, patience, 100 * patience + 1)
    target = np.array(gains(ours, trainings))
    curves = np.array([gains(theirs, float(share) * trainings) for share in grid])
    rng = np.random.default_rng(0)
    picks = rng.integers(len(target), size=(SAMPLES, len(target)))

    def ratio(chosen: np.ndarray) -> float:
        mean, wanted = curves[:, chosen].mean(axis=1), target[chosen].mean()
        place = int(np.argmax(mean >= wanted))
        if mean[place] < wanted:
            return float(patience)
        if place == 0:
            return 0.0
        rise = mean[place] - mean[place - 1]
        return float(grid[place] - (grid[1] - grid[0]) * (mean[place] - wanted) / rise)

    low, high = np.quantile([ratio(chosen) for chosen in picks], [0.025, 0.975])
    return ratio(np.arange(len(target))), float(low), float(high)


def report(courses: Sequence[Course], options: argparse.Namespace) -> Table:
    """One row for each world and number of workers."""
    marks = [mark for mark in MARKS if mark <= options.trainings]
    table = Table(title="true gain in mbpb")
    for column in ("world", "workers", "arm", *(f"at {mark}" for mark in marks)):
        table.add_column(column)
    table.add_column(f"device-seconds for our gain at {options.trainings}, of ours")
    for world in options.worlds:
        for workers in options.workers:
            here = [c for c in courses if c.world == world and c.workers == workers]
            ours = [c for c in here if c.arm == ENGINE]
            for arm in options.arms:
                of_arm = [c for c in here if c.arm == arm]
                cells = [
                    f"{statistics.fmean(values):+.1f} ± {interval(values):.1f}"
                    for values in (gains(of_arm, mark) for mark in marks)
                ]
                times = ""
                if arm == REFERENCE and ours:
                    patience = options.patience
                    found = catching_up(ours, of_arm, options.trainings, patience)
                    words = [f"{'≥ ' if one >= patience else ''}{one:.2f}" for one in found]
                    times = f"{words[0]} ({words[1]} to {words[2]})"
                table.add_row(world, str(workers), arm, *cells, times)
    return table


def main() -> None:
    """Search, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    everything = [*WORLDS, *KEPT_WORLDS]
    parser.add_argument("--worlds", nargs="+", choices=everything, default=list(WORLDS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--arms", nargs="+", choices=[ENGINE, *RIVALS], default=[ENGINE, *RIVALS])
    parser.add_argument("--instances", type=int, default=8, help="of each world, 2 or more")
    parser.add_argument("--trainings", type=int, default=300, help="whole ones, of each search")
    parser.add_argument("--patience", type=int, default=8, help="times that for keep/revert")
    parser.add_argument("--jobs", type=int, default=1, help="searches at once")
    parser.add_argument("--folder", type=Path, default=Path("build/search"))
    options = parser.parse_args()
    courses = searched(all_asked(options), options.folder, options.jobs)
    Console().print(report(courses, options))


if __name__ == "__main__":
    main()
