"""The tuner: sets a parent's knobs by what all variants that can be compared told of theirs.

Optuna's samplers, by ask and tell, on the natural scale of each knob (``agents.knob_axes``). A
study is made afresh for each proposal, of nothing but the context: the same context gives the same
proposal, and a resumed run lacks nothing. The only import of Optuna, and a lazy one.
"""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from agents.files import Place, knobs_by_place, with_knobs
from agents.knob_moves import divisibility_breaks
from agents.knob_space import Choice, Dimension, Line, dimensions
from agents.offspring import offspring_problem
from agents.operator import Context, Proposal, Refusal, TriedKnobs
from population import Genome, KnobValue, Origin, knobs

if TYPE_CHECKING:
    import optuna

Sampler = Literal["tpe", "cmaes"]

LEAST_SCORED = 20  # settings with a score; with fewer, a sampler draws nearly at random
DRAWS = 12
MOST_AT_ONCE = 4  # knobs that the estimator of trees sets in one proposal
_CRASHED = "crashed"  # a constraint: 1 of settings that gave no score, 0 of any other


class Tuner:
    """Sets knobs by Optuna: some of them by TPE, or all numbers by CMA-ES.

    The tree-structured Parzen estimator (Bergstra et al. 2011) takes every knob by itself. Of
    CMA-ES it is the warm start (Nomura et al. 2021): a Gaussian over the best tenth that was tried.

    Args:
        sampler: Which of the two.
    """

    name = "tuner"
    parent_count = 1

    def __init__(self, sampler: Sampler = "tpe") -> None:
        self._sampler: Sampler = sampler

    def propose(self, context: Context) -> Proposal | Refusal:
        """Ask until an answer gives a new genome."""
        tried = context.tried_knobs()
        scored_count = sum(one.fitness is not None for one in tried)
        if scored_count < LEAST_SCORED:
            few = f"{scored_count} settings of knobs have a score, {LEAST_SCORED} are needed"
            return Refusal(self.name, few)
        space = dimensions(context, tried)
        if self._sampler == "cmaes":
            space = [dimension for dimension in space if isinstance(dimension, Line)]
        if not space:
            return Refusal(self.name, "no knob that may be turned was tried at two values")
        study = _study(self._sampler, space, tried, int(context.rng.integers(2**31)))
        parent = context.parents[0]
        reasons: Counter[str] = Counter()
        for _ in range(DRAWS):
            values = _asked(study, self._chosen(space, context))
            problem = _broken(parent.genome, values)
            if not problem:
                genome = with_knobs(parent.genome, values)
                problem = offspring_problem(genome, context) or ""
                if not problem:
                    return self._proposal(genome, values, context)
            reasons[problem] += 1
        listed = "; ".join(f"{reason} ({count}×)" for reason, count in reasons.most_common(3))
        return Refusal(self.name, f"{DRAWS} answers gave nothing new: {listed}")

    def _chosen(self, space: Sequence[Dimension], context: Context) -> Sequence[Dimension]:
        """Whom to ask for: TPE for a few, since a jump of any of many knobs may spoil the rest."""
        if self._sampler == "cmaes" or len(space) <= MOST_AT_ONCE:
            return space
        picked = context.rng.choice(len(space), size=MOST_AT_ONCE, replace=False)
        return [space[place] for place in sorted(picked.tolist())]

    def _proposal(
        self, genome: Genome, values: Mapping[Place, KnobValue], context: Context
    ) -> Proposal:
        parent = context.parents[0]
        before = knobs_by_place(parent.genome)
        changes = {place: value for place, value in values.items() if before[place] != value}
        words = (
            f"{name} {_shown(before[path, name])} → {_shown(value)}"
            for (path, name), value in changes.items()
        )
        return Proposal(
            genome=genome,
            parents=(parent.variant.sha,),
            origin=Origin.MUTATION,
            operator=self.name,
            hypothesis=", ".join(words),
            trailers={"Knob": ", ".join(name for _, name in changes)},
        )


def _study(
    sampler: Sampler, space: Sequence[Dimension], tried: Sequence[TriedKnobs], rng_seed: int
) -> "optuna.Study":
    """A study that was told what was tried, in memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trials = [trial for one in tried if (trial := _told(space, one)) is not None]
    if sampler == "tpe":
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=rng_seed, n_startup_trials=0)
        )
        study.add_trials(trials)
        return study
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warm = optuna.samplers.CmaEsSampler(
            seed=rng_seed,
            n_startup_trials=0,
            source_trials=[trial for trial in trials if not trial.constraints[_CRASHED]],
            warn_independent_sampling=False,
        )
    return optuna.create_study(sampler=warm)


def _told(space: Sequence[Dimension], one: TriedKnobs) -> "optuna.trial.FrozenTrial | None":
    """A setting as a trial; None if it lies outside of the space."""
    import optuna

    params: dict[str, float | int] = {}
    for dimension in space:
        coordinate = dimension.coordinate(one.values.get(dimension.place, dimension.here))
        if coordinate is None:
            return None
        params[dimension.key] = coordinate
    return optuna.trial.create_trial(
        params=params,
        distributions={dimension.key: _distribution(dimension) for dimension in space},
        value=0.0 if one.fitness is None else one.fitness,  # of a crash nobody reads it
        constraints={_CRASHED: float(one.fitness is None)},
    )


def _distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution(range(len(dimension.options)))
    return FloatDistribution(dimension.low, dimension.high)


def _asked(study: "optuna.Study", space: Sequence[Dimension]) -> dict[Place, KnobValue]:
    answer = study.ask({dimension.key: _distribution(dimension) for dimension in space})
    return {dimension.place: dimension.value(answer.params[dimension.key]) for dimension in space}


def _broken(genome: Genome, values: Mapping[Place, KnobValue]) -> str:
    """The first obvious divisibility that the values would break; "" if none."""
    for path in sorted({path for path, _ in values}):
        before = knobs(genome.files[path])
        after = before | {name: value for (where, name), value in values.items() if where == path}
        broken = divisibility_breaks(before, after)
        if broken:
            return broken
    return ""


def _shown(value: KnobValue) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
