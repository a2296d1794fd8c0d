"""Briefings: what the run knows that bears on one proposal, gathered from the store.

Asked for every proposal, so nothing here reads all trials: what cannot change is kept (diffs,
knobs, curves), what changes with a finished trial is reckoned once for each belief. The engine's
thread alone calls it.
"""

import functools
import heapq
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from agents.briefing import TOKENS, Briefing, Effect, FailedTry, Suggestion
from agents.files import Place, knobs_by_place
from agents.minimizer import is_useless
from evolution.breeding import Breeder, Field
from evolution.noise import Posterior
from population import (
    FailureClass,
    Fitness,
    KnobValue,
    Outcome,
    Purpose,
    Store,
    Trial,
    TrialStatus,
    Variant,
)
from population.trial import FAILED

#: Entries gathered; how many are shown is a matter of room.
EDITS, BORROWED, FAILURES, UNDER_WAY = 40, 8, 8, 32
#: Finished failures that are looked through for those of the parents' offspring.
LOOKED_THROUGH = 48
#: Of the variants with the largest gains, those whose gain is reckoned with its error.
CANDIDATES = 96
#: Best settings of knobs, of which middle and range are told.
BEST = 24
#: Edits without a gain that are told with their diffs.
USELESS = 8
#: Share of the tokens that the page of lessons may take.
LESSONS_SHARE = 0.25
#: Shares of a training at which its curve is told.
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
_KEPT_DIFFS, _KEPT_CHARACTERS = 512, 6_000


def no_lessons(_tokens: int) -> str:
    """No page of lessons."""
    return ""


