"""Outlook: what hours of a run give here: trials, the smallest gain it can confirm, the cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from evolution.config import EvolutionConfig
from evolution.detectable import POWER, DepthGain, detectable_gains
from evolution.devices import gpu_watts
from evolution.doctor.earlier import Earlier, earlier_run
from evolution.doctor.night import Night, night
from evolution.doctor.pace import Pace, pace_here
from evolution.doctor.plan import crew
from evolution.doctor.prices import CORE_WATTS, Cost, Proposal, Rates, night_cost, proposal_price
from evolution.doctor.project import Project
from evolution.doctor.torch_probe import TorchProbe

#: Hours of the table; the first is a night.
HOURS = (8.0, 24.0, 72.0)
#: What the settings allow.
_MOST_PAIRS, _MOST_REPEATS = 100, 50
#: Seed noise by profile, at its own budget and text, in bits per byte, and whence.
REFERENCE_SIGMA: dict[str, tuple[float, str]] = {
    "tiny": (0.0088, "12 seeds, docs/log.md of 2026-11-29"),
    "cpu": (0.0064, "12 seeds at the calibrated budget, docs/log.md of 2026-11-23"),
    "gpu": (0.0030, "what the search expects before it has repeats; never measured"),
}


class Noise(NamedTuple):
    """Seed noise of one trial in the metric's unit, or None, and how it is known."""

    sigma: float | None
    basis: str


class Alternative(NamedTuple):
    """Other settings of verdict and baseline, and what they would detect."""

    pairs: int
    max_pairs: int
    repeats: int
    gains: list[DepthGain]
    verdict_hours: float


class Limit(NamedTuple):
    """A limit of the settings: after how many hours, and whether it ends the search."""

    words: str
    hours: float
    ends_search: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run with the project's settings gives here.

    Attributes:
        pace: Seconds of a trial.
        workers: Trainings at once.
        device: What they train on.
        nights: What 8, 24 and 72 hours give, each with its cost.
        twice: What the first of these hours would give with twice the workers, and its cost.
        limits: The settings' own, the one that is reached first at the head.
        noise: Of one trial.
        unit: Of the metric; "" if it has none.
        gains: Smallest true gains that are confirmed with `POWER`, in σ, by depth.
        alternatives: What other pairs and repeats would detect.
        proposal: What an offspring of a model costs; None if no model is asked.
    """

    pace: Pace
    workers: int
    device: str
    nights: Sequence[tuple[Night, Cost]]
    twice: tuple[Night, Cost]
    limits: Sequence[Limit]
    noise: Noise
    unit: str
    gains: Sequence[DepthGain]
    alternatives: Sequence[Alternative]
    proposal: Proposal | None

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return {
            "trial_seconds": round(self.pace.seconds, 2),
            "trial_seconds_basis": self.pace.basis,
            "workers": self.workers,
            "device": self.device,
            "hours": [{**asdict(night), "cost": cost.as_dict()} for night, cost in self.nights],
            "twice_the_workers": {**asdict(self.twice[0]), "cost": self.twice[1].as_dict()},
            "limits": [limit._asdict() for limit in self.limits],
            "sigma": self.noise.sigma,
            "sigma_basis": self.noise.basis,
            "unit": self.unit,
            "power": POWER,
            "detectable": self._gains(self.gains),
            "alternatives": [
                {**other._asdict(), "gains": self._gains(other.gains)}
                for other in self.alternatives
            ],
            "proposal": asdict(self.proposal) if self.proposal is not None else None,
        }

    def _gains(self, gains: Sequence[DepthGain]) -> list[dict[str, object]]:
        sigma = self.noise.sigma
        return [
            {
                "depth": gain.depth,
                "pairs": gain.pairs,
                "sigmas": round(gain.gain, 3),
                "gain": None if sigma is None else gain.gain * sigma,
            }
            for gain in gains
        ]


def outlook(
    runs: Path,
    project: Project,
    gpus: Sequence[str],
    probe: TorchProbe | None,
    rates: Rates,
) -> Outlook:
    """What a run with the project's settings gives here; the project must be whole."""
    config, title, budget = project.whole()
    earlier = earlier_run(runs, config, budget)
    pace = pace_here(config, budget, probe, earlier)
    workers, device = crew(config, budget, gpus)
    proposal = proposal_price(config, earlier)
    watts = rates.watts or (CORE_WATTS if device == "cpu" else gpu_watts() or CORE_WATTS)

    def priced(hours: float, count: int) -> tuple[Night, Cost]:
        found = night(config, hours, trial_seconds=pace.seconds, workers=count)
        return found, night_cost(config, found, rates, proposal, watts)

    return Outlook(
        pace=pace,
        workers=workers,
        device=device,
        nights=[priced(hours, workers) for hours in HOURS],
        twice=priced(HOURS[0], 2 * workers),
        limits=_limits(config, pace, workers, proposal),
        noise=noise_here(config, title, earlier),
        unit=config.task.as_metric().unit if config.task.is_script else "bpb",
        gains=_gains(config),
        alternatives=_alternatives(config, pace, workers),
        proposal=proposal,
    )


