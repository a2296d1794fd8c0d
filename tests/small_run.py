"""A small run on disk, the same every time: real database, real repository, made-up scores."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from population import (
    Branches,
    CurvePoint,
    Fitness,
    Genome,
    Origin,
    Outcome,
    Purpose,
    Ruling,
    RungVerdict,
    RunPaths,
    RunState,
    SealedGain,
    Snapshot,
    Store,
    TrialStatus,
    Variant,
    Verdict,
    canonical_hash,
    commit_message,
)
from tests.builders import GENOME_TEXT, NOW, a_failure, a_run, an_outcome, conditions

SETTINGS = {
    "run": {"profile": "tiny"},
    "limits": {"trials": 8, "hours": 0.0, "device_hours": 0.0},
    "verdict": {"pairs": 3, "depths": [1.0, 1.5]},
}

#: What a genome may call its idea: it must not reach a terminal as a command, or as markup.
HOSTILE = "\x1b]0;owned\x07\x1b[2J[bold red]wide[/] head\nsecond line \u202egnp"


@dataclass(frozen=True)
class Birth:
    """How one variant of the small run comes about."""

    operator: str
    hypothesis: str
    parents: Sequence[int] = ()
    change: tuple[str, str] = ("", "")
    scores: Sequence[float] = ()
    ending: TrialStatus = TrialStatus.COMPLETE


_BIRTHS = (
    Birth("baseline", "The baseline", scores=(1.5521, 1.5487, 1.5553)),
    Birth("knob", "LEARNING_RATE 0.003 → 0.004", (0,), ("3e-3", "4e-3"), (1.5392,)),
    Birth("structure", HOSTILE, (0,), ("16", "32"), (1.5613,)),
    Birth("merge", "g001-001 with the wide head", (1, 2), ("3e-3", "5e-3"), (1.5291, 1.5334)),
    Birth("knob", "DEPTH 2 → 3", (1,), ("DEPTH = 2", "DEPTH = 3"), ending=TrialStatus.CRASHED),
    Birth(
        "structure",
        "no decay on embeddings",
        (3,),
        ("WIDTH = 64", "WIDTH = 65"),
        ending=TrialStatus.STOPPED_EARLY,
    ),
)
_FITNESSES = (
    Fitness(1.552, 0.0017, 3),
    Fitness(1.541, 0.0031, 1),
    Fitness(1.559, 0.0033, 1),
    Fitness(1.5321, 0.0024, 2),
    Fitness(None, 0.0, 0),
    Fitness(1.59, 0.02, 1),
)


def a_small_run(
    runs: Path, name: str = "night-1", *, state: RunState = RunState.FINISHED
) -> RunPaths:
    """Make the run ``name`` in the folder ``runs``."""
    shutil.copytree(_made_once(name, state), runs / name)
    return RunPaths(runs / name)


@functools.cache
def _made_once(name: str, state: RunState) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="small-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _make(RunPaths(folder / name), name, state).root


def _make(paths: RunPaths, name: str, state: RunState) -> RunPaths:
    paths.make_folders()
    paths.settings.write_text("[run]\nprofile = 'tiny'\n")
    with Branches.create(paths.repository) as branches:
        variants = _variants(branches, name)
    run = a_run(SETTINGS, name=name, baseline=variants[0].sha)
    with Store.create(paths.database, run) as store:
        for variant in variants:
            store.add_variant(variant)
        for variant, birth in zip(variants, _BIRTHS, strict=True):
            _try(store, variant, birth)
        shas = [variant.sha for variant in variants]
        store.save_fitnesses(dict(zip(shas, _FITNESSES, strict=True)))
        _confirm(store, variants)
        store.set_fact("active_seconds", 754.0)
        store.set_fact("sigma", 0.0036)
        store.update_run(state=state)
    return paths


def _variants(branches: Branches, run: str) -> list[Variant]:
    variants: list[Variant] = []
    for serial, birth in enumerate(_BIRTHS):
        parents = [variants[number] for number in birth.parents]
        generation = max((parent.generation + 1 for parent in parents), default=0)
        genome = Genome.single(GENOME_TEXT.replace(*birth.change) if birth.parents else GENOME_TEXT)
        name = f"g{generation:03d}-{serial:03d}"
        sha = branches.commit(
            genome,
            [parent.sha for parent in parents],
            message=commit_message(birth.hypothesis, {"Operator": birth.operator}),
            at=NOW + serial,
        )
        branches.anchor(sha, run=run, name=name)
        origins = (Origin.BASELINE, Origin.MUTATION, Origin.CROSSOVER)
        variants.append(
            Variant(
                sha=sha,
                name=name,
                generation=generation,
                parents=tuple(parent.sha for parent in parents),
                origin=origins[len(parents)],
                operator=birth.operator,
                hypothesis=birth.hypothesis,
                genome_hash=canonical_hash(genome),
                created_at=NOW + serial,
            )
        )
    return variants


def _try(store: Store, variant: Variant, birth: Birth) -> None:
    scores = birth.scores or (None,)
    for number, score in enumerate(scores):
        purpose = Purpose.SCREEN if number == 0 else Purpose.REPLICATE
        run_trial(
            store,
            variant,
            Purpose.BASELINE if not birth.parents else purpose,
            an_outcome(score, **_ending(birth)),
        )


def _ending(birth: Birth) -> dict[str, Any]:
    if birth.ending is TrialStatus.STOPPED_EARLY:
        return {"status": birth.ending, "failure": None, "snapshots": (Snapshot(0.25, 1.93),)}
    if birth.ending is TrialStatus.CRASHED:
        return {"failure": a_failure(log_tail="Traceback\n\x1b[31mValueError: shapes differ\n")}
    return {"curve": (CurvePoint(0.5, 3.1, {"lr": 0.01}), CurvePoint(1.0, 2.9, {"lr": 0.0}))}


def run_trial(
    store: Store, variant: Variant, purpose: Purpose, outcome: Outcome, **changes: Any
) -> None:
    """Queue, start and finish one trial, twenty seconds after the one before."""
    serial = len(store.trials()) + 1
    at = NOW + 20.0 * serial
    pair, depth = changes.get("pair"), changes.get("depth_scale", 1.0)
    trial = store.queue_trial(
        variant.sha,
        purpose=purpose,
        conditions=conditions(rng_seed=serial, depth_scale=depth),
        pair=pair,
        at=at,
    )
    started = store.start_trial(trial.id, slot=0, lease_seconds=60, at=at + 1)
    store.finish_trial(trial.id, started.attempt, outcome, at=at + 13)


def _confirm(store: Store, variants: Sequence[Variant]) -> None:
    for depth in (1.0, 1.5):
        for number in range(3):
            for variant, score in ((variants[0], 1.551), (variants[3], 1.531)):
                run_trial(
                    store,
                    variant,
                    Purpose.VERDICT,
                    an_outcome(score - 0.05 * (depth > 1)),
                    pair=f"v001:{depth:g}:{number + 1}",
                    depth_scale=depth,
                )
    rungs = (
        RungVerdict(
            *(1.0, 0.02, 0.0132, 0.0268, 0.998, 3, Ruling.CONFIRMED),
            sealed=SealedGain(0.017, 0.0101, 0.0239, 3),
        ),
        RungVerdict(1.5, 0.0061, -0.0043, 0.0165, 0.88, 3, Ruling.NOT_CONFIRMED),
    )
    store.add_verdict(Verdict("v001", variants[3].sha, variants[0].sha, rungs, NOW + 600))
