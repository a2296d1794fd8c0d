"""Which search finds most for its device-seconds? The engine and its rivals on known worlds.

The engine is the run's own code with virtual trainings (``benchmarks/world_search.py``), with its
shipped settings; rivals are in ``benchmarks/rivals.py``, ``tuners.py`` and ``open_evolve.py``
(left out where it is not installed), worlds in ``worlds.py``.
Every search sees the same instances of a world, and the budget counts device-seconds: a crash, a
run stopped early and a run of the baseline cost what they take.

What the engine would hand over is its champion before any verdict, whose pairs would cost more;
what a rival would is its best score.

Reported for each world and number of workers: the true gain over the baseline of what a search
would hand over, after the device-seconds of 100 and of all whole trainings, with 95 % t-intervals
over instances; and the device-seconds that keep/revert needs on average to have what the engine has
at the end, over the engine's, with a bootstrap interval over instances.

    python -m benchmarks.search --worlds plain rugged --workers 1 16 --instances 4

What was searched is kept in the folder, so that the same command goes on where it was ended.
"""

import argparse
import functools
import hashlib
import itertools
import json
import math
import os
import shlex
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.ablations import ABLATIONS
from benchmarks.courses import Course
from benchmarks.coverage import covered
from benchmarks.effects import Interval
from benchmarks.open_evolve import OPEN_EVOLVES, missing, open_evolved
from benchmarks.rivals import RIVALS, Proposer, Rival, played_out
from benchmarks.search_results import Result, markdown, save_figure
from benchmarks.tuners import TUNERS
from benchmarks.world_search import evolved
from benchmarks.worlds import FULL_SECONDS, KEPT_WORLDS, SETUP_SECONDS, WORLDS, Landscape
from evolution.diagnostics import jeffreys

ENGINE = "evoresearch"
EVERY_RIVAL: Mapping[str, Callable[[Proposer], Rival]] = {**RIVALS, **TUNERS}
ABLATED = {f"{ENGINE} {change}": settings for change, settings in ABLATIONS.items()}
OURS: Mapping[str, Mapping[str, Any]] = {ENGINE: {}, **ABLATED}
EVERY_ARM = (ENGINE, *EVERY_RIVAL, *OPEN_EVOLVES, *ABLATED)
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
    if asked.arm in OURS:
        course = evolved(
            landscape,
            asked.number,
            workers=asked.workers,
            device_seconds=seconds,
            settings=OURS[asked.arm],
        )
        course.arm = asked.arm
        return course
    if asked.arm in OPEN_EVOLVES:
        return open_evolved(
            asked.arm, landscape, asked.number, workers=asked.workers, device_seconds=seconds
        )
    return played_out(
        asked.arm,
        EVERY_RIVAL[asked.arm],
        landscape,
        asked.number,
        workers=asked.workers,
        device_seconds=seconds,
    )


