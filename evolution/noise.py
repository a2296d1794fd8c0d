"""What is known of each fitness: the posterior over all readings of a run (pure).

`fit` is a function of its arguments alone, so that a resumed run believes what it believed before.
The statistics are in `mixed_model`; here they become bpb, probabilities and predictions.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from evolution.least_squares import AT_ONCE, Solution, Told, Vector, more_rows
from evolution.mixed_model import (
    SEED_SHARE,
    MixedModel,
    Scales,
    fit_factors,
    fit_scales,
    told_factors,
)
from evolution.places import Places
from evolution.readings import Noise, Reading, own_noise, pooled_noise, replicates
from population import Fitness, Snapshot
from population.pedigree import Pedigree, VariantNode, with_relatives

__all__ = [
    "Effect",
    "Foresight",
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


@dataclass(frozen=True, slots=True)
class Foresight:
    """The readings of one trial beside what was believed before it, in σ.

    Attributes:
        readings: The numbers.
        surprises: How far each is above what was expected.
        known: Covariances of these, without the part below.
        untold: The same of edits that nothing told of before, were their effects normal.
        df: Degrees of freedom of σ.
        is_new: True if the variant was not read before.
    """

    readings: Sequence[Reading]
    surprises: Vector
    known: Vector
    untold: Vector
    df: float
    is_new: bool


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
        self._against: dict[str, list[float]] = {}  # P(better) of all, by rival

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
        nodes = list(nodes)
        model = self._model.grown(nodes, self.scales)
        taken = _usable(readings, model.pedigree, self._limits.fraction)
        taken = [_bounded(reading, self._limits.worst) for reading in taken]
        if not model.has_snapshots and any(not reading.is_full for reading in taken):
            return self._anew(has_snapshots=True).after(nodes, taken)
        rows = None
        if taken:
            model, rows = model.read(taken, self.scales)
        base, factors = self._solution, dict(self._factors)
        solution = base.told() if isinstance(base, Solution) else base
        solution = solution.with_unknowns(model.later_prior(solution.prior.size))
        places = self._places.grown(model, taken)
        # Variances are looked at anew of variants that were not there, or whose prior changes.
        settled = [column for unknowns in rows.told.values() for column in unknowns] if rows else []
        fresh = places.touched(settled)
        fresh[len(self._places.of) :] = True
        forms = places.fitness[np.flatnonzero(fresh)]
        look = solution.look(more_rows(rows.forms, forms) if rows else forms)
        fall = np.zeros((model.unknown_count, 0))
        if rows:
            look, found = told_factors(rows, look)
            factors |= dict(zip(rows.told, found.tolist(), strict=True))
            try:
                solution, fall = look.told(rows.values, rows.variances)
            except np.linalg.LinAlgError:  # readings too far apart for the arithmetic of an update
                told = Posterior(model, base, self.scales, self._noise, factors, self._limits)
                return told._anew(has_snapshots=model.has_snapshots)
        later = Posterior(model, solution, self.scales, self._noise, factors, self._limits)
        later._places = places
        variances = np.zeros(fresh.size)
        variances[: len(self._places.of)] = self._fitness_variances
        variances[fresh] = (forms @ look.covariances[:, fall.shape[1] :]).diagonal()
        variances -= ((places.fitness @ fall) ** 2).sum(axis=1)
        later._fitness_variances = np.maximum(variances, 0.0)
        return later

    def at_once(self) -> "Posterior":
        """The same from one factorization: same scales, σ and factors."""
        return self._solved(self._model.pedigree, self._model.has_snapshots)

    def _anew(self, *, has_snapshots: bool) -> "Posterior":
        """The same from one factorization, but for variants that nothing told of yet.

        Those come after it, so that it is the same whether or not they were born by then.

        Args:
            has_snapshots: True for a curve part of every edit.
        """
        nodes = {node.sha: node for node in self._model.pedigree.order}
        read = with_relatives(nodes, [reading.variant for reading in self._model.readings])
        return self._solved(Pedigree(read), has_snapshots).after(nodes.values(), [])

    def _solved(self, pedigree: Pedigree, has_snapshots: bool) -> "Posterior":
        before = self._model
        model = MixedModel(
            pedigree, before.readings, self.sigma, like=before, has_snapshots=has_snapshots
        )
        factors = np.array([self._factors.get(node.sha, 1.0) for node in model.bred])
        solution = model.solve(self.scales, factors)
        told = {n.sha: x for n, x in zip(model.bred, factors.tolist(), strict=True)}
        return Posterior(model, solution, self.scales, self._noise, told, self._limits)

    @functools.cached_property
    def _places(self) -> Places:
        return Places.none().grown(self._model, self._model.readings)

    @functools.cached_property
    def _fitness_variances(self) -> Vector:
        """Of all fitnesses, by place, in σ²."""
        return self._solution.variances(self._places.fitness)

    @functools.cached_property
    def snapshot_pairs(self) -> tuple[SnapshotPair, ...]:
        """Runs with both readings, by trial."""
        readings = self._model.readings
        finals = {reading.trial_id: reading.bpb for reading in readings if reading.is_full}
        classes = {reading.device_class for reading in readings}
        offsets = {device_class: self.class_offset(device_class) for device_class in classes}
        return tuple(
            SnapshotPair(r.variant, r.trial_id, r.bpb - offset, finals[r.trial_id] - offset)
            for r in readings
            if not r.is_full and r.trial_id in finals
            for offset in [offsets[r.device_class]]
        )

    def class_offset(self, device_class: str) -> float:
        """What a device class adds to every score, against the baseline's own class."""
        offset = self._model.expand(self._model.class_form(device_class)) @ self._solution.means
        return float(offset) * self.sigma

    def __contains__(self, sha: str) -> bool:
        return sha in self._model.pedigree

    def is_scored(self, sha: str) -> bool:
        """True if at least one reading of the variant itself was used."""
        place = self._places.of.get(sha)
        return place is not None and self._places.trial_counts[place] > 0

    def full_count(self, sha: str) -> int:
        """How many scores of the variant there are; snapshots do not count."""
        place = self._places.of.get(sha)
        return 0 if place is None else self._places.full_counts[place]

    def mean(self, sha: str) -> float:
        """Posterior mean in bpb; for a variant without a reading, what its lineage predicts."""
        return self._means[self._places.of[sha]]

    @functools.cached_property
    def _scaled_means(self) -> Vector:
        return np.asarray(self._places.fitness @ self._solution.means, dtype=np.float64)

    @functools.cached_property
    def _means(self) -> list[float]:
        return list((self._model.centre + self.sigma * self._scaled_means).tolist())

    @functools.cached_property
    def _sds(self) -> list[float]:
        return list((self.sigma * np.sqrt(self._fitness_variances)).tolist())

    def sd(self, sha: str) -> float:
        """Posterior standard deviation in bpb."""
        return self._sds[self._places.of[sha]]

    def fitness(self, sha: str) -> Fitness:
        """The variant's fitness; its mean is None while nothing was read of it."""
        place = self._places.of[sha]
        count = self._places.trial_counts[place]
        return Fitness(self._means[place] if count else None, self._sds[place], count)

    def fitnesses(self) -> dict[str, Fitness]:
        """The fitness of every variant, sooner than one by one."""
        rows = zip(self._places.of, self._means, self._sds, self._places.trial_counts, strict=True)
        return {sha: Fitness(mean if count else None, sd, count) for sha, mean, sd, count in rows}

    def p_better(self, sha: str, rival: str) -> float:
        """Probability that ``sha`` is better (lower) than ``rival``.

        A variant without a reading is worse than any with one, whatever its lineage predicts.
        """
        of, counts = self._places.of, self._places.trial_counts
        own, other = of[sha], of[rival]
        if not (counts[own] and counts[other]):
            return 0.5 + 0.5 * (bool(counts[own]) - bool(counts[other]))
        if own == other:
            return 0.5
        if rival not in self._against:
            self._against[rival] = self._p_better_of_all(rival)
        return self._against[rival][own]

    def _p_better_of_all(self, rival: str) -> list[float]:
        """Of all variants against one, by place: one solve for all."""
        place, means, own = self._places.of[rival], self._scaled_means, self._fitness_variances
        shared = self._places.fitness @ self._solution.covariances(self._form(rival))
        variances = np.maximum(own + shared[place] - 2 * shared, 1e-12)
        errors = (means - means[place]) / np.sqrt(variances)
        return list(np.asarray(stdtr(self.sigma_df, -errors), dtype=np.float64).tolist())

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
        return self._effects(shas, self._edit_form)

    def change_effects(self, shas: Sequence[str]) -> dict[str, Effect]:
        """What the authors of several variants changed does there: against their parents.

        That is their own edits, and those of before that they made, or took out, again. Of merges
        and stacks it is what `edit_effects` says.

        Raises:
            KeyError: A variant is unknown or has no parents.
        """
        return self._effects(shas, self._change_form)

    def _effects(self, shas: Sequence[str], form: Callable[[str], Vector]) -> dict[str, Effect]:
        effects: dict[str, Effect] = {}
        for start in range(0, len(shas), AT_ONCE):
            some = shas[start : start + AT_ONCE]
            forms = np.column_stack([form(sha) for sha in some])
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
        of, pedigree, effects = self._places.of, self._model.pedigree, self._own_edits
        roots = [sha for sha in shas if not pedigree[sha].parents]
        if roots:
            raise KeyError(roots[0])
        return {sha: effects[of[sha]] for sha in shas}

    @functools.cached_property
    def _own_edits(self) -> list[float]:
        """What the own edit of each variant does, by place, in bpb."""
        return list((self.sigma * self._places.own_edits(self._scaled_means)).tolist())

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
        """What the changes of several variants add up to, each in its company.

        Raises:
            KeyError: A variant is unknown or has no parents.
        """
        return self._compare(np.sum([self._change_form(sha) for sha in shas], axis=0))

    def _change_form(self, sha: str) -> Vector:
        node = self._model.pedigree[sha]
        if not node.is_authored:
            return self._edit_form(sha)
        return self._form(sha) - self._form(node.parents[0])

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

    def foresee(self, readings: Iterable[Reading]) -> Foresight | None:
        """What was to be expected of one more trial; the variant is among those here.

        Returns:
            None if nothing that counts was read, or its first snapshot, of which nothing is known.
        """
        taken = _usable(readings, self._model.pedigree, self._limits.fraction)
        taken = [_bounded(reading, self._limits.worst) for reading in taken]
        if not self._model.has_snapshots:
            taken = [reading for reading in taken if reading.is_full]
        if not taken:
            return None
        model, rows = self._model.read(taken, self.scales)
        base = self._solution.told() if isinstance(self._solution, Solution) else self._solution
        solution = base.with_unknowns(model.later_prior(base.prior.size))
        forms = np.stack([model.expand(model.form(reading)) for reading in taken])
        shares = np.array([1.0 if reading.is_full else SEED_SHARE for reading in taken])
        own = [0.0 if reading.is_full else self.scales.snapshot**2 for reading in taken]
        columns = [column for unknowns in rows.told.values() for column in unknowns]
        prior = solution.prior[np.array(columns, dtype=np.int64) - solution.base.means.size]
        untold = (forms[:, columns] * prior) @ forms[:, columns].T
        believed = forms @ solution.covariances(forms.T) - untold
        return Foresight(
            readings=taken,
            surprises=np.array([model.scaled(r.bpb) for r in taken]) - forms @ solution.means,
            known=believed + np.outer(shares, shares) + np.diag(own),
            untold=untold,
            df=self.sigma_df,
            is_new=not self.is_scored(taken[0].variant),
        )

    def _holds(self, sha: str, snapshot: Snapshot) -> bool:
        return any(
            reading.variant == sha
            and (reading.fraction, reading.bpb) == (snapshot.fraction, snapshot.bpb)
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
