"""RunStatus: where a run stands, read from the store alone. Knows nothing of terminals."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evolution.archipelago import IslandRecord, island_records
from evolution.manuals import ManualStanding, manual_standing
from evolution.mishaps import BROKE, broken_commissions
from evolution.plateau import Episode
from evolution.progress import last_episode
from evolution.repertoire import OperatorRecord, operator_records
from evolution.sources import SourceCredit, source_credits
from evolution.spending import ModelSpending, model_spending
from evolution.workspace import DRY_RUN
from population import (
    Assurance,
    Fitness,
    FreshGain,
    Lease,
    Mark,
    Metric,
    Purpose,
    RunRecord,
    RunState,
    Scoring,
    Store,
    SuggestionState,
    Trial,
    TrialStatus,
    Variant,
    Verdict,
)
from population.assurance import UNSAFE, by_variant, of_verdict

#: What is said of a fitness that no reading of its own stands behind.
_NONE = Assurance(Scoring.REPORTED, UNSAFE)
_SCORED = (TrialStatus.COMPLETE, TrialStatus.STOPPED_EARLY)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is believed of one variant.

    Attributes:
        name: Name of the variant.
        sha: Its commit.
        operator: Who made it.
        hypothesis: What was changed, and why it should help.
        fitness: Posterior mean of its score as it is kept: lower is better.
        fitness_sd: Posterior standard deviation.
        gain: Fitness of the baseline − its own; None without a scored baseline.
        gain_sd: Its standard deviation, the two taken as independent.
        trial_count: Trials behind it.
        scoring: How its scores were obtained: the weakest way of any.
        containment: What held their trainers: the weakest level of any.
        mark: Of people: ``pinned``, ``banned``, or ``barred`` for what descends from a banned one.
    """

    name: str
    sha: str
    operator: str
    hypothesis: str
    fitness: float
    fitness_sd: float
    gain: float | None
    gain_sd: float | None
    trial_count: int
    scoring: Scoring
    containment: str
    mark: Mark | None = None

    @property
    def assurance(self) -> Assurance:
        """Both together, as they are shown."""
        return Assurance(self.scoring, self.containment)


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A trial under way; ``progress`` is the share of its budget used, None if unknown."""

    trial: int
    name: str
    operator: str
    purpose: Purpose
    depth_scale: float
    seconds: float
    progress: float | None


@dataclass(frozen=True, slots=True)
class Published:
    """A champion that fresh runs have borne out.

    Attributes:
        name: Of the variant.
        sha: Its commit.
        gain: Over the baseline, by runs that took no part in selection.
        at: When, in seconds since the epoch.
    """

    name: str
    sha: str
    gain: FreshGain
    at: float


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Where a run stands.

    Attributes:
        name: Of the run.
        state: As the engine last wrote it; a killed engine leaves ``running``.
        trains: What: ``profile cpu``, or a script of the user's own.
        is_dry_run: True if nothing trains and the scores are made up.
        variant_count: Variants so far, the baseline included.
        trial_counts: Trials by status; those without any are left out.
        offspring_done: Offspring trials that taught something: complete or stopped early.
        offspring_limit: At how many the search ends; None without such a limit.
        verdict_trials_done: Verdict trials that have ended.
        baseline: What is believed of the baseline; None before its first score.
        champion: What is believed of the best variant, banned lines aside; None while nothing is
            scored.
        sigma: Seed noise of one trial, in the metric's unit; None until the engine knows it.
        running: Trials under way.
        device_hours: Hours that trials held a slot.
        elapsed_seconds: Wall time of all sittings.
        seconds_left: Estimate, verdict included; None while there is too little to go by.
        published: The champion that was published last while the search went on; None before one.
        verdict: The last verdict; None before one.
        manual: Which manual is in force; None in a run that did not record it.
        as_of: When this was read, in seconds since the epoch.
        metric: What scores are called, and how they are shown.
        verdict_assurance: How the verdict's scores were obtained, and what held their trainers.
        models: What language models cost; None in a run that asks none.
        sources: What each source of edits brought; those without offspring are left out.
        operators: What each operator brought, and how often it is asked now.
        islands: How each island stands; none in a run that was one field throughout.
        plateau: The time without progress that the search is in, or was in last; None before one.
        pinned: Names of the variants that people pinned.
        banned: Names of those that they banned.
        open_suggestions: Suggestions of people that are offered, or wait for it.
        broken: Commissions whose threads raised an error: how many, by operator.
        last_break: What the last of them said, and where its traceback is; empty without one.
    """

    name: str
    state: RunState
    trains: str
    is_dry_run: bool
    variant_count: int
    trial_counts: Mapping[TrialStatus, int]
    offspring_done: int
    offspring_limit: int | None
    verdict_trials_done: int
    baseline: Standing | None
    champion: Standing | None
    sigma: float | None
    running: Sequence[RunningTrial]
    device_hours: float
    elapsed_seconds: float
    seconds_left: float | None
    verdict: Verdict | None
    as_of: float
    published: Published | None = None
    manual: ManualStanding | None = None
    metric: Metric = dataclasses.field(default_factory=Metric)
    verdict_assurance: Assurance | None = None
    models: ModelSpending | None = None
    sources: Sequence[SourceCredit] = ()
    operators: Sequence[OperatorRecord] = ()
    islands: Sequence[IslandRecord] = ()
    plateau: Episode | None = None
    pinned: Sequence[str] = ()
    banned: Sequence[str] = ()
    open_suggestions: int = 0
    broken: Mapping[str, int] = dataclasses.field(default_factory=dict)
    last_break: str = ""

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON values; ``fitness`` as it is kept, ``value`` as the metric's."""
        facts = dataclasses.asdict(self)
        facts["models"] = self.models.as_dict() if self.models is not None else None
        facts["operators"] = [record.as_dict() for record in self.operators]
        facts["broken"] = dict(self.broken)
        facts["trial_counts"] = {str(status): n for status, n in self.trial_counts.items()}
        for name, standing in (("baseline", self.baseline), ("champion", self.champion)):
            if standing is not None:
                facts[name]["value"] = self.metric.shown(standing.fitness)
        return facts


