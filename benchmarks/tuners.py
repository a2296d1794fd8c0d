"""Tuners as rivals: Optuna's TPE and CMA-ES on the knobs of a world, at their default settings.

They know the range of each knob and its scale, which the engine has to learn, and are told the
baseline's values first. Edits of parts they cannot make.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, TPESampler

from benchmarks.rivals import Proposer
from benchmarks.worlds import KNOB_RANGES, Measured, values_of

CRASHED = "crashed"  # a constraint: 1 of a trial that gave no score, 0 of any other


@dataclass(slots=True)
class Tuner:
    """Ask and tell; a crash is the worst score so far, and to TPE a violated constraint."""

    proposer: Proposer
    sampler: BaseSampler
    scores: dict[str, float] = field(default_factory=dict)
    waiting: dict[str, list[optuna.Trial]] = field(default_factory=dict)
    study: optuna.Study = field(init=False)

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(sampler=self.sampler)
        start = values_of(self.proposer.landscape.start)
        shares = {n: KNOB_RANGES[n].share(v) for n, v in start.items() if v is not None}
        self.study.enqueue_trial(shares)

    def ask(self) -> str:
        """A genome with all knobs set."""
        landscape = self.proposer.landscape
        trial = self.study.ask()
        values = {
            name: KNOB_RANGES[name].value(trial.suggest_float(name, 0.0, 1.0))
            for name in values_of(landscape.start)
        }
        text = landscape.text({}, values)
        self.waiting.setdefault(text, []).append(trial)
        return text

    def tell(self, text: str, measured: Measured) -> None:
        """Its score; without one, a score as bad as the worst, and that it crashed."""
        trial = self.waiting[text].pop(0)
        if isinstance(self.sampler, TPESampler):
            trial.set_constraint(CRASHED, float(measured.bpb is None))
        worst = max(self.scores.values(), default=2 * self.proposer.landscape.start_bpb)
        self.study.tell(trial, worst if measured.bpb is None else measured.bpb)
        if measured.bpb is not None:
            self.scores[text] = measured.bpb

    def best(self) -> str | None:
        """The genome of the best score."""
        return min(self.scores, key=lambda text: self.scores[text], default=None)


def tpe(proposer: Proposer) -> Tuner:
    """The tree-structured Parzen estimator (Bergstra et al. 2011)."""
    return Tuner(proposer, TPESampler(seed=_seed(proposer)))


def cma_es(proposer: Proposer) -> Tuner:
    """The covariance matrix adaptation (Hansen 2016) as Optuna has it."""
    return Tuner(proposer, CmaEsSampler(seed=_seed(proposer), warn_independent_sampling=False))


def _seed(proposer: Proposer) -> int:
    return int(proposer.rng.integers(2**31))


TUNERS: dict[str, Callable[[Proposer], Tuner]] = {"TPE": tpe, "CMA-ES": cma_es}