def noise_here(config: EvolutionConfig, title: str, earlier: Earlier | None) -> Noise:
    """Seed noise from an earlier run, else the profile's reference figure."""
    if earlier is not None and earlier.sigma is not None:
        basis = f"run {earlier.sigma_run}, {earlier.repeat_count} scores of variants run again"
        return Noise(earlier.sigma, basis)
    if config.task.is_script or title not in REFERENCE_SIGMA:
        return Noise(None, "unknown until the repeats of a first run")
    sigma, basis = REFERENCE_SIGMA[title]
    if config.run.data:
        basis += "; on the profile's own text, not on yours"
    return Noise(sigma, basis)


def _gains(
    config: EvolutionConfig,
    pairs: int | None = None,
    max_pairs: int | None = None,
    repeats: int | None = None,
) -> list[DepthGain]:
    return detectable_gains(
        pairs=pairs or config.verdict.pairs,
        max_pairs=max_pairs or config.verdict.max_pairs,
        depths=config.verdict.depths,
        repeats=repeats or config.baseline.repeats,
    )


def _alternatives(config: EvolutionConfig, pace: Pace, workers: int) -> list[Alternative]:
    """Twice and four times the pairs; four times the baseline's repeats; both."""
    verdict, repeats = config.verdict, config.baseline.repeats

    def hours(pairs: int, max_pairs: int) -> float:
        runs = 2 * (max_pairs + pairs * sum(verdict.depths[1:]))
        return round(runs * pace.seconds / workers / 3600, 2)

    wishes = [(2, 1), (4, 1), (1, 4), (4, 4)]
    return [
        Alternative(
            pairs := min(_MOST_PAIRS, verdict.pairs * factor),
            most := min(_MOST_PAIRS, verdict.max_pairs * factor),
            counted := min(_MOST_REPEATS, repeats * more),
            _gains(config, pairs, most, counted),
            hours(pairs, most),
        )
        for factor, more in wishes
    ]


def _limits(
    config: EvolutionConfig, pace: Pace, workers: int, proposal: Proposal | None
) -> list[Limit]:
    """When each limit is reached, the first one at the head."""
    limits, found = config.limits, list[Limit]()
    per_trial = pace.seconds / workers / 3600
    if limits.trials:
        count = config.baseline.repeats + limits.trials
        found.append(Limit(f"{limits.trials} offspring trials", count * per_trial, True))
    if limits.hours:
        found.append(Limit(f"{limits.hours:g} hours", limits.hours, True))
    if limits.device_hours:
        words = f"{limits.device_hours:g} device-hours"
        found.append(Limit(words, limits.device_hours / workers, True))
    if proposal is not None and proposal.usd and proposal.share:
        trials = config.agents.limit_usd / proposal.usd / proposal.share
        words = f"${config.agents.limit_usd:g} for language models"
        found.append(Limit(words, trials * per_trial, False))
    return sorted(found, key=lambda limit: limit.hours)