def run_status(
    store: Store,
    now: float,
    *,
    progress: Mapping[int, float] | None = None,
    is_live: bool = True,
    program: Path | None = None,
) -> RunStatus:
    """Read where the run stands.

    Args:
        store: Of the run; may be open for reading only.
        now: Seconds since the epoch.
        progress: Share of the budget used, by trial, as the executor knows it.
        is_live: False if no engine works on the run: its clock then stands still.
        program: Path of the run's program.md, to be told.
    """
    record, trials = store.run(), store.trials()
    variants = {v.sha: v for v in store.variants()}
    standings = rank(store, trials)
    screens = [t for t in trials if t.purpose is Purpose.SCREEN]
    done = sum(t.status in _SCORED for t in screens)
    elapsed = _elapsed(store, trials, now if is_live else None)
    sigma, verdicts = store.fact("sigma"), store.verdicts()
    champion, marked = store.champion(), store.marked()
    broken = broken_commissions(store)
    return RunStatus(
        name=record.name,
        state=record.state,
        trains=record.trains,
        is_dry_run=store.fact(DRY_RUN) is True,
        variant_count=len(variants),
        trial_counts=_counts(trials),
        offspring_done=done,
        offspring_limit=_trial_limit(record),
        verdict_trials_done=sum(t.purpose is Purpose.VERDICT and t.status.is_final for t in trials),
        baseline=next((s for s in standings if s.sha == record.baseline), None),
        champion=next((s for s in standings if s.sha == champion), None),
        sigma=float(sigma) if isinstance(sigma, int | float) else None,
        running=tuple(
            _running(lease, variants[lease.trial.variant], progress or {}, now)
            for lease in store.running()
        ),
        device_hours=sum(t.outcome.total_seconds for t in trials if t.outcome) / 3600,
        elapsed_seconds=elapsed,
        seconds_left=_seconds_left(record, trials, elapsed, bool(verdicts)),
        verdict=verdicts[-1] if verdicts else None,
        as_of=now,
        published=_published(store, variants),
        manual=manual_standing(store, program),
        metric=store.metric(),
        verdict_assurance=of_verdict(verdicts[-1].label, trials) if verdicts else None,
        models=model_spending(store, elapsed),
        sources=source_credits(store, champion),
        operators=operator_records(store),
        islands=island_records(store),
        plateau=last_episode(store),
        pinned=[variants[sha].name for sha, m in marked.items() if m.mark is Mark.PINNED],
        banned=[variants[sha].name for sha, m in marked.items() if m.mark is Mark.BANNED],
        open_suggestions=sum(s.state is SuggestionState.OPEN for s in store.suggestions()),
        broken=Counter(commission.operator for commission in broken),
        last_break=broken[-1].reason.removeprefix(BROKE) if broken else "",
    )


def rank(store: Store, trials: Sequence[Trial] | None = None) -> list[Standing]:
    """Every scored variant, best first."""
    variants = {v.sha: v for v in store.variants()}
    trials = store.trials() if trials is None else trials
    assurances = by_variant(trials)
    fitnesses, root, marks = store.fitnesses(), store.run().baseline or "", store.marks()
    ordered = sorted(fitnesses, key=lambda sha: fitnesses[sha], reverse=True)
    return [
        _standing(
            variants[sha],
            fitnesses[sha],
            fitnesses.get(root),
            assurances.get(sha, _NONE),
            is_baseline=sha == root,
            mark=marks.get(sha),
        )
        for sha in ordered
        if fitnesses[sha].is_scored and sha in variants
    ]