class Briefings:
    """Gathers what operators are told.

    Args:
        store: Of the run.
        breeder: Knows genomes and diffs.
        machine: Facts of the machine, one line each.
        lessons: The page of lessons, within a number of tokens.
        tokens: For all that the run knows.
    """

    def __init__(
        self,
        *,
        store: Store,
        breeder: Breeder,
        machine: str = "",
        lessons: Callable[[int], str] = no_lessons,
        tokens: int = TOKENS,
    ) -> None:
        self._store = store
        self._machine = machine
        self._lessons = lessons
        self.tokens = tokens
        self._lesson_tokens = int(LESSONS_SHARE * tokens)
        self._curves: dict[str, Sequence[Mapping[str, float]]] = {}
        self._failures: dict[int, FailedTry] = {}
        self._belief: Posterior | None = None
        self._effects: dict[str, tuple[float, float]] = {}
        self._promising: tuple[Mapping[str, Fitness], list[str]] | None = None

        @functools.lru_cache(_KEPT_DIFFS)
        def diff(variant: Variant) -> str:
            return breeder.diff(variant)[:_KEPT_CHARACTERS]

        self._diff, self._breeder = diff, breeder

    def briefing(
        self,
        parents: Sequence[str],
        field: Field,
        *,
        under_way: Sequence[str] = (),
        at_work: Sequence[str] = (),
        suggestions: Sequence[Suggestion] = (),
        broken: Trial | None = None,
    ) -> Briefing:
        """What the operator of one proposal is told.

        Args:
            parents: Their commits, the fitter first.
            field: As it stands.
            under_way: What other operators have made, and what waits for a worker, one line each.
            at_work: Who is at work on what, where nobody knows the idea yet, one line each: told
                last, and only as far as there is room.
            suggestions: Ideas of people that this proposal may take up.
            broken: The trial to be repaired; None if none is.
        """
        carried = self._carried(parents[0], field)
        brought = [sha for mate in parents[1:] for sha in self._carried(mate, field)]
        brought = [sha for sha in brought if sha not in carried]
        kin = {*parents, *carried, *brought}
        candidates = [sha for sha in self._gaining(field) if sha not in kin][:CANDIDATES]
        own = [*carried[-EDITS:], *brought[-EDITS:]]
        self._reckon([*own, *candidates], field)
        return Briefing(
            lineage=self._lineage(carried[-EDITS:], field),
            mate_lineage=[self._effect(sha, field) for sha in brought[-EDITS:]],
            borrowed=self._borrowed(candidates, field),
            failures=self._failed(parents, field, broken),
            curves=self._training(parents, field),
            tuner=self._knob_state(parents[0], field),
            hardware=self._hardware(field),
            suggestions=tuple(suggestions),
            under_way=[*under_way, *self._waiting(field), *at_work][:UNDER_WAY],
            lessons=self._lessons(self._lesson_tokens),
            scores=_scores(field),
        )

    # --- edits -------------------------------------------------------------------------------

    def _carried(self, sha: str, field: Field) -> list[str]:
        """The edits of a variant and its ancestors, oldest first.

        One that was made again is told where it was made in this line, not where it was first.
        """
        carried = [field.variants[one] for one in field.lineage.edits(sha)]
        elsewhere = {one for variant in carried for one in variant.repeats}
        made = [variant for variant in carried if variant.sha not in elsewhere]
        made.sort(key=lambda variant: (variant.generation, variant.created_at, variant.name))
        return [variant.sha for variant in made]

    def _gaining(self, field: Field) -> list[str]:
        """Mutations that look better than their parent, the best first; once for each belief."""
        fitnesses = field.known.fitnesses
        if self._promising is None or self._promising[0] is not fitnesses:
            gains = (
                (gain, sha)
                for sha in fitnesses
                if (gain := self._plain_gain(sha, field)) is not None and gain > 0
            )
            found = [sha for _, sha in heapq.nlargest(4 * CANDIDATES, gains)]
            self._promising = (fitnesses, found)
        return self._promising[1]

    def _plain_gain(self, sha: str, field: Field) -> float | None:
        """A mutation's gain over its parent, without its error; None if one has no score."""
        variant, fitnesses = field.variants.get(sha), field.known.fitnesses
        if variant is None or not variant.is_single:
            return None
        own, before = fitnesses[sha].mean, fitnesses.get(variant.parents[0])
        return None if own is None or before is None or before.mean is None else before.mean - own

    def _reckon(self, shas: Iterable[str], field: Field) -> None:
        """Gain and error of edits, all that are missing in one go."""
        belief = field.known.belief
        if belief is not self._belief:
            self._belief = belief
            self._effects.clear()
        if belief is None:
            return
        missing = [
            sha
            for sha in dict.fromkeys(shas)
            if sha not in self._effects and sha in belief and belief.is_scored(sha)
        ]
        for sha, effect in belief.change_effects(missing).items():
            self._effects[sha] = (-effect.mean, effect.sd)

    def _effect(self, sha: str, field: Field, *, with_diff: bool = False) -> Effect:
        variant = field.variants[sha]
        gain, sd = self._effects.get(sha, (None, None))
        diff = self._diff(variant) if with_diff else ""
        return Effect(variant.name, variant.operator, variant.hypothesis, gain, sd, diff)

    def _lineage(self, shas: Sequence[str], field: Field) -> list[Effect]:
        """The edits that a variant carries; those that cost most, or gained nothing, with diffs."""
        effects = [self._effect(sha, field) for sha in shas]
        gained = {sha: e.gain for sha, e in zip(shas, effects, strict=True) if is_useless(e)}
        worst = heapq.nsmallest(USELESS, gained, key=lambda sha: gained[sha] or 0.0)
        return [
            self._effect(sha, field, with_diff=True) if sha in worst else effect
            for sha, effect in zip(shas, effects, strict=True)
        ]

    def _borrowed(self, candidates: Sequence[str], field: Field) -> list[Effect]:
        """Edits elsewhere that are likely to help, by what they gain at least, as likely as not."""
        surely = {
            sha: gain - sd
            for sha in candidates
            if (found := self._effects.get(sha)) is not None
            for gain, sd in (found,)
            if gain > sd
        }
        best = heapq.nlargest(BORROWED, surely, key=lambda sha: surely[sha])
        return [self._effect(sha, field, with_diff=True) for sha in best]

    # --- failures ----------------------------------------------------------------------------

    def _failed(
        self, parents: Sequence[str], field: Field, broken: Trial | None
    ) -> tuple[FailedTry, ...]:
        """The one to be repaired, then the parents' own offspring, then the latest."""
        latest = self._store.latest_trials(LOOKED_THROUGH, purpose=Purpose.SCREEN, status=FAILED)
        others = [trial for trial in latest if broken is None or trial.id != broken.id]
        near = {child for sha in parents for child in field.lineage.children(sha)}
        others.sort(key=lambda trial: trial.variant not in near)
        chosen = [broken, *others] if broken is not None else others
        told = (self._failed_try(trial) for trial in chosen if _is_of_genome(trial))
        return tuple(entry for entry, _ in zip(told, range(FAILURES), strict=False))

    def _failed_try(self, trial: Trial) -> FailedTry:
        if trial.id not in self._failures:
            failure = trial.outcome.failure if trial.outcome is not None else None
            assert failure is not None
            variant = self._store.variant(trial.variant)
            said = f"{failure.message}\n{failure.log_tail}".strip()
            self._failures[trial.id] = FailedTry(
                variant.name, trial.id, failure.kind.value, said, self._diff(variant)
            )
        return self._failures[trial.id]

    # --- trainings ---------------------------------------------------------------------------

    def _training(
        self, parents: Sequence[str], field: Field
    ) -> dict[str, Sequence[Mapping[str, float]]]:
        """Curves of the parents, of the best variant and of the baseline, as short tables."""
        first = next((sha for sha in field.variants if not field.variants[sha].parents), None)
        best = [sha for sha, _ in field.survivors[:1]]
        wanted = dict.fromkeys([*parents, *best, *([first] if first is not None else [])])
        return {field.variants[sha].name: self._rows(sha) for sha in wanted}

    def _rows(self, sha: str) -> Sequence[Mapping[str, float]]:
        if sha not in self._curves:
            trials = self._store.trials(variant=sha, status=TrialStatus.COMPLETE)
            trials = [trial for trial in trials if trial.conditions.depth_scale == 1.0]
            if not trials:
                return ()
            outcome = self._store.trial(trials[0].id).outcome
            assert outcome is not None
            self._curves[sha] = curve_rows(outcome)
        return self._curves[sha]

    def _hardware(self, field: Field) -> str:
        """Facts of the machine, and what a trial of the baseline comes to."""
        first = next((sha for sha in field.variants if not field.variants[sha].parents), None)
        rows = self._rows(first) if first is not None else ()
        if not rows:
            return self._machine
        last = rows[-1]
        told = [
            f"{last[key]:.4g} {unit}"
            for key, unit in (
                ("steps_per_second", "steps a second"),
                ("seconds", "seconds of training"),
                ("memory_mb", "MB of memory at its peak"),
            )
            if key in last
        ]
        return f"{self._machine}\nthe baseline takes {', '.join(told)}".strip()

    # --- knobs and work under way ------------------------------------------------------------

    def _knob_state(self, parent: str, field: Field) -> str:
        """Where knobs do best on the parent's code: what the tuner goes by."""
        tried = self._breeder.tried_knobs(field, parent)
        scored = [(one.fitness, one.values) for one in tried if one.fitness is not None]
        best = heapq.nsmallest(BEST, scored, key=lambda entry: entry[0])
        genome = self._breeder.genome(parent)
        return knob_lines(
            shown_knobs(knobs_by_place(genome), genome.entry),
            [shown_knobs(values, genome.entry) for _, values in best],
        )

    def _waiting(self, field: Field) -> list[str]:
        """Variants that have no score yet."""
        trials = [lease.trial for lease in self._store.running()]
        trials += self._store.trials(status=TrialStatus.QUEUED)
        new = dict.fromkeys(t.variant for t in trials if t.purpose is Purpose.SCREEN)
        known = (field.variants[sha] for sha in new if sha in field.variants)
        return [f"{variant.operator}: {variant.hypothesis}" for variant in known]


