"""Counting the parameters of a genome's model before anything trains.

A trainer is started that builds the model and does nothing else: no data, no clock, no ruler of its
own version. What it counts it says itself, as a score is reported: this finds the genome that grew
too large, not the one that lies.
"""

import time

from evolution.sandbox.box import Box, RejectedError, TrialOverError
from evolution.sandbox.streams import number

_PROGRAM = """
import json, os, runpy
model = runpy.run_path("train.py", run_name="genome")["build_model"]()
news = json.dumps({"type": "weight", "parameters": sum(p.numel() for p in model.parameters())})
os.write(int(os.environ["EVORESEARCH_HARNESS"].split(",")[1]), news.encode() + b"\\n")
"""
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
    command = [box.spec.command[0], "-u", "-c", _PROGRAM]
    conditions = {"mode": "weigh", "depth_scale": 1.0, "budget": _ANY_BUDGET, "snapshots": []}
    trainer = box.start("genome", conditions, command=command)
    box.deadline = time.monotonic() + box.spec.startup_seconds
    while trainer.exit_code is None and not box.is_late():
        box.pump()
    trainer.drain()
    weights = [message for message in trainer.messages if message["type"] == "weight"]
    if not weights and trainer.exit_code is None:
        raise TrialOverError("time_out", "the model was not built before the deadline")
    if not weights:
        raise box.why_ended(trainer)
    box.end_all()
    return number(weights[0], "parameters")
