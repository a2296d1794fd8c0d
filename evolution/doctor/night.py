"""Night: what so many hours give, trial by trial (pure)."""

from dataclasses import dataclass

from evolution.config import EvolutionConfig
from evolution.doctor.plan import verdict_trials
from evolution.racing import REPLICATE_SHARE


@dataclass(frozen=True, slots=True)
class Night:
    """Trials of a run that fills so many hours, its verdict included.

    Attributes:
        hours: Of wall clock.
        trials: All that are started.
        baseline: Repeats of the baseline.
        offspring: New variants, seeds included; 0 if the hours are too few.
        replicates: Further runs of contenders, at most.
        verdict: Runs of the verdict's pairs, at most.
        search_hours: What is left of the hours for the search: the setting `limits.hours`.
        device_hours: Hours of all workers together.
    """

    hours: float
    trials: int
    baseline: int
    offspring: int
    replicates: int
    verdict: int
    search_hours: float
    device_hours: float


def night(
    config: EvolutionConfig,
    hours: float,
    *,
    trial_seconds: float,
    workers: int,
    max_pairs: int | None = None,
) -> Night:
    """What ``hours`` give. No trial is taken to be stopped early, so that they give rather more.

    Args:
        config: Settings of the run; its limits do not count.
        hours: Of wall clock, verdict included.
        trial_seconds: Of one trial at home depth.
        workers: Trainings at once.
        max_pairs: In place of the settings' own, at every depth.
    """
    pairs = config.verdict.max_pairs if max_pairs is None else max_pairs
    deeper = config.verdict.pairs if max_pairs is None else max_pairs
    depths = config.verdict.depths
    runs = 2 * (pairs + deeper * (len(depths) - 1))
    # Home depth may get all its pairs, the others get the least.
    cost = verdict_trials(config, deeper) + 2 * (pairs - deeper)
    room = hours * 3600 * workers / trial_seconds  # in trials of home depth
    search = max(0.0, room - cost)
    bred = max(0.0, search - config.baseline.repeats)
    offspring = int(bred / (1 + REPLICATE_SHARE))
    replicates = min(int(bred) - offspring, int(REPLICATE_SHARE * offspring))
    baseline = min(config.baseline.repeats, int(search))
    verdict = runs if offspring else 0
    return Night(
        hours=hours,
        trials=baseline + offspring + replicates + verdict,
        baseline=baseline,
        offspring=offspring,
        replicates=replicates,
        verdict=verdict,
        search_hours=round(search * trial_seconds / workers / 3600, 2),
        device_hours=round(hours * workers, 2),
    )
