"""Small values for tests: each builder gives a sensible whole, keywords change what matters."""

import hashlib
from collections.abc import Mapping
from typing import Any

from population import (
    Budget,
    BudgetKind,
    Calibration,
    Conditions,
    Failure,
    FailureClass,
    Genome,
    Lesson,
    Origin,
    Outcome,
    Purpose,
    Ruling,
    RungVerdict,
    RunRecord,
    RunState,
    Trial,
    TrialStatus,
    Variant,
    Verdict,
)

NOW = 1_700_000_000.0

GENOME_TEXT = '''"""A genome as small as the contract allows."""

import torch
from prepare import evaluate_bpb, make_dataloader

DEPTH = 2
WIDTH = 64
LEARNING_RATE = 3e-3


def build_model():
    return torch.nn.Linear(WIDTH, WIDTH)


if __name__ == "__main__":
    model = build_model()
    for x, y in make_dataloader(16):
        break
    evaluate_bpb(model)
'''


def sha_of(label: object) -> str:
    """A commit-like name that depends on ``label`` alone."""
    return hashlib.sha1(repr(label).encode()).hexdigest()


def a_genome(text: str = GENOME_TEXT, **files: str) -> Genome:
    """A genome of ``train.py``, and of ``files`` by name without ``.py``."""
    return Genome({"train.py": text, **{f"{name}.py": more for name, more in files.items()}})


def a_variant(serial: int = 0, **changes: Any) -> Variant:
    """The variant number ``serial``: a baseline unless it is given parents."""
    parents = tuple(changes.pop("parents", ()))
    origin = (Origin.BASELINE, Origin.MUTATION, Origin.CROSSOVER)[len(parents)]
    generation = changes.pop("generation", 1 if parents else 0)
    defaults: dict[str, Any] = {
        "sha": sha_of(("variant", serial)),
        "name": f"g{generation:03d}-{serial:03d}",
        "generation": generation,
        "parents": parents,
        "origin": origin,
        "operator": str(origin),
        "hypothesis": f"idea {serial}",
        "genome_hash": hashlib.sha256(f"genome {serial}".encode()).hexdigest(),
        "created_at": NOW + serial,
    }
    return Variant(**(defaults | changes))


def a_family(*parents_of: tuple[int, ...]) -> list[Variant]:
    """Variants 0, 1, …, each with the parents (by number) that stand at its place."""
    family: list[Variant] = []
    for serial, numbers in enumerate(parents_of):
        parents = [family[number] for number in numbers]
        generation = max((parent.generation + 1 for parent in parents), default=0)
        shas = tuple(parent.sha for parent in parents)
        family.append(a_variant(serial, parents=shas, generation=generation))
    return family


def conditions(**changes: Any) -> Conditions:
    """Conditions of a ``tokens`` budget on the CPU."""
    defaults: dict[str, Any] = {"budget": Budget(BudgetKind.TOKENS, 10_000.0), "rng_seed": 1}
    return Conditions(**(defaults | changes))


def an_outcome(val_bpb: float | None = 1.5, **changes: Any) -> Outcome:
    """A complete outcome with a score; with ``val_bpb=None`` a crash."""
    defaults: dict[str, Any] = {
        "status": TrialStatus.COMPLETE if val_bpb is not None else TrialStatus.CRASHED,
        "val_bpb": val_bpb,
        "train_seconds": 10.0,
        "total_seconds": 12.0,
        "cpu_seconds": 11.0,
        "train_tokens": 10_000,
        "step_count": 10,
        "peak_memory_mb": 300.0,
        "summary": {} if val_bpb is None else {"val_bpb": val_bpb},
        "failure": None if val_bpb is not None else a_failure(),
    }
    return Outcome(**(defaults | changes))


def a_failure(**changes: Any) -> Failure:
    """An ordinary exception in the genome."""
    defaults: dict[str, Any] = {
        "kind": FailureClass.ERROR,
        "message": "ValueError: shapes differ",
        "log_tail": "Traceback (most recent call last):\nValueError: shapes differ\n",
    }
    return Failure(**(defaults | changes))


def a_trial(trial_id: int = 1, **changes: Any) -> Trial:
    """A complete trial of variant 0; an ``outcome`` decides the status."""
    outcome = changes.get("outcome", an_outcome())
    defaults: dict[str, Any] = {
        "id": trial_id,
        "variant": a_variant().sha,
        "purpose": Purpose.SCREEN,
        "conditions": conditions(rng_seed=trial_id),
        "status": outcome.status if outcome else TrialStatus.QUEUED,
        "attempt": 1 if outcome else 0,
        "queued_at": NOW,
        "started_at": NOW + 1 if outcome else None,
        "finished_at": NOW + 13 if outcome else None,
        "outcome": outcome,
    }
    return Trial(**(defaults | changes))


def a_calibration(**changes: Any) -> Calibration:
    """A genome that costs exactly what the baseline costs."""
    defaults: dict[str, Any] = {
        "genome_hash": "g" * 64,
        "device_class": "cpu",
        "cost_ratio": 1.0,
        "pair_count": 20,
        "genome_seconds": 1e-5,
        "baseline_seconds": 1e-5,
    }
    return Calibration(**(defaults | changes))


def a_run(settings: Mapping[str, Any] | None = None, **changes: Any) -> RunRecord:
    """A run that was just created."""
    defaults: dict[str, Any] = {
        "name": "night-1",
        "created_at": NOW,
        "state": RunState.CREATED,
        "settings": settings or {"search": {"workers": 2}},
        "ruler_hash": "r" * 64,
        "data_hash": "d" * 64,
        "baseline": None,
        "rng_seed": 7,
    }
    return RunRecord(**(defaults | changes))


def a_rung(**changes: Any) -> RungVerdict:
    """A confirmed gain at home depth."""
    defaults: dict[str, Any] = {
        "depth_scale": 1.0,
        "gain": 0.01,
        "low": 0.004,
        "high": 0.016,
        "p_better": 0.99,
        "pair_count": 4,
        "ruling": Ruling.CONFIRMED,
    }
    return RungVerdict(**(defaults | changes))


def a_verdict(**changes: Any) -> Verdict:
    """Variant 1's gain over variant 0, confirmed at home."""
    defaults: dict[str, Any] = {
        "label": "v001",
        "champion": a_variant(1).sha,
        "baseline": a_variant(0).sha,
        "rungs": (a_rung(),),
        "created_at": NOW,
    }
    return Verdict(**(defaults | changes))


def a_lesson(**changes: Any) -> Lesson:
    """A lesson of the librarian's that trial 1 says."""
    defaults: dict[str, Any] = {
        "text": "Shorter warmups help at this budget.",
        "source": "librarian",
        "confidence": 0.7,
        "at": NOW,
        "evidence": (1,),
    }
    return Lesson(**(defaults | changes))
