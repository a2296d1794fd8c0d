"""The trusted scorer: what is asked of a model in a box, and whether its answers are believed.

Pure numpy: it plans and judges. The boxes' side is `evolution.sandbox.score_worker`; starting boxes
and handing over data is the executor's affair. The protocol is told in ``docs/scoring.md``.
"""

from evolution.scoring.audit import (
    AuditPlan,
    AuditReport,
    Forged,
    Losses,
    Round,
    Tolerance,
    check_claim,
    judge,
    plan_audit,
)
from evolution.scoring.exchange import (
    ScoreLine,
    SocketLine,
    WorkerError,
    take_audit,
    take_claim,
    worker_conditions,
)
from evolution.scoring.reference import reference_losses
from evolution.scoring.rows import (
    Rows,
    ScoringError,
    bits_per_byte,
    cut_rows,
    read_rows,
    rows_per_batch,
)

__all__ = [
    "AuditPlan",
    "AuditReport",
    "Forged",
    "Losses",
    "Round",
    "Rows",
    "ScoreLine",
    "ScoringError",
    "SocketLine",
    "Tolerance",
    "WorkerError",
    "bits_per_byte",
    "check_claim",
    "cut_rows",
    "judge",
    "plan_audit",
    "read_rows",
    "reference_losses",
    "rows_per_batch",
    "take_audit",
    "take_claim",
    "worker_conditions",
]
