"""Store -> tidy DataFrames: one row a variant, trial, curve point or verdict rung. Never writes.

Each frame has a table of its columns beside it (``VARIANT_COLUMNS``, …): type and meaning, in the
order in which they come. An empty run gives empty frames of the same columns and types.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from population import (
    Assurance,
    Fitness,
    Origin,
    Purpose,
    Scoring,
    Store,
    Trial,
    Variant,
    gain_over_parent,
    suggestion_label,
)
from population.assurance import by_variant, of_trial, of_verdict

TIME = "datetime64[us, UTC]"


class Column(NamedTuple):
    """What one column of a frame holds."""

    dtype: str
    meaning: str


VARIANT_COLUMNS: Mapping[str, Column] = {
    "variant": Column("str", "Commit of the variant: the key."),
    "name": Column("str", "Its name for people, unique in the run."),
    "generation": Column("int64", "1 + the highest generation of its parents; 0: the baseline."),
    "origin": Column("str", "baseline, seed, mutation or crossover."),
    "operator": Column("str", "Who made it."),
    "hypothesis": Column("str", "What was changed, and why it should help."),
    "parents": Column("object", "Commits of its parents, in order, as a tuple."),
    "adds": Column("object", "Commits whose own edits it has beside its parents', as a tuple."),
    "drops": Column("object", "Commits whose own edits its parents have and it lacks, likewise."),
    "repeats": Column("object", "Commits whose own edits its author made again, as a tuple."),
    "reverts": Column("object", "Commits whose own edits its author took out again, likewise."),
    "genome_hash": Column("str", "Canonical hash: equal for genomes that do the same."),
    "created_at": Column(TIME, "When it was made."),
    "expected_gain": Column("float64", "What its author hoped for, in bpb; missing if unsaid."),
    "fitness": Column("float64", "Posterior mean of its val_bpb; missing without a score."),
    "fitness_sd": Column("float64", "Posterior standard deviation of the same."),
    "gain": Column("float64", "Fitness of the baseline − its own: positive is better."),
    "gain_sd": Column("float64", "Standard deviation of the gain, the two taken as independent."),
    "parent_gain": Column("float64", "Fitness of its better parent − its own; or missing."),
    "parent_gain_sd": Column("float64", "Its standard deviation, the two taken as independent."),
    "trial_count": Column("int64", "Trials behind the fitness."),
    "scoring": Column("str", "trusted, or reported if any reading of it is the genome's own."),
    "containment": Column("str", "Weakest level that held its trainers: namespace landlock basic."),
    "status": Column("str", "Status of its newest trial that is no verdict run; missing if none."),
    "failure": Column("str", "Why that trial gave no score; missing if it gave one."),
    "is_champion": Column("bool", "True for the best fitness, banned lines aside."),
    "mark": Column("str", "pinned, banned, barred (descends from a banned one); missing if none."),
    "suggestion": Column("str", "The person's suggestion that it took up, as S3; or missing."),
    "island": Column("float64", "Island on which it was bred, from 0; missing: it is on all."),
}

TRIAL_COLUMNS: Mapping[str, Column] = {
    "trial": Column("int64", "Number of the trial in the run, from 1."),
    "variant": Column("str", "Commit of the variant that ran."),
    "name": Column("str", "Name of the variant."),
    "generation": Column("int64", "Generation of the variant."),
    "operator": Column("str", "Who made the variant."),
    "purpose": Column("str", "baseline, screen, replicate, publication or verdict."),
    "pair": Column("str", "Label of its verdict pair; missing outside verdicts."),
    "status": Column("str", "queued, running, or one of the ends, such as complete."),
    "attempt": Column("int64", "How many times it was started."),
    "rng_seed": Column("int64", "The trial's seed."),
    "depth_scale": Column("float64", "Factor on the genome's own depth; 1 at home."),
    "split": Column("str", "validation, or test for the sealed one."),
    "device_class": Column("str", "cpu, or the GPU's name."),
    "budget_kind": Column("str", "wall, cpu or tokens."),
    "budget_amount": Column("float64", "Seconds or tokens, as the kind says."),
    "queued_at": Column(TIME, "When it was asked for."),
    "started_at": Column(TIME, "Start of its present attempt."),
    "finished_at": Column(TIME, "End of its last attempt."),
    "hours": Column("float64", "Hours from the creation of the run to its end."),
    "val_bpb": Column("float64", "Bits per byte on the split, lower is better; or missing."),
    "test_bpb": Column("float64", "The same on the sealed test split; verdict runs alone read it."),
    "scoring": Column("str", "trusted: the harness's own, or reported by the genome's process."),
    "containment": Column("str", "Level that held its trainer: namespace, landlock or basic."),
    "last_snapshot": Column("float64", "Newest reading inside the run, in bpb on a small slice."),
    "train_seconds": Column("float64", "Wall seconds of training."),
    "total_seconds": Column("float64", "Wall seconds of the whole trial."),
    "cpu_seconds": Column("float64", "CPU-seconds of the process tree, calibration included."),
    "train_tokens": Column("float64", "Training tokens used."),
    "granted_tokens": Column("float64", "Tokens that a cpu budget bought; missing otherwise."),
    "step_count": Column("float64", "Batches drawn."),
    "peak_memory_mb": Column("float64", "Peak resident memory of the process tree."),
    "cost_ratio": Column("float64", "CPU cost of a token against the baseline's, if measured."),
    "is_suspect": Column("bool", "True if its steps disagree with its calibration by over 10 %."),
    "failure": Column("str", "Class of the failure; missing if there is a score."),
    "failure_message": Column("str", "The failure in one line."),
}

CURVE_COLUMNS: Mapping[str, Column] = {
    "trial": Column("int64", "Number of the trial."),
    "name": Column("str", "Name of its variant."),
    "operator": Column("str", "Who made the variant."),
    "depth_scale": Column("float64", "Factor on the genome's own depth; 1 at home."),
    "progress": Column("float64", "Share of the training budget used, 0 to 1."),
    "quantity": Column("str", "loss, a further scalar's name, or snapshot for a reading in bpb."),
    "value": Column("float64", "The point. Of a reported quantity a genome may say anything."),
    "scoring": Column("str", "reported: the genome said it; or trusted, of a snapshot alone."),
    "containment": Column("str", "Level that held its trainer: namespace, landlock or basic."),
}

VERDICT_COLUMNS: Mapping[str, Column] = {
    "verdict": Column("str", "Label of the verdict, as v001."),
    "champion": Column("str", "Commit of the champion; missing if no variant made a claim."),
    "name": Column("str", "Name of the champion."),
    "depth_scale": Column("float64", "Factor on both genomes' depth; 1 at home."),
    "gain": Column("float64", "Mean of baseline − champion over the pairs, in bpb."),
    "low": Column("float64", "Lower end of the 95 % interval of the gain."),
    "high": Column("float64", "Upper end."),
    "test_gain": Column("float64", "The gain on the sealed test split; missing where not read."),
    "test_low": Column("float64", "Lower end of its 95 % interval."),
    "test_high": Column("float64", "Upper end."),
    "p_better": Column("float64", "Probability that the champion is better."),
    "pair_count": Column("int64", "Pairs in which both gave a score."),
    "scoring": Column("str", "trusted, or reported if any score of the verdict is."),
    "containment": Column("str", "Weakest level that held any trainer of the verdict."),
    "ruling": Column("str", "confirmed, not_confirmed, reversed or undecided."),
    "created_at": Column(TIME, "When it was passed."),
}

#: Purposes of trials that bear claims out and take no part in selection.
FRESH = tuple(str(purpose) for purpose in Purpose if not purpose.informs)


def variants_frame(store: Store) -> pd.DataFrame:
    """One row a variant, in order of creation; columns: ``VARIANT_COLUMNS``."""
    variants, fitnesses = store.variants(), store.fitnesses()
    newest = {t.variant: t for t in store.trials() if t.purpose.informs}
    champion, marks = store.champion(), store.marks()
    root = next((v.sha for v in variants if v.origin is Origin.BASELINE), "")
    assurances = by_variant(store.trials())
    rows = [
        _variant_row(v, fitnesses.get(v.sha), fitnesses.get(root), newest.get(v.sha))
        | _against_parent(v, fitnesses)
        | assured(assurances.get(v.sha))
        | {"is_champion": v.sha == champion, "mark": str(marks[v.sha]) if v.sha in marks else None}
        for v in variants
    ]
    return tidy(rows, VARIANT_COLUMNS)


def trials_frame(store: Store) -> pd.DataFrame:
    """One row a trial, in order of their numbers; columns: ``TRIAL_COLUMNS``."""
    variants = {v.sha: v for v in store.variants()}
    began = store.run().created_at
    return tidy((_trial_row(t, variants[t.variant], began) for t in store.trials()), TRIAL_COLUMNS)


def curves_frame(store: Store) -> pd.DataFrame:
    """One row a point of a training curve, snapshots included; columns: ``CURVE_COLUMNS``."""
    variants = {v.sha: v for v in store.variants()}
    rows: list[dict[str, Any]] = []
    for trial in store.trials(with_curves=True):
        if trial.outcome is None:
            continue
        variant = variants[trial.variant]
        key = {
            "trial": trial.id,
            "name": variant.name,
            "operator": variant.operator,
            "depth_scale": trial.conditions.depth_scale,
            "scoring": str(Scoring.REPORTED),
            "containment": trial.outcome.containment,
        }
        for point in trial.outcome.curve:
            for quantity, value in {"loss": point.loss, **point.scalars}.items():
                rows.append(
                    {**key, "progress": point.progress, "quantity": quantity, "value": value}
                )
        rows.extend(
            {**key, "progress": s.fraction, "quantity": "snapshot", "value": s.bpb}
            | assured(of_trial(trial))
            for s in trial.outcome.snapshots
        )
    return tidy(rows, CURVE_COLUMNS)


def verdicts_frame(store: Store) -> pd.DataFrame:
    """One row a rung of each verdict; columns: ``VERDICT_COLUMNS``."""
    names, trials = {v.sha: v.name for v in store.variants()}, store.trials()
    rows = [
        {
            "verdict": verdict.label,
            "champion": verdict.champion,
            "name": names.get(verdict.champion or ""),
            "depth_scale": rung.depth_scale,
            "gain": rung.gain,
            "low": rung.low,
            "high": rung.high,
            "test_gain": rung.sealed.gain if rung.sealed else None,
            "test_low": rung.sealed.low if rung.sealed else None,
            "test_high": rung.sealed.high if rung.sealed else None,
            "p_better": rung.p_better,
            "pair_count": rung.pair_count,
            "ruling": str(rung.ruling),
            "created_at": verdict.created_at,
        }
        | assured(of_verdict(verdict.label, trials))
        for verdict in store.verdicts()
        for rung in verdict.rungs
    ]
    return tidy(rows, VERDICT_COLUMNS)


def _variant_row(
    variant: Variant, fitness: Fitness | None, baseline: Fitness | None, newest: Trial | None
) -> dict[str, Any]:
    scored = fitness if fitness is not None and fitness.is_scored else None
    row = {
        "variant": variant.sha,
        "name": variant.name,
        "generation": variant.generation,
        "origin": str(variant.origin),
        "operator": variant.operator,
        "hypothesis": variant.hypothesis,
        "parents": variant.parents,
        "adds": variant.adds,
        "drops": variant.drops,
        "repeats": variant.repeats,
        "reverts": variant.reverts,
        "genome_hash": variant.genome_hash,
        "created_at": variant.created_at,
        "expected_gain": variant.expected_gain,
        "suggestion": suggestion_label(variant.suggestion) if variant.suggestion else None,
        "island": variant.island,
        "fitness": scored.mean if scored else None,
        "fitness_sd": scored.sd if scored else None,
        "gain": None,
        "gain_sd": None,
        "trial_count": fitness.trial_count if fitness else 0,
        "status": str(newest.status) if newest else None,
        "failure": None,
    }
    gain = scored.gain_over(baseline) if scored and baseline else None
    if gain is not None:
        is_baseline = variant.origin is Origin.BASELINE
        row["gain"], row["gain_sd"] = (0.0, 0.0) if is_baseline else gain
    if newest and newest.outcome and newest.outcome.failure:
        row["failure"] = str(newest.outcome.failure.kind)
    return row


def _against_parent(variant: Variant, fitnesses: Mapping[str, Fitness]) -> dict[str, float]:
    gain = gain_over_parent(variant, fitnesses)
    return {} if gain is None else {"parent_gain": gain[0], "parent_gain_sd": gain[1]}


def _trial_row(trial: Trial, variant: Variant, began: float) -> dict[str, Any]:
    conditions, outcome = trial.conditions, trial.outcome
    row: dict[str, Any] = {
        "trial": trial.id,
        "variant": trial.variant,
        "name": variant.name,
        "generation": variant.generation,
        "operator": variant.operator,
        "purpose": str(trial.purpose),
        "pair": trial.pair,
        "status": str(trial.status),
        "attempt": trial.attempt,
        "rng_seed": conditions.rng_seed,
        "depth_scale": conditions.depth_scale,
        "split": conditions.split,
        "device_class": conditions.device_class,
        "budget_kind": str(conditions.budget.kind),
        "budget_amount": conditions.budget.amount,
        "queued_at": trial.queued_at,
        "started_at": trial.started_at,
        "finished_at": trial.finished_at,
        "is_suspect": False,
    }
    if trial.finished_at is not None:
        row["hours"] = (trial.finished_at - began) / 3600
    if outcome is None:
        return row
    return row | {
        "val_bpb": outcome.val_bpb,
        "test_bpb": outcome.test_bpb,
        "scoring": str(outcome.scoring) if of_trial(trial) is not None else None,
        "containment": outcome.containment,
        "last_snapshot": outcome.snapshots[-1].bpb if outcome.snapshots else None,
        "train_seconds": outcome.train_seconds,
        "total_seconds": outcome.total_seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "train_tokens": outcome.train_tokens,
        "granted_tokens": outcome.granted_tokens,
        "step_count": outcome.step_count,
        "peak_memory_mb": outcome.peak_memory_mb,
        "cost_ratio": outcome.calibration.cost_ratio if outcome.calibration else None,
        "is_suspect": outcome.is_suspect,
        "failure": str(outcome.failure.kind) if outcome.failure else None,
        "failure_message": outcome.failure.message if outcome.failure else None,
    }


def assured(assurance: Assurance | None) -> dict[str, Any]:
    """The two columns of an assurance, missing without one."""
    if assurance is None:
        return {"scoring": None, "containment": None}
    return {"scoring": str(assurance.scoring), "containment": assurance.containment}


def tidy(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Column]) -> pd.DataFrame:
    """Rows under the columns given, each of its own type even when there are no rows."""
    table = list(rows)
    series = {
        name: _series([row.get(name) for row in table], column.dtype)
        for name, column in columns.items()
    }
    return pd.DataFrame(series, columns=list(columns))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, each as values by column."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _series(values: list[Any], dtype: str) -> "pd.Series[Any]":
    if dtype == TIME:
        moments = pd.to_datetime(pd.Series(values, dtype="float64"), unit="s", utc=True)
        return moments.dt.as_unit("us")
    series: pd.Series[Any] = pd.Series(values, dtype=dtype)
    return series
