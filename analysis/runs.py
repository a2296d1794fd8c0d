"""Runs: opens one for reading, the sample that lies in the checkout by default."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from population import Branches, EvolveError, Metric, RunPaths, Store, Variant

#: A small real run, made by ``make sample``; only a checkout has it.
SAMPLE = Path(__file__).parent / "sample"
#: Names the run that notebooks read when they are not told of one.
RUN_VARIABLE = "EVOLVE_RUN"


class RunPlaceError(EvolveError):
    """There is no run where one was said to be."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run open for reading; close it after use, or use it as a context."""

    paths: RunPaths
    store: Store

    @property
    def metric(self) -> Metric:
        """What its score is called and which way it is better."""
        return self.store.metric()

    @property
    def sigma(self) -> float | None:
        """Seed noise of one trial, as scores are kept; None until the engine knows it."""
        return fact_number(self.store, "sigma")

    @property
    def champion(self) -> Variant | None:
        """The variant of the best fitness; None while nothing is scored."""
        return champion_of(self.store)

    def champion_diff(self) -> str:
        """What leads from the baseline to the champion, as a unified diff; empty without one."""
        return champion_diff(self.store, self.paths)

    def close(self) -> None:
        """Let go of the database."""
        self.store.close()

    def __enter__(self) -> "OpenRun":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_run(folder: Path | str | None = None) -> OpenRun:
    """Open the run in ``folder`` for reading; a live one is not disturbed.

    Args:
        folder: Such as ``runs/night-1``. By default the environment's ``EVOLVE_RUN``, else the
            sample run of the checkout.

    Raises:
        RunPlaceError: There is no run.
        population.SchemaError: Another version of the program wrote it.
    """
    place = Path(folder or os.environ.get(RUN_VARIABLE) or SAMPLE)
    paths = RunPaths(place)
    if not paths.database.is_file():
        raise RunPlaceError(
            f"The folder {place} holds no run.db, but the folder of a run is needed, such as "
            f"runs/night-1. Name one with open_run(FOLDER) or the variable {RUN_VARIABLE}; "
            "`make sample` makes the sample run."
        )
    return OpenRun(paths, Store.open(paths.database, read_only=True))


def champion_of(store: Store) -> Variant | None:
    """The variant of the best fitness; None while nothing is scored."""
    best = store.champion()
    return None if best is None else store.variant(best)


def champion_diff(store: Store, paths: RunPaths) -> str:
    """What leads from the baseline to the champion, as a unified diff; empty without one."""
    champion, baseline = champion_of(store), store.run().baseline
    if champion is None or baseline is None or champion.sha == baseline:
        return ""
    with Branches.open(paths.repository) as branches:
        return branches.diff(baseline, champion.sha)


def fact_number(store: Store, key: str) -> float | None:
    """A fact of the run that is a number; None if it has none."""
    found = store.fact(key)
    return float(found) if isinstance(found, int | float) else None
