"""Story: what happened in a run, told to the event log and to the operators."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from agents import CallFailure, Refusal
from agents.figures import shown_gain, with_unit
from evolution.events import EventLog
from evolution.noise import Effect, Posterior
from population import (
    Critique,
    Outcome,
    Publication,
    Purpose,
    Store,
    Trial,
    TrialStatus,
    Variant,
    Verdict,
    VerdictReading,
    suggestion_label,
)
from population.lesson import LessonChanges

#: Lines of history shown to an operator.
HISTORY_LINES = 40


class Story:
    """Writes ``events.jsonl`` in the run's own words."""

    def __init__(self, *, store: Store, events: EventLog) -> None:
        self._store = store
        self._events = events
        self._lines: dict[int, str] = {}
        self._belief: Posterior | None = None

    def tell(self, kind: str, **facts: object) -> None:
        """Append one event."""
        self._events.append(kind, facts)

    def no_offspring(self, refusals: Sequence[Refusal]) -> None:
        """A turn of breeding made nothing."""
        self.tell("no_offspring", reasons=[f"{r.operator}: {r.reason}" for r in refusals])

    def refused(self, commission: int, refusal: Refusal, failure: CallFailure | None) -> None:
        """A commission came to nothing; ``failure`` is the class of the call that failed."""
        self.tell(
            "commission_refused",
            commission=commission,
            operator=refusal.operator,
            reason=refusal.reason,
            failure=failure.value if failure is not None else None,
            calls=list(refusal.calls),
        )

    def born(self, variant: Variant) -> None:
        """A variant was made."""
        took_up = suggestion_label(variant.suggestion) if variant.suggestion else None
        self.tell(
            "variant",
            variant=variant.name,
            sha=variant.sha,
            operator=variant.operator,
            hypothesis=variant.hypothesis,
            parents=list(variant.parents),
            suggestion=took_up,
        )

    def started(self, trial: Trial, variant: Variant) -> None:
        """An attempt at a trial begins."""
        self.tell(
            "trial_started",
            trial=trial.id,
            attempt=trial.attempt,
            variant=variant.name,
            purpose=trial.purpose.value,
            pair=trial.pair,
        )

    def finished(self, trial: Trial, variant: Variant, outcome: Outcome) -> None:
        """A trial came to its end."""
        metric = self._store.metric()
        self.tell(
            "trial_finished",
            trial=trial.id,
            variant=variant.name,
            status=trial.status.value,
            val_bpb=outcome.val_bpb,
            metric=metric.name,
            value=None if outcome.val_bpb is None else metric.shown(outcome.val_bpb),
            scoring=outcome.scoring.value,
            failure=outcome.failure.message if outcome.failure else None,
        )

    def judged(self, verdict: Verdict) -> None:
        """A verdict was reached."""
        rungs = [
            {
                "depth": rung.depth_scale,
                "gain": rung.gain,
                "low": rung.low,
                "high": rung.high,
                "ruling": rung.ruling.value,
                "sealed": None if rung.sealed is None else asdict(rung.sealed),
            }
            for rung in verdict.rungs
        ]
        self.tell(
            "verdict",
            label=verdict.label,
            champion=verdict.champion,
            confirmed=verdict.is_confirmed,
            rungs=rungs,
        )

    def published(self, publication: Publication) -> None:
        """The fresh runs of a nominee have ended."""
        step, gain = publication.step, publication.gain
        self.tell(
            "published" if publication.is_published else "not_published",
            label=publication.label,
            variant=self._store.variant(publication.variant).name,
            before=self._store.variant(publication.before).name,
            step=None if step is None else asdict(step),
            gain=None if gain is None else asdict(gain),
        )

    def lessons(self, made: LessonChanges, *, by: str) -> None:
        """Lessons came, were changed, or were retired."""
        if any(made):
            self.tell(
                "lessons",
                by=by,
                added=[{"lesson": one.name, "text": one.text} for one in made.added],
                changed=[{"lesson": one.name, "text": one.text} for one in made.changed],
                retired=[{"lesson": one.name, "reason": one.reason} for one in made.retired],
            )

    def criticised(self, critique: Critique, operator: str) -> None:
        """A proposal was read before it is trained."""
        self.tell(
            "critique",
            commission=critique.commission,
            operator=operator,
            judgement=critique.judgement.value,
            reasons=list(critique.reasons),
            exempt=critique.was_exempt,
        )

    def explained(self, reading: VerdictReading) -> None:
        """A verdict was put into words."""
        self.tell(
            "verdict_explained",
            label=reading.label,
            champion=reading.champion,
            explanation=reading.explanation,
            suspects=[one.edit for one in reading.suspects],
        )

    def history(self, belief: Posterior | None = None) -> list[str]:
        """What was tried, newest first, one line each: who, why, and what it did.

        Args:
            belief: Says what each edit gained; reckoned once for each belief. None to tell scores
                alone.
        """
        final = [status for status in TrialStatus if status.is_final]
        ended = self._store.latest_trials(HISTORY_LINES, purpose=Purpose.SCREEN, status=final)
        if belief is not self._belief:  # every gain is another one now
            self._belief, self._lines = belief, {}
        missing = [trial for trial in ended if trial.id not in self._lines]
        variants = {trial.id: self._store.variant(trial.variant) for trial in missing}
        effects = _effects(list(variants.values()), belief)
        lines = self._lines | {
            trial.id: self._line(trial, variants[trial.id], effects) for trial in missing
        }
        self._lines = {trial.id: lines[trial.id] for trial in ended}
        return list(self._lines.values())

    def _line(self, trial: Trial, variant: Variant, effects: Mapping[str, Effect]) -> str:
        outcome, metric = trial.outcome, self._store.metric()
        effect = effects.get(variant.sha)
        if outcome is not None and outcome.failure is not None:
            result = f"{trial.status.value}: {outcome.failure.message}"
        elif outcome is not None and outcome.val_bpb is not None:
            result = f"{metric.name} {metric.shown(outcome.val_bpb):.6g}"
            if metric.unit == "bpb":
                result = f"val_bpb {outcome.val_bpb:.4f}"
        else:
            result = trial.status.value
        if effect is not None:
            gain = with_unit(shown_gain(-effect.mean, effect.sd, metric), metric)
            against = "the sum of the edits that it unites" if variant.unites else "its parent"
            result = f"gain {gain} over {against}, {result}"
        return f"{variant.operator}: {variant.hypothesis} → {result}"


def _effects(variants: Sequence[Variant], belief: Posterior | None) -> Mapping[str, Effect]:
    """What was changed did, as far as it is known."""
    if belief is None:
        return {}
    known = dict.fromkeys(
        variant.sha
        for variant in variants
        if variant.parents and variant.sha in belief and belief.is_scored(variant.sha)
    )
    return belief.change_effects(list(known))
