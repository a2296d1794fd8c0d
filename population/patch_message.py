"""What the message of a patch says: the idea, its effect, what was confirmed of it. Pure text.

A patch travels as a mail, and ``git am`` reads some words of a mail as its own: none of a
hypothesis may be lost to that.
"""

import math
import re
from collections.abc import Mapping, Sequence

from population.assurance import Assurance, of_trials, of_verdict
from population.fitness import INTERVAL, Fitness
from population.linear import Edit
from population.messages import commit_message, one_line
from population.metric import Metric
from population.trial import Trial
from population.variant import Variant
from population.verdict import Ruling, RungVerdict, Verdict

# `git am` strips "[…]", "re:" and ":" from the front of a subject, and takes a body that begins
# with one of these words for further headers.
_TAKEN_FOR_MAIL = re.compile(
    r"[\[:>\s]|re:|(?:from|date|subject|content-[a-z-]+|mime-version):", re.I
)
_RULINGS = {
    Ruling.CONFIRMED: "confirmed",
    Ruling.NOT_CONFIRMED: "not confirmed",
    Ruling.REVERSED: "reversed: the baseline is better",
    Ruling.UNDECIDED: "undecided",
}


def patch_message(
    edit: Edit,
    *,
    variants: Mapping[str, Variant],
    fitnesses: Mapping[str, Fitness],
    verdicts: Sequence[Verdict],
    metric: Metric,
    trials: Sequence[Trial] = (),
) -> str:
    """The message of one edit's commit; ``trials`` are all of the run."""
    variant = variants[edit.variant]
    body = [
        _effect(variant, variants[sha], fitnesses, metric)
        + _how(of_trials(t for t in trials if t.variant in (sha, variant.sha)), ", ")
        for sha in variant.parents
    ]
    body += [
        _verdict(v, metric) + _how(of_verdict(v.label, trials), "; ")
        for v in verdicts
        if v.champion == variant.sha
    ]
    body += [f"It carries {_named(variants[sha])}." for sha in edit.carries]
    body += [f"It replaces {_named(variants[sha])}." for sha in edit.replaces]
    trailers = {
        "Variant": variant.name,
        "Operator": variant.operator,
        "Commit": variant.sha,
    }
    return commit_message(_safe(variant), trailers, "\n\n".join(body))


def _safe(variant: Variant) -> str:
    """The hypothesis, begun so that no mail reader takes it for anything else."""
    line = one_line(variant.hypothesis)
    operator = one_line(variant.operator)
    plain = "edit" if _TAKEN_FOR_MAIL.match(f"{operator}:") else operator
    return f"{plain}: {line}" if _TAKEN_FOR_MAIL.match(line) else line


def _effect(
    variant: Variant, parent: Variant, fitnesses: Mapping[str, Fitness], metric: Metric
) -> str:
    before, after = fitnesses.get(parent.sha), fitnesses.get(variant.sha)
    if before is None or after is None or before.mean is None or after.mean is None:
        unscored = variant if after is None or after.mean is None else parent
        return f"Effect against {parent.name}: unknown, {unscored.name} has no score"
    gain, error = before.mean - after.mean, INTERVAL * math.hypot(before.sd, after.sd)
    digits = _decimals(error)
    values = (f"{metric.shown(f.mean or 0.0):.{digits}f}" for f in (before, after))
    return (
        f"Effect against {parent.name}: {_gain(gain, digits)} ± {error:.{digits}f}"
        f"{_unit(metric)} (95 %); {metric.name} {' → '.join(values)}"
    )


def _verdict(verdict: Verdict, metric: Metric) -> str:
    rungs = "; ".join(_rung(rung, metric) for rung in verdict.rungs) or "no pairs"
    return f"Verdict {verdict.label}, against the baseline on fresh seeds: {rungs}"


def _rung(rung: RungVerdict, metric: Metric) -> str:
    words = f"depth × {rung.depth_scale:g} {_RULINGS[rung.ruling]}"
    if rung.gain is None:
        return words
    if rung.low is None or rung.high is None:
        return f"{words}, {_gain(rung.gain, 4)}{_unit(metric)}"
    digits = _decimals((rung.high - rung.low) / 2)
    gain, low, high = (f"{x:+.{digits}f}" for x in (rung.gain, rung.low, rung.high))
    words += f", gain {gain}{_unit(metric)} (95 %: {low} to {high})"
    if rung.sealed is not None:
        words += f", {rung.sealed.gain:+.{digits}f}{_unit(metric)} on the sealed test split"
    return f"{words}, {rung.pair_count} pairs"


def _how(assurance: Assurance | None, before: str) -> str:
    return "." if assurance is None else f"{before}{assurance}."


def _gain(gain: float, digits: int) -> str:
    return f"{'better' if gain >= 0 else 'worse'} by {abs(gain):.{digits}f}"


def _unit(metric: Metric) -> str:
    return f" {one_line(metric.unit)}" if metric.unit else ""


def _decimals(error: float) -> int:
    """Places that leave an error two digits."""
    if not (math.isfinite(error) and error > 0):
        return 4
    return max(0, min(8, 1 - math.floor(math.log10(error))))


def _named(variant: Variant) -> str:
    return f"the edit of {variant.name} ({one_line(variant.hypothesis)})"