def _standing(
    variant: Variant,
    fitness: Fitness,
    baseline: Fitness | None,
    assurance: Assurance,
    *,
    is_baseline: bool,
    mark: Mark | None = None,
) -> Standing:
    assert fitness.mean is not None
    against = fitness.gain_over(baseline) if baseline is not None else None
    gain, gain_sd = (0.0, 0.0) if is_baseline else against or (None, None)
    return Standing(
        name=variant.name,
        sha=variant.sha,
        operator=variant.operator,
        hypothesis=variant.hypothesis,
        fitness=fitness.mean,
        fitness_sd=fitness.sd,
        gain=gain,
        gain_sd=gain_sd,
        trial_count=fitness.trial_count,
        scoring=assurance.scoring,
        containment=assurance.containment,
        mark=mark,
    )


def _published(store: Store, variants: Mapping[str, Variant]) -> Published | None:
    last = store.published()
    if last is None or last.gain is None:
        return None
    return Published(variants[last.variant].name, last.variant, last.gain, last.created_at)


def _counts(trials: Sequence[Trial]) -> dict[TrialStatus, int]:
    counts = Counter(t.status for t in trials)
    return {status: counts[status] for status in TrialStatus if counts[status]}


def _running(
    lease: Lease, variant: Variant, progress: Mapping[int, float], now: float
) -> RunningTrial:
    trial = lease.trial
    return RunningTrial(
        trial=trial.id,
        name=variant.name,
        operator=variant.operator,
        purpose=trial.purpose,
        depth_scale=trial.conditions.depth_scale,
        seconds=max(0.0, now - trial.started_at) if trial.started_at is not None else 0.0,
        progress=progress.get(trial.id),
    )


def _elapsed(store: Store, trials: Sequence[Trial], now: float | None) -> float:
    """Wall time of all sittings: what the engine saved, and what has passed since it did."""
    saved = store.fact("active_seconds")
    seconds = float(saved) if isinstance(saved, int | float) else 0.0
    began = [t.started_at for t in trials if t.status is TrialStatus.RUNNING and t.started_at]
    if now is None or not began:
        return seconds
    last_save = max((t.finished_at for t in trials if t.finished_at is not None), default=0.0)
    # Before the first save of a sitting, its oldest running trial tells when it began.
    return seconds + max(0.0, now - max(last_save, min(began)))


def _seconds_left(
    record: RunRecord, trials: Sequence[Trial], elapsed: float, has_verdict: bool
) -> float | None:
    """From the run's own pace so far; a deeper trial counts by its depth."""
    if record.state is RunState.FINISHED or has_verdict:
        return 0.0
    ended = [t for t in trials if t.status.has_run]
    weight = sum(t.conditions.depth_scale for t in ended)
    screens = [t for t in ended if t.purpose is Purpose.SCREEN]
    done = sum(t.status in _SCORED for t in screens)
    if len(ended) < 3 or not done or elapsed <= 0:
        return None
    search = []
    limit, hours = _trial_limit(record), _limit(record, "hours")
    seconds_each = elapsed / weight
    if limit is not None:
        search.append(max(0.0, limit - done) * len(screens) / done * seconds_each)
    if hours is not None:
        search.append(max(0.0, hours * 3600 - elapsed))
    if not search:
        return None
    verdict = 2 * _verdict_weight(record) - sum(
        t.conditions.depth_scale for t in ended if t.purpose is Purpose.VERDICT
    )
    return min(search) + max(0.0, verdict) * seconds_each


def _verdict_weight(record: RunRecord) -> float:
    """The least that a verdict needs of each side: pairs times depths."""
    pairs, depths = _setting(record, "verdict", "pairs"), _setting(record, "verdict", "depths")
    if not isinstance(pairs, int) or not isinstance(depths, Sequence):
        return 0.0
    return pairs * sum(float(depth) for depth in depths if isinstance(depth, int | float))


def _setting(record: RunRecord, section: str, key: str) -> object:
    """A setting of the run; None if it has none, as runs of other versions may."""
    values = record.settings.get(section)
    return values.get(key) if isinstance(values, Mapping) else None


def _limit(record: RunRecord, key: str) -> float | None:
    value = _setting(record, "limits", key)
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _trial_limit(record: RunRecord) -> int | None:
    limit = _limit(record, "trials")
    return None if limit is None else int(limit)