def arms_of(asked: Sequence[str] | None, lack: str | None) -> Sequence[str]:
    """The arms to search with: those asked for, or else all that are there but for ablations.

    Args:
        asked: On the command line; None for all.
        lack: Why OpenEvolve is not there; None where it is.

    Raises:
        ValueError: It was asked for and is not there.
    """
    there = [arm for arm in EVERY_ARM if lack is None or arm not in OPEN_EVOLVES]
    if not set(asked or ()) <= set(there):
        raise ValueError(lack)
    return asked or [arm for arm in there if arm not in ABLATED]


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
    of_arm = ("world_search", "coverage") if arm in OURS else ("rivals",)
    of_arm += ("ablations",) if arm in ABLATED else ()
    of_arm += ("tuners",) if arm in TUNERS else ()
    of_arm += ("open_evolve", "virtual_pool") if arm in OPEN_EVOLVES else ()
    paths = [root / "benchmarks" / f"{name}.py" for name in ("courses", "worlds", *of_arm)]
    if arm in OURS:
        folders = ("agents", "evolution", "population")
        paths += [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    else:
        paths += [root / "agents" / "knob_moves.py"]
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


def report(courses: Sequence[Course], options: argparse.Namespace) -> Result:
    """One row for each world, number of workers and search; one for all worlds together."""
    marks = [*(mark for mark in MARKS if mark < options.trainings), options.trainings]
    last = f"device-seconds for our gain at {options.trainings}, of ours"
    columns = ("world", "workers", "search", *(f"at {mark}" for mark in marks), last)
    rows: list[Sequence[str]] = []
    for workers in options.workers:
        ratios = []
        for world in options.worlds:
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
                    found = catching_up(ours, of_arm, options.trainings, options.patience)
                    ratios.append(found[0])
                    words = [f"{'≥ ' if x >= options.patience else ''}{x:.2f}" for x in found]
                    times = f"{words[0]} ({words[1]} to {words[2]})"
                rows.append((world, str(workers), arm, *cells, times))
        if len(ratios) > 1:
            mean = f"{statistics.fmean(ratios):.2f}"
            blanks = [""] * len(marks)
            rows.append(("mean of worlds", str(workers), REFERENCE, *blanks, mean))
    title = (
        f"true gain in mbpb after so many whole trainings; {options.instances} instances, ± 95 %"
    )
    return Result(title, columns, rows)


def report_claims(courses: Iterable[Course]) -> Result:
    """How many of the champions that the engine named were no better than the one before."""
    named: dict[tuple[str, int], list[float]] = {}
    for course in (course for course in courses if course.arm == ENGINE):
        for how, values in course.claims.items():
            named.setdefault((how, course.workers), []).extend(values)
    rows = []
    for (how, workers), values in sorted(named.items()):
        false = sum(value <= 0 for value in values)
        share = f"{false / len(values):.1%}" if values else ""
        low, high = jeffreys(false, len(values))
        rows.append((how, str(workers), str(len(values)), share, f"{low:.1%} to {high:.1%}"))
    columns = ("named by", "workers", "champions", "not better than the one before", "95 %")
    return Result("champions of the engine, by how they were named", columns, rows)


def report_places(courses: Iterable[Course]) -> Result:
    """How often the engine's 95 % intervals hold the truth at the end of a search, by world."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    for course in (course for course in courses if course.arm == ENGINE):
        for what, values in course.places.items():
            found.setdefault((what, course.world), []).append(values)
    rows = []
    for (what, world), searches in sorted(found.items()):
        inside, total = covered(itertools.chain.from_iterable(searches))
        shares = [hits / count for hits, count in map(covered, searches) if count]
        spread = f"± {100 * interval(shares):.1f}" if len(shares) > 1 else ""
        share = f"{inside / total:.1%}" if total else ""
        rows.append((what, world, str(len(shares)), str(total), share, spread))
    columns = ("of", "world", "searches", "intervals", "hold the truth", "mean of searches, 95 %")
    return Result("95 % intervals of the engine at the end of its searches", columns, rows)


def _of_this_machine() -> argparse.ArgumentParser:
    """Options that change nothing in what is found."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--jobs", type=int, default=1, help="searches at once")
    parser.add_argument("--folder", type=Path, default=Path("build/search"))
    parser.add_argument("--keep", type=Path, help="a folder for the table and a figure of it")
    return parser


def main() -> None:
    """Search, then print the table."""
    here = _of_this_machine()
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0], parents=[here])
    everything = [*WORLDS, *KEPT_WORLDS]
    parser.add_argument("--worlds", nargs="+", choices=everything, default=list(WORLDS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--arms", nargs="+", choices=EVERY_ARM)
    parser.add_argument("--instances", type=int, default=8, help="of each world, 2 or more")
    parser.add_argument("--trainings", type=int, default=300, help="whole ones, of each search")
    parser.add_argument("--patience", type=int, default=8, help="times that for keep/revert")
    options = parser.parse_args()
    lack, asked = missing(), options.arms
    try:
        options.arms = arms_of(asked, lack)
    except ValueError as error:
        parser.error(str(error))
    if lack is not None and asked is None:
        Console().print(f"Left out {' and '.join(OPEN_EVOLVES)}: {lack}")
    courses = searched(all_asked(options), options.folder, options.jobs)
    result = report(courses, options)
    results = (result, report_claims(courses), report_places(courses))
    Console().print(*(one.table() for one in results))
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        command = f"python -m benchmarks.search {shlex.join(here.parse_known_args()[1])}"
        page = markdown(command, results)
        (options.keep / "search.md").write_text(page, encoding="utf-8")
        save_figure(courses, options.keep / "search.png", seconds=WHOLE, most=options.trainings)


if __name__ == "__main__":
    main()
