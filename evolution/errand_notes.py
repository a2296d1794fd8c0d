"""What librarian and critic are told: trials and verdicts as values and lines."""

from collections.abc import Sequence

from agents import TrialNote
from evolution.breeding import Field
from population import Metric, Store, Verdict


def trial_notes(store: Store, numbers: Sequence[int], field: Field) -> list[TrialNote]:
    """Trials that ended, with what their variants' changes gain, in the order given."""
    trials = [store.trial(number) for number in numbers]
    belief = field.known.belief
    edits = dict.fromkeys(t.variant for t in trials if field.variants[t.variant].parents)
    scored = [sha for sha in edits if belief is not None and belief.is_scored(sha)]
    effects = belief.change_effects(scored) if belief is not None else {}
    notes = []
    for trial in trials:
        variant, effect = field.variants[trial.variant], effects.get(trial.variant)
        failure = trial.outcome.failure if trial.outcome is not None else None
        notes.append(
            TrialNote(
                trial=trial.id,
                variant=variant.name,
                operator=variant.operator,
                hypothesis=variant.hypothesis,
                status=trial.status.value,
                gain=-effect.mean if effect is not None else None,
                sd=effect.sd if effect is not None else None,
                failure=f"{failure.kind.value}: {failure.message}" if failure else "",
            )
        )
    return notes


def figures_of(verdict: Verdict, metric: Metric) -> list[str]:
    """A verdict, one line a depth; gains in the metric's unit, positive is better.

    Nothing of the sealed test split: what a model writes of it would be read by later searches.
    """
    lines = [f"{metric.name}, fresh seeds, in pairs against the baseline"]
    for rung in verdict.rungs:
        line = f"depth × {rung.depth_scale:g}: {rung.ruling.value.replace('_', ' ')}"
        if rung.gain is not None:
            line += f", gain {rung.gain:+.4g}"
        if rung.low is not None and rung.high is not None:
            line += f" (95 %: {rung.low:+.4g} to {rung.high:+.4g})"
        pairs = f"{rung.pair_count} pair{'' if rung.pair_count == 1 else 's'}"
        lines.append(f"{line}, {pairs}")
    return lines
