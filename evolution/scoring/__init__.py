"""The trusted scorer: what is asked of a model in a box, and whether its answers are believed.

Pure numpy: it plans and judges. The boxes' side is `evolution.sandbox.score_worker`; starting boxes
and handing over data is the executor's affair. The protocol is told in ``docs/scoring.md``.
"""

from evolution.scoring.audit import (
    AuditPlan,
    AuditReport,
    Forged,
    Round,
    Tolerance,
    check_claim,
    judge,
    plan_audit,
)
from evolution.scoring.reference import reference_losses
from evolution.scoring.rows import Rows, ScoringError, bits_per_byte, cut_rows, read_rows

__all__ = [
    "AuditPlan",
    "AuditReport",
    "Forged",
    "Round",
    "Rows",
    "ScoringError",
    "Tolerance",
    "bits_per_byte",
    "check_claim",
    "cut_rows",
    "judge",
    "plan_audit",
    "read_rows",
    "reference_losses",
]
