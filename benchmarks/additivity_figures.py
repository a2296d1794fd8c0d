"""All that the readings of `benchmarks.additivity` say, laid beside the search's constants (pure).

Scales are in σ, as in `evolution.mixed_model`. Effects are differences of bits per byte from the
baseline: below 0 helps; a gain is an effect with its sign turned.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.agents import Figures, share
from benchmarks.edit_readings import FRESH, Readings, Trained, posterior
from benchmarks.effect_spread import Spread, spread
from benchmarks.merge_sums import (
    Company,
    Sums,
    company,
    complete_merges,
    resampled_sums,
    slope,
    sums,
)
from benchmarks.seed_noise import (
    Estimate,
    Grid,
    has_all,
    pair_correlation,
    rank_of_means,
    rank_of_runs,
    resampled,
    seed_noise,
    seed_share,
    snapshot_noise,
    snapshot_seed_correlation,
    unshared_noise,
    with_baseline,
)
from evolution.noise import Posterior, Scales

#: In σ: how far from the baseline an edit is not yet a disaster, which any snapshot shows.
NEAR = 5.0
#: Where the gain that was expected of an edit is told apart, in σ.
BANDS = (0.1, 0.5, 1.0, 2.0, math.inf)


@dataclass(frozen=True, slots=True)
class Findings:
    """All figures; scales in σ, σ and gains in bits per byte.

    Attributes:
        edit_count: Single edits.
        told: Those that paired seeds tell from nought, each for itself.
        detectable: The least effect that a pair test of one edit finds four times in five.
        sigma: Seed noise of one run.
        pair: Correlation of paired seeds.
        pair_quartiles: Of the correlations of single edits with the baseline.
        seed_share: Of seed noise, what a snapshot shows.
        seed_correlation: Of snapshot and score over seeds.
        snapshot: A snapshot's own noise.
        curve: Of effects at a snapshot beyond those at the end.
        effect: Of edits.
        rank_of_means: Snapshot and score, means of edits.
        rank_of_runs: The same of single runs.
        rank_near: The same of single runs, of edits that are no disasters.
        sums: Gains of merges.
        realised_on_predicted: Slope.
        parts_on_predicted: Slope of what the edits gain alone on fresh seeds.
        lost: What the edits gain alone less what they gain together, a merge.
        company: Only together, with the errors that merges share taken into account.
        covered: Merges whose gain lay in the model's 95 % interval.
        covered_parts: Likewise single edits, on fresh seeds.
        before: The engine's own scales, as they were when merges were chosen.
        after: Its scales with all readings.
        bands: Of chosen edits by what was expected of them: (how many, expected, gained).
        counts: What was left out on the way.
    """

    edit_count: int
    told: int
    detectable: float
    sigma: Estimate
    pair: Estimate
    pair_quartiles: tuple[float, float, float]
    seed_share: Estimate
    seed_correlation: Estimate
    snapshot: Estimate
    curve: Spread
    effect: Spread
    rank_of_means: Estimate
    rank_of_runs: Estimate
    rank_near: Estimate
    sums: Sums
    realised_on_predicted: Estimate
    parts_on_predicted: Estimate
    lost: Estimate
    company: Company
    covered: Figures
    covered_parts: Figures
    before: Scales
    after: Scales
    bands: Mapping[str, tuple[int, float, float]]
    counts: Mapping[str, int]


def findings(readings: Readings) -> Findings:
    """All figures of some readings."""
    chosen = readings.chosen_by()
    seeds = sorted(chosen.baseline.finals)
    fresh = sorted(seed for seed in readings.baseline.finals if seed >= FRESH)
    edits = has_all(chosen.edits, seeds)
    grid = Grid.of(edits, seeds)
    calm = Grid.of([chosen.baseline, *edits], seeds).orderly()
    used = has_all(readings.edits, [*seeds, *fresh])
    paired = Grid.of([readings.baseline, *used], [*seeds, *fresh]).orderly()
    sigma = seed_noise(paired)
    plain = Grid.of([chosen.baseline], seeds)
    effects = (grid.finals - plain.finals).mean(axis=1)
    early = (grid.snapshots - plain.snapshots).mean(axis=1)
    noise = unshared_noise(calm.finals)
    noise_early = unshared_noise(calm.snapshots - calm.finals)
    sources = [edit.source for edit in edits]
    near = np.flatnonzero(np.abs(effects) < NEAR * sigma.value)
    with_plain = with_baseline(readings.baseline, used, [*seeds, *fresh])
    scatter = unshared_noise(calm.finals) * math.sqrt(2 / len(seeds))
    believed = posterior(chosen)
    return Findings(
        edit_count=len(edits),
        told=int((np.abs(effects) > 1.96 * scatter).sum()),
        detectable=(1.96 + 0.84) * scatter,
        sigma=sigma,
        pair=pair_correlation(paired),
        pair_quartiles=tuple(np.quantile(with_plain, [0.25, 0.5, 0.75]).tolist()),
        seed_share=resampled(paired, seed_share),
        seed_correlation=resampled(paired, snapshot_seed_correlation),
        snapshot=resampled(paired, snapshot_noise),
        curve=_in_sigma(
            spread(early - effects, sources, noise_early / math.sqrt(len(seeds))), sigma.value
        ),
        effect=_in_sigma(spread(effects, sources, noise / math.sqrt(len(seeds))), sigma.value),
        rank_of_means=resampled(grid, rank_of_means, by_seed=False),
        rank_of_runs=resampled(grid, rank_of_runs),
        rank_near=resampled(grid.take(near, np.arange(len(seeds))), rank_of_runs),
        sums=sums(readings, fresh),
        realised_on_predicted=resampled_sums(
            readings, fresh, lambda s: slope(s.realised, s.predicted)
        ),
        parts_on_predicted=resampled_sums(readings, fresh, lambda s: slope(s.parts, s.predicted)),
        lost=resampled_sums(readings, fresh, lambda s: float((s.parts - s.realised).mean())),
        company=company(readings, fresh, noise),
        covered=_covered_merges(readings, fresh, noise),
        covered_parts=_covered(readings, believed, used, fresh, noise),
        before=believed.scales,
        after=_all_told(readings).scales,
        bands=_bands(readings, believed, used, fresh),
        counts=readings.counts,
    )


def _in_sigma(found: Spread, sigma: float) -> Spread:
    scale = found.scale
    return replace(
        found, scale=Estimate(scale.value / sigma, scale.low / sigma, scale.high / sigma)
    )


def _all_told(readings: Readings) -> Posterior:
    """The engine's belief with all readings of seeds that the baseline shares with every edit."""
    seeds = {*readings.chosen_by().baseline.finals}
    seeds |= {seed for seed in readings.baseline.finals if seed >= FRESH}
    return posterior(replace(readings, baseline=readings.baseline.on(seeds)))


