"""What is known of each fitness: the posterior over all readings of a run (pure).

`fit` is a function of its arguments alone, so that a resumed run believes what it believed before.
The statistics are in `mixed_model`; here they become bpb, probabilities and predictions.
"""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import ndtr, stdtr

from evolution.least_squares import AT_ONCE, Solution, Told, Vector
from evolution.mixed_model import (
    SEED_SHARE,
    MixedModel,
    Scales,
    fit_factors,
    fit_scales,
    told_factors,
)
from evolution.readings import Noise, Reading, own_noise, pooled_noise, replicates
from population import Fitness, Snapshot
from population.pedigree import Pedigree, VariantNode

__all__ = [
    "Effect",
    "Noise",
    "Posterior",
    "Prediction",
    "Reading",
    "Scales",
    "SnapshotPair",
    "VariantNode",
    "fit",
    "pooled_noise",
]


#: In σ above the baseline: where scores stop counting for worse than others. Far beyond any effect
#: worth telling apart, and small enough for the arithmetic of telling one more trial. The σ of a
#: script's own metric may be next to nothing, so its scores count further.
DISASTER, OWN_DISASTER = 1e5, 1e7


@dataclass(frozen=True, slots=True)
class Effect:
    """What one edit does in its lineage's company, in bpb: negative is better."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """A variant's fitness minus its rival's, in bpb, and the probability that it is below zero.

    Attributes:
        mean: Expected difference.
        sd: Its standard deviation.
        p_better: Probability that it is below zero.
        news_sd: How far the mean should move once a run under way has its score; 0 for none.
    """

    mean: float
    sd: float
    p_better: float
    news_sd: float = 0.0

    @property
    def worth(self) -> float:
        """What the rest of the run is worth, in bpb.

        The mean of max(0, rival's − own) over what will be believed once its score is there: the
        expectation behind the knowledge gradient (Frazier, Powell and Dayanik 2008). A gain that
        the score cannot show does not count: what does nothing is better with half a chance.
        """
        if self.news_sd <= 0:
            return max(0.0, -self.mean)
        z = -self.mean / self.news_sd
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return self.news_sd * float(z * ndtr(z) + density)


@dataclass(frozen=True, slots=True)
class SnapshotPair:
    """Both readings of one run, offsets of device classes taken out."""

    variant: str
    trial_id: int
    snapshot: float
    final: float


def fit(
    nodes: Iterable[VariantNode],
    readings: Iterable[Reading],
    *,
    fraction: float | None = None,
    repeats: Iterable[Sequence[float]] = (),
    prior_sigma: float | None = 0.003,
    scales: Scales | None = None,
) -> "Posterior":
    """What the readings say of every variant.

    Args:
        nodes: All variants, baseline included, in any order.
        readings: Scores and snapshots of trials that count for selection, in any order. A number
            that is not finite is passed over; so are snapshots at other fractions.
        fraction: Where snapshots may stop a run; None uses scores alone.
        repeats: Further groups of repeated scores that inform σ alone (verdict runs).
        prior_sigma: What σ is expected to be, in bpb; None for a metric of unknown scale, whose
            repeats alone tell.
        scales: Those that fewer readings told; None fits them, which takes ten times as long.

    Raises:
        ValueError: The lineage is broken: an unknown parent, a cycle, a reading of no variant.
    """
    pedigree = Pedigree(nodes)
    taken = _usable(readings, pedigree, fraction)
    groups = [*replicates(taken), *repeats]
    level = _level(taken, pedigree)
    if prior_sigma is not None:
        noise = pooled_noise(groups, prior_sigma=prior_sigma)
        limits = _Limits(fraction, level + DISASTER * noise.sigma)
    else:
        noise = own_noise(groups, [r.bpb for r in taken if r.is_full], level=level)
        limits = _Limits(fraction, level + OWN_DISASTER * noise.sigma)
    taken = [_bounded(reading, limits.worst) for reading in taken]
    model = MixedModel(pedigree, taken, noise.sigma)
    if scales is None:
        scales, factors = fit_scales(model)
    else:
        factors = fit_factors(model, scales)
    by_edit = {node.sha: float(x) for node, x in zip(model.bred, factors, strict=True)}
    return Posterior(model, model.solve(scales, factors), scales, noise, by_edit, limits)


@dataclass(frozen=True, slots=True)
class _Limits:
    """Which readings count: the snapshots' ``fraction``, and the ``worst`` score told apart."""

    fraction: float | None
    worst: float


def _level(readings: Sequence[Reading], pedigree: Pedigree) -> float:
    """The baseline's score; of all scores, the middle one, while it has none."""
    roots = {node.sha for node in pedigree.order if not node.parents}
    of_root = [r.bpb for r in readings if r.is_full and r.variant in roots]
    scores = of_root or [r.bpb for r in readings if r.is_full]
    return float(np.median(scores)) if scores else 0.0


def _bounded(reading: Reading, worst: float) -> Reading:
    """A diverged run may print 1e300: beyond `worst` all disasters are alike."""
    return dataclasses.replace(reading, bpb=min(reading.bpb, worst))


def _usable(
    readings: Iterable[Reading], pedigree: Pedigree, fraction: float | None
) -> list[Reading]:
    latest: dict[tuple[int, bool], Reading] = {}
    for reading in readings:
        if reading.variant not in pedigree:
            raise ValueError(f"Trial {reading.trial_id} reads {reading.variant}, not of this run.")
        if math.isfinite(reading.bpb) and (reading.is_full or reading.fraction == fraction):
            latest[reading.trial_id, reading.is_full] = reading
    return [latest[key] for key in sorted(latest)]


def _trial_counts(readings: Iterable[Reading]) -> Counter[str]:
    trials = {(reading.variant, reading.trial_id) for reading in readings}
    return Counter(variant for variant, _ in trials)


class Posterior:
    """What is believed of every variant of a run. Made by `fit`.

    Attributes:
        sigma: Seed noise of one trial, in bpb.
        sigma_df: Degrees of freedom behind it.
        scales: The fitted scales, in σ.
    """

    def __init__(
        self,
        model: MixedModel,
        solution: Solution | Told,
        scales: Scales,
        noise: Noise,
        factors: Mapping[str, float],
        limits: _Limits,
    ) -> None:
        self._model, self._solution = model, solution
        self._factors, self._noise, self._limits = factors, noise, limits
        self.scales, self.sigma, self.sigma_df = scales, noise.sigma, noise.df
        self._variances: Vector | None = None  # of all fitnesses, in the pedigree's order
        self._against: dict[str, Vector] = {}  # P(better) of all, by rival

    def after(self, nodes: Iterable[VariantNode], readings: Iterable[Reading]) -> "Posterior":
        """What is believed once further variants were born and one more trial was read.

        The same to rounding as all readings at once (`at_once`), hundreds of times sooner: scales,
        σ and the precision factors of edits that were told of stay. That of another is settled by
        the first trial that tells of it. This posterior stays as it is.

        Args:
            nodes: Variants, known ones among them or not.
            readings: Of one trial that was not read before.

        Raises:
            ValueError: The lineage is broken, or a reading is of no variant.
        """
        model = self._model.grown(list(nodes), self.scales)
        taken = _usable(readings, model.pedigree, self._limits.fraction)
        taken = [_bounded(reading, self._limits.worst) for reading in taken]
        if not model.has_snapshots and any(not reading.is_full for reading in taken):
            return self._with_curves().after(model.pedigree.order, taken)
        base, factors = self._solution, dict(self._factors)
        solution = base.told() if isinstance(base, Solution) else base
        solution = solution.with_unknowns(model.later_prior(solution.prior.size))
        fall, settled = np.zeros((model.unknown_count, 0)), list[int]()
        if taken:
            model, rows = model.read(taken, self.scales)
            solution = solution.with_unknowns(model.later_prior(solution.prior.size))
            if rows.told:
                found = told_factors(rows, solution)
                factors |= dict(zip(rows.told, found.tolist(), strict=True))
                settled = [column for unknowns in rows.told.values() for column in unknowns]
                for unknowns, factor in zip(rows.told.values(), found, strict=True):
                    prior = solution.prior[np.array(unknowns) - solution.base.means.size]
                    solution = solution.with_prior(unknowns, prior / factor)
            try:
                solution, fall = solution.with_rows(rows.forms, rows.values, rows.variances)
            except np.linalg.LinAlgError:  # readings too far apart for the arithmetic of an update
                told = Posterior(model, base, self.scales, self._noise, factors, self._limits)
                return told.at_once()
        later = Posterior(model, solution, self.scales, self._noise, factors, self._limits)
        later._trial_counts = self._trial_counts + _trial_counts(taken)
        later._full_counts = self._full_counts + _trial_counts(r for r in taken if r.is_full)
        later._variances = self._variances_after(solution, later._forms, fall, settled)
        return later

    def _variances_after(
        self, solution: Told, forms: sparse.csr_array, fall: Vector, settled: Sequence[int]
    ) -> Vector:
        """Variances of all fitnesses: solved for where there was none, or another prior."""
        known = self._fitness_variances()
        variances = np.zeros(forms.shape[0])
        variances[: known.size] = known - ((forms @ fall) ** 2).sum(axis=1)[: known.size]
        is_fresh = np.arange(variances.size) >= known.size
        if settled:
            mark = np.zeros(forms.shape[1])
            mark[np.array(settled)] = 1.0
            is_fresh |= (abs(forms) @ mark) > 0
        fresh = np.flatnonzero(is_fresh)
        variances[fresh] = solution.variances(forms[fresh])
        return np.maximum(variances, 0.0)

    def at_once(self) -> "Posterior":
        """The same from one factorization: same scales, σ and factors."""
        return self._solved(self._model.has_snapshots)

    def _with_curves(self) -> "Posterior":
        """The same where there is a curve part of every edit, for snapshots to come."""
        return self._solved(True)

    def _solved(self, has_snapshots: bool) -> "Posterior":
        before = self._model
        model = MixedModel(
            before.pedigree,
            before.readings,
            self.sigma,
            like=before,
            has_snapshots=has_snapshots,
        )
        factors = np.array([self._factors.get(node.sha, 1.0) for node in model.bred])
        solution = model.solve(self.scales, factors)
        told = {n.sha: x for n, x in zip(model.bred, factors.tolist(), strict=True)}
        return Posterior(model, solution, self.scales, self._noise, told, self._limits)

    def _fitness_variances(self) -> Vector:
        if self._variances is None:
            self._variances = self._solution.variances(self._forms)
        return self._variances

    @functools.cached_property
    def _trial_counts(self) -> Counter[str]:
        """Trials by variant."""
        return _trial_counts(self._model.readings)

    @functools.cached_property
    def _full_counts(self) -> Counter[str]:
        return _trial_counts(reading for reading in self._model.readings if reading.is_full)

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {node.sha: place for place, node in enumerate(self._model.pedigree.order)}

    @functools.cached_property
    def snapshot_pairs(self) -> tuple[SnapshotPair, ...]:
        """Runs with both readings, by trial."""
        finals = {r.trial_id: r for r in self._model.readings if r.is_full}
        pairs = []
        for reading in self._model.readings:
            final = finals.get(reading.trial_id)
            if not reading.is_full and final is not None:
                offset = self.class_offset(reading.device_class)
                pairs.append(
                    SnapshotPair(
                        reading.variant,
                        reading.trial_id,
                        reading.bpb - offset,
                        final.bpb - offset,
                    )
                )
        return tuple(pairs)

    def class_offset(self, device_class: str) -> float:
        """What a device class adds to every score, against the baseline's own class."""
        offset = self._model.expand(self._model.class_form(device_class)) @ self._solution.means
        return float(offset) * self.sigma

    def __contains__(self, sha: str) -> bool:
        return sha in self._model.pedigree

    def is_scored(self, sha: str) -> bool:
        """True if at least one reading of the variant itself was used."""
        return sha in self._trial_counts

    def full_count(self, sha: str) -> int:
        """How many scores of the variant there are; snapshots do not count."""
        return self._full_counts[sha]

    def mean(self, sha: str) -> float:
        """Posterior mean in bpb; for a variant without a reading, what its lineage predicts."""
        return self._fitnesses[sha][0]

    @functools.cached_property
    def _forms(self) -> sparse.csr_array:
        """The fitness of each variant, in the pedigree's order."""
        return self._model.fitness_forms(self._model.pedigree.order)

    @functools.cached_property
    def _scaled_means(self) -> Vector:
        return np.asarray(self._forms @ self._solution.means, dtype=np.float64)

    @functools.cached_property
    def _fitnesses(self) -> dict[str, tuple[float, float]]:
        """Mean and sd of each, in bpb."""
        means = self._model.centre + self.sigma * self._scaled_means
        sds = self.sigma * np.sqrt(self._fitness_variances())
        pairs = zip(means.tolist(), sds.tolist(), strict=True)
        return dict(zip(self._places, pairs, strict=True))

    def _scaled_mean(self, sha: str) -> float:
        return float(self._scaled_means[self._places[sha]])

    def sd(self, sha: str) -> float:
        """Posterior standard deviation in bpb."""
        return self._fitnesses[sha][1]

    def fitness(self, sha: str) -> Fitness:
        """The variant's fitness; its mean is None while nothing was read of it."""
        if not self.is_scored(sha):
            return Fitness(None, self.sd(sha), 0)
        return Fitness(self.mean(sha), self.sd(sha), self._trial_counts[sha])

    def p_better(self, sha: str, rival: str) -> float:
        """Probability that ``sha`` is better (lower) than ``rival``.

        A variant without a reading is worse than any with one, whatever its lineage predicts.
        """
        if self.is_scored(sha) != self.is_scored(rival):
            return float(self.is_scored(sha))
        if sha == rival or not self.is_scored(sha):
            return 0.5
        return float(self._p_better_of_all(rival)[self._places[sha]])

    def _p_better_of_all(self, rival: str) -> Vector:
        """Of all variants against one, in the pedigree's order: one solve for all."""
        if rival not in self._against:
            place, means, own = self._places[rival], self._scaled_means, self._fitness_variances()
            shared = self._forms @ self._solution.covariances(self._form(rival))
            variances = np.maximum(own + shared[place] - 2 * shared, 1e-12)
            errors = (means - means[place]) / np.sqrt(variances)
            self._against[rival] = np.asarray(stdtr(self.sigma_df, -errors), dtype=np.float64)
        return self._against[rival]

    def compare(self, sha: str, rival: str) -> Prediction:
        """The fitness of ``sha`` minus that of ``rival``, whether or not they have readings."""
        return self._compare(self._form(sha) - self._form(rival))

    def edit_effect(self, sha: str) -> Effect:
        """What the variant's own edit does in its company.

        For a mutation, against its parent; for a merge or a stack, against the sum of the edits
        that it unites.

        Raises:
            KeyError: The variant is unknown or has no parents.
        """
        return self.edit_effects([sha])[sha]

    def edit_effects(self, shas: Sequence[str]) -> dict[str, Effect]:
        """The same of several edits, much sooner than one by one.

        Raises:
            KeyError: A variant is unknown or has no parents.
        """
        effects: dict[str, Effect] = {}
        for start in range(0, len(shas), AT_ONCE):
            some = shas[start : start + AT_ONCE]
            forms = np.column_stack([self._edit_form(sha) for sha in some])
            means = self._solution.means @ forms
            variances = np.einsum("ij,ij->j", forms, self._solution.covariances(forms))
            sds = np.sqrt(np.maximum(variances, 1e-12))
            pairs = zip(some, means * self.sigma, sds * self.sigma, strict=True)
            effects |= {sha: Effect(float(mean), float(sd)) for sha, mean, sd in pairs}
        return effects

    def edit_means(self, shas: Sequence[str]) -> dict[str, float]:
        """Their means alone, in bpb: hundreds of times sooner still.

        Raises:
            KeyError: A variant is unknown or has no parents.
        """
        means, pedigree = self._fitnesses, self._model.pedigree
        centre = self._model.centre
        effects: dict[str, float] = {}
        for sha in shas:
            node = pedigree[sha]
            if not node.parents:
                raise KeyError(sha)
            effect = means[sha][0] - centre
            for other, coefficient in pedigree.before(node).items():
                effect -= coefficient * (means[other][0] - centre)
            effects[sha] = effect
        return effects

    def edit_correlations(self, shas: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
        """How the errors of edits' effects go with those of others: shape (edits, others).

        Far below zero, the sum of two is known better than either: they are confounded.

        Raises:
            KeyError: A variant is unknown or has no parents.
        """
        found = np.zeros((len(shas), len(others)))
        if not shas:
            return found
        forms = np.column_stack([self._edit_form(sha) for sha in shas])
        solved = self._solution.covariances(forms)
        variances = np.einsum("ij,ij->j", forms, solved)
        effects = self.edit_effects(others)
        for column, sha in enumerate(others):
            sds = np.sqrt(np.maximum(variances, 1e-12)) * (effects[sha].sd / self.sigma)
            found[:, column] = self._edit_form(sha) @ solved / sds
        return found

    def p_helpful(self, effect: Effect) -> float:
        """Probability that an edit's effect is below zero."""
        return self._p_below_zero(effect.mean, effect.sd)

    def carries(self, sha: str) -> frozenset[str]:
        """Commits of the variants whose own edits a variant carries, itself among them."""
        return self._model.pedigree.edits(self._model.pedigree[sha])

    def together(self, shas: Sequence[str]) -> Prediction:
        """What the own edits of several variants add up to, each in its company.

        Raises:
            KeyError: A variant is unknown or has no parents.
        """
        return self._compare(np.sum([self._edit_form(sha) for sha in shas], axis=0))

    def _edit_form(self, sha: str) -> Vector:
        node = self._model.pedigree[sha]
        if not node.parents:
            raise KeyError(sha)
        form = self._form(sha)
        for other, coefficient in self._model.pedigree.before(node).items():
            form -= coefficient * self._form(other)
        return form

    def predict_final(
        self, node: VariantNode, snapshot: Snapshot, *, rival: str, device_class: str | None = None
    ) -> Prediction:
        """What a run will come to against ``rival``, after one snapshot of it.

        Args:
            node: The variant that runs; it need not be among those fitted, its parents must be.
            snapshot: Read at the fraction that was fitted. If the fit holds it already, it is not
                used twice.
            rival: Commit to compare with: its fitter parent.
            device_class: Where it runs; None is the baseline's own class.

        Raises:
            ValueError: No snapshot was fitted.
        """
        model, solution = self._model, self._solution
        rival_form = self._form(rival)
        end = Reading(node.sha, 0.0, 0, 1.0, device_class or model.home_class)
        if self._holds(node.sha, snapshot):
            return self._predict_held(end, snapshot, rival_form)
        if not model.has_snapshots:
            raise ValueError("No snapshot was fitted, so nothing can be predicted from one.")
        reading = dataclasses.replace(end, bpb=snapshot.bpb, fraction=snapshot.fraction)
        own_effect, own_curve = 0.0, 0.0
        if node.sha in self:
            fitness, form = self._form(node.sha), model.form
        else:
            fitness = model.expand(model.before(node))
            form = functools.partial(model.before_reading, node)
            own_effect, own_curve = model.own_variances(self.scales, node.unites).tolist()
            own_effect += model.new_mean_variance(node)
        forms = [fitness - rival_form, model.expand(form(reading)), model.expand(form(end))]
        read, solved = forms[1], solution.covariances(np.column_stack(forms))
        # Covariances of the difference, the snapshot and the score: what the three share.
        shared = np.stack(forms) @ solved + own_effect
        shared[1, 1] += own_curve + self.scales.snapshot**2 + SEED_SHARE**2
        shared[2, 2] += 1.0
        shared[1, 2] += SEED_SHARE
        surprise = model.scaled(snapshot.bpb) - float(read @ solution.means)
        gain = shared[0, 1] / shared[1, 1]
        mean = float(forms[0] @ solution.means) + gain * surprise
        variance = shared[0, 0] - gain * shared[0, 1]
        with_score = shared[0, 2] - gain * shared[1, 2]
        of_score = shared[2, 2] - shared[1, 2] ** 2 / shared[1, 1]
        return self._prediction(mean, variance, with_score**2 / of_score)

    def _predict_held(self, end: Reading, snapshot: Snapshot, rival_form: Vector) -> Prediction:
        """The same where the fit has the snapshot already: its seed noise is half known."""
        model, solution = self._model, self._solution
        reading = dataclasses.replace(end, bpb=snapshot.bpb, fraction=snapshot.fraction)
        difference = self._form(end.variant) - rival_form
        score, read = model.expand(model.form(end)), model.expand(model.form(reading))
        # Of the run's seed noise this part of what the snapshot is off its expectation is expected.
        part = SEED_SHARE / (self.scales.snapshot**2 + SEED_SHARE**2)
        forms = np.column_stack([difference, score - part * read])
        shared = forms.T @ solution.covariances(forms)
        of_score = shared[1, 1] + 1.0 - part * SEED_SHARE
        mean = float(difference @ solution.means)
        return self._prediction(mean, float(shared[0, 0]), float(shared[0, 1] ** 2 / of_score))

    def _holds(self, sha: str, snapshot: Snapshot) -> bool:
        return any(
            (reading.variant, reading.fraction, reading.bpb)
            == (sha, snapshot.fraction, snapshot.bpb)
            for reading in self._model.readings
        )

    def _form(self, sha: str) -> Vector:
        return self._model.expand(self._model.fitness_form(sha))

    def _compare(self, form: Vector) -> Prediction:
        solution = self._solution
        mean = float(form @ solution.means)
        return self._prediction(mean, float(form @ solution.covariances(form)))

    def _prediction(self, mean: float, variance: float, news: float = 0.0) -> Prediction:
        sd = math.sqrt(max(variance, 1e-12))
        p_better = self._p_below_zero(mean, sd)
        news_sd = math.sqrt(max(news, 0.0))
        return Prediction(mean * self.sigma, sd * self.sigma, p_better, news_sd * self.sigma)

    def _p_below_zero(self, mean: float, sd: float) -> float:
        # All sds are in units of an estimated σ, so its degrees of freedom carry over.
        return float(stdtr(self.sigma_df, -mean / sd))