def curve_rows(outcome: Outcome) -> list[dict[str, float]]:
    """A training as a short table: a few points of its curve, the last with what it took."""
    points = [
        max(
            (point for point in outcome.curve if point.progress <= share + 0.02),
            key=lambda point: point.progress,
            default=None,
        )
        for share in SHARES
    ]
    rows: list[dict[str, float]] = []
    for point in dict.fromkeys(id(p) for p in points if p is not None):
        found = next(p for p in points if p is not None and id(p) == point)
        row = {"progress": found.progress, "loss": found.loss}
        if "grad_norm" in found.scalars:
            row["grad_norm"] = found.scalars["grad_norm"]
        rows.append(row)
    whole = rows.pop() if rows else {}
    if outcome.train_seconds > 0:
        whole["seconds"] = outcome.train_seconds
        if outcome.step_count:
            whole["steps_per_second"] = outcome.step_count / outcome.train_seconds
    if outcome.peak_memory_mb > 0:
        whole["memory_mb"] = outcome.peak_memory_mb
    if "mfu_percent" in outcome.summary:
        whole["mfu"] = outcome.summary["mfu_percent"]
    return [*rows, whole] if whole else rows


def shown_knobs(values: Mapping[Place, KnobValue], entry: str) -> dict[str, KnobValue]:
    """Knobs by name; those of other files than the entry with their file."""
    return {
        name if path == entry else f"{path}:{name}": value for (path, name), value in values.items()
    }


def knob_lines(own: Mapping[str, KnobValue], best: Sequence[Mapping[str, KnobValue]]) -> str:
    """Each knob that the best settings do not agree on: middle, spread, and the best one's."""
    lines: list[str] = []
    for name, value in own.items():
        others = [values[name] for values in best if name in values]
        if all(other == value for other in others):
            continue
        line = f"{name} is {value}; the best variant has {others[0]}"
        numbers = [v for v in others if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) > 1:
            low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
            line += f"; the best {len(numbers)}: {low:g} to {high:g}, middle {middle:g}"
        lines.append(line)
    return "\n".join(lines)


def _scores(field: Field) -> dict[str, Fitness]:
    """The fitness of the baseline, and of the best variant, if that is another."""
    fitnesses = field.known.fitnesses
    first = next((sha for sha, variant in field.variants.items() if not variant.parents), None)
    scored = [sha for sha in fitnesses if sha in field.variants and fitnesses[sha].is_scored]
    best = max(scored, key=lambda sha: fitnesses[sha], default=None)
    named = (("the baseline", first), ("the best variant", best if best != first else None))
    return {
        f"{what} {field.variants[sha].name}": fitnesses[sha]
        for what, sha in named
        if sha is not None and sha in fitnesses and fitnesses[sha].is_scored
    }


def _is_of_genome(trial: Trial) -> bool:
    failure = trial.outcome.failure if trial.outcome is not None else None
    return failure is not None and failure.kind is not FailureClass.HARNESS