def _gain(readings: Readings, row: Trained, seeds: Sequence[int]) -> float:
    plain = readings.baseline.finals
    return float(np.mean([plain[seed] - row.finals[seed] for seed in seeds]))


def _covered_merges(readings: Readings, seeds: Sequence[int], noise: float) -> Figures:
    """By what the engine believed with the merges known and none of them trained."""
    merges = complete_merges(readings, seeds)
    unread = tuple(merge.on([]) for merge in merges)
    believed = posterior(replace(readings.chosen_by(), merges=unread))
    return _covered(readings, believed, merges, seeds, noise)


def _covered(
    readings: Readings,
    believed: Posterior,
    rows: Sequence[Trained],
    seeds: Sequence[int],
    noise: float,
) -> Figures:
    """How many gains lie in the 95 % intervals of what was believed of them."""
    inside = 0
    for row in rows:
        said = believed.compare(row.sha, readings.baseline.sha)
        error = math.hypot(said.sd, noise * math.sqrt(2 / len(seeds)))
        inside += abs(_gain(readings, row, seeds) + said.mean) <= 1.96 * error
    return share(inside, len(rows))


def _bands(
    readings: Readings, believed: Posterior, used: Sequence[Trained], seeds: Sequence[int]
) -> dict[str, tuple[int, float, float]]:
    hoped = {
        sha: -mean / believed.sigma
        for sha, mean in believed.edit_means([row.sha for row in used]).items()
    }
    found = {}
    for low, high in itertools.pairwise(BANDS):
        some = [row for row in used if low <= hoped[row.sha] < high]
        if some:
            name = f"{low:g} to {high:g} σ" if math.isfinite(high) else f"{low:g} σ and more"
            gains = [_gain(readings, row, seeds) for row in some]
            expected = believed.sigma * float(np.mean([hoped[row.sha] for row in some]))
            found[name] = len(some), expected, float(np.mean(gains))
    return found
