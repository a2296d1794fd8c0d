"""Counting the parameters of a genome's model before anything trains.

A trainer is started that builds the model and does nothing else: no data, no clock, no ruler of its
own version. What it counts it says itself, as a score is reported: this finds the genome that grew
too large, not the one that lies.
"""

import time
from pathlib import Path

from evolution.sandbox.box import Box, RejectedError, TrialOverError
from evolution.sandbox.streams import number

_PROGRAM = str(Path(__file__).with_name("weigh_worker.py"))
_ANY_BUDGET = {"kind": "tokens", "amount": 1_000_000}  # nothing is trained


def check_parameters(box: Box, limit_millions: float) -> None:
    """Build the model at home depth and count.

    Raises:
        RejectedError: It has more parameters than the manual allows.
        TrialOverError: It cannot be built.
    """
    millions = _count(box) / 1e6
    if millions > limit_millions:
        raise RejectedError(
            f"limits.parameters_millions of program.md: the model has {millions:.3f} million "
            f"parameters, {limit_millions:g} million are allowed"
        )


def _count(box: Box) -> float:
    conditions = {
        "mode": "weigh",
        "entry": box.spec.entry,
        "depth_scale": 1.0,
        "budget": _ANY_BUDGET,
        "snapshots": [],
    }
    trainer = box.start("genome", conditions, program=_PROGRAM)
    box.deadline = time.monotonic() + box.spec.startup_seconds
    while trainer.exit_code is None and not box.is_late():
        box.pump()
    trainer.drain()
    weights = [message for message in trainer.messages if message["type"] == "weight"]
    if not weights and trainer.exit_code is None:
        raise TrialOverError("time_out", "the model was not built before the deadline")
    if not weights:
        raise box.why_ended(trainer)
    box.end_trainers()
    return number(weights[0], "parameters")
