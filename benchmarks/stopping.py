"""What would a rule for early stopping have stopped in a stored run, and what would that have cost?

Each screening trial with a snapshot is judged as it was at its moment: from the trials that had
ended before it alone. What it turned out to be worth is what the whole run says of it at the end,
which is known for trials that ran to their end: a rule can be judged only where it stops what the
run's own rule did not, and by the run's exempt trials.

    python -m benchmarks.stopping --run analysis/sample
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from evolution.belief import BPB_SIGMA, believe, readings_of
from evolution.config import StoppingSettings
from evolution.noise import Prediction, fit
from evolution.stopping import LATEST, MIN_JUDGED, Costs, costs_of, least_worth, reason_to_wait
from population import Purpose, RunPaths, Snapshot, Store, Trial, TrialStatus
from population.pedigree import VariantNode

SHIPPED = StoppingSettings()
FRACTION = SHIPPED.fraction  # where the stored run was read
THRESHOLDS = (0.15, 0.25, 0.35, 0.45)  # of the probability of beating the parent


@dataclass(frozen=True, slots=True)
class Judged:
    """One trial at its snapshot.

    Attributes:
        prediction: Of its end, against its fitter parent, at that moment.
        gain: Over that parent as the whole run has it; None for a trial without a score.
    """

    prediction: Prediction
    gain: float | None


def judged(store: Store) -> list[Judged]:
    """The trials of a run at their snapshots, in the order in which they ended."""
    belief = believe(store)
    variants = {variant.sha: variant for variant in store.variants()}
    trials = [t for t in store.trials() if t.purpose.informs and t.finished_at]
    trials.sort(key=lambda trial: trial.finished_at or 0.0)
    nodes = [VariantNode.of(variant) for variant in variants.values()]
    found = []
    for place, trial in track(list(enumerate(trials)), "trials", transient=True):
        snapshots = [s for s in _snapshots(trial) if s.fraction == FRACTION]
        variant = variants[trial.variant]
        if trial.purpose is not Purpose.SCREEN or not snapshots:
            continue
        readings = [r for earlier in trials[:place] for r in readings_of(earlier, FRACTION)]
        posterior = fit(nodes, readings, fraction=FRACTION, prior_sigma=BPB_SIGMA)
        rivals = [sha for sha in variant.parents if posterior.is_scored(sha)]
        if reason_to_wait(posterior) is not None or not rivals:
            continue
        rival = min(rivals, key=posterior.mean)
        prediction = posterior.predict_final(VariantNode.of(variant), snapshots[0], rival=rival)
        is_whole = trial.status is TrialStatus.COMPLETE
        gain = -belief.compare(variant.sha, rival).mean if is_whole else None
        found.append(Judged(prediction, gain))
    return found


def _snapshots(trial: Trial) -> Sequence[Snapshot]:
    return () if trial.outcome is None else trial.outcome.snapshots


def by_probability(threshold: float) -> Callable[[Sequence[Judged]], list[bool]]:
    """Go on from a probability of beating the parent on."""
    return lambda trials: [one.prediction.p_better >= threshold for one in trials]


def by_worth(trials: Sequence[Judged], costs: Costs) -> list[bool]:
    """Go on by the engine's rule: the first eight by their probability, as there."""
    worths = [one.prediction.worth for one in trials]
    return [
        one.prediction.p_better >= SHIPPED.p_better
        if place < MIN_JUDGED
        else worths[place] >= least_worth(worths[max(0, place - LATEST) : place + 1], costs)
        for place, one in enumerate(trials)
    ]


def main() -> None:
    """Judge, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=Path, default=Path("analysis/sample"))
    options = parser.parse_args()
    with Store.open(RunPaths(options.run).database, read_only=True) as store:
        trials, costs = judged(store), costs_of(store.trials(), FRACTION)
    rules = {f"P(better) ≥ {t:g}": by_probability(t) for t in THRESHOLDS}
    rules["worth of the rest"] = lambda some: by_worth(some, costs)
    table = Table(title=f"{len(trials)} trials at their snapshot; gains in mbpb")
    for column in ("rule", "run on", "gains kept", "gains lost", "minutes"):
        table.add_column(column)
    for name, rule in rules.items():
        going = rule(trials)
        gains = [1000 * max(0.0, one.gain or 0.0) for one in trials]
        kept = sum(gain for gain, goes_on in zip(gains, going, strict=True) if goes_on)
        lost = sum(gains) - kept
        cost = len(trials) * costs.until + sum(going) * costs.rest
        table.add_row(name, str(sum(going)), f"{kept:.0f}", f"{lost:.0f}", f"{cost / 60:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
