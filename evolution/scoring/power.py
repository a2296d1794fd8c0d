"""Which forgery an audit catches, and how surely: by formula, and by trying.

A forgery lowers the claimed losses of a share of the tokens by some nats. The audit catches it when
one probe falls on a forged token, since any difference above the tolerance rejects.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evolution.scoring.audit import Tolerance, plan_audit
from evolution.scoring.rows import Rows

Losses = npt.NDArray[np.float32]


class Forgery(NamedTuple):
    """The share of the counted tokens that is forged, and the nats each is lowered by, at most.

    A loss cannot go below 0, so a token that was easier than that is lowered to 0.
    """

    share: float
    nats: float


def catch_probability(
    forgery: Forgery,
    probe_count: int,
    losses: npt.NDArray[np.floating],
    reference: npt.NDArray[np.floating],
    tolerance: float = Tolerance().claim_gap,
) -> float:
    """Probability that at least one probe falls on a token forged by more than the tolerance.

    Half of the probes are uniform: each finds a forged token with the forged share. The other half
    are aimed by ``max(0, reference - claim)``: each finds one with the share of the aim that lies
    on forged tokens. Both halves are drawn without replacement, which is left out: the formula is
    a little low where probes are many.

    Args:
        forgery: What is forged; tokens are chosen at random.
        probe_count: Probes of the audit.
        losses: Honest losses of the counted tokens, flat.
        reference: The reference model's losses of the same tokens.
        tolerance: Nats that pass.
    """
    lowered = np.minimum(losses, forgery.nats)
    shows = lowered > tolerance
    if not shows.any() or forgery.share <= 0:
        return 0.0
    honest_aim = float(np.maximum(0.0, reference - losses).mean())
    forged_aim = float((np.maximum(0.0, reference - losses + lowered) * shows).mean())
    whole = forgery.share * forged_aim + (1 - forgery.share) * honest_aim
    uniform = forgery.share * float(shows.mean())
    aimed = forgery.share * forged_aim / whole if whole > 0 else uniform
    aimed_count = probe_count // 2
    missed = (1 - uniform) ** (probe_count - aimed_count) * (1 - min(1.0, aimed)) ** aimed_count
    return 1.0 - missed


def forge(losses: Losses, rows: Rows, forgery: Forgery, rng: np.random.Generator) -> Losses:
    """A copy of honest losses with that share of the counted tokens lowered."""
    forged = losses.copy()
    where = np.flatnonzero(rows.counted)
    chosen = rng.choice(where, size=round(forgery.share * len(where)), replace=False)
    forged.flat[chosen] = np.maximum(0.0, forged.flat[chosen] - np.float32(forgery.nats))
    return forged


def measured_catches(
    forgery: Forgery,
    probe_count: int,
    losses: Losses,
    reference: Losses,
    rows: Rows,
    *,
    batch_size: int,
    repeat_count: int,
    rng: np.random.Generator,
) -> int:
    """In how many of ``repeat_count`` audits, each of a new forgery, a probe finds it."""
    filler = rng.integers(rows.vocab_size, size=4 * rows.seq_len + 2).astype(np.uint16)
    caught = 0
    for _ in range(repeat_count):
        claim = forge(losses, rows, forgery, rng)
        plan = plan_audit(
            rows,
            claim,
            reference,
            probe_count=probe_count,
            pair_count=0,
            batch_size=batch_size,
            filler=filler,
            rng=rng,
        )
        asked = plan.rows >= 0
        row, position = plan.rows[asked], plan.positions[asked]
        gaps = np.abs(claim[row, position].astype(np.float64) - losses[row, position])
        caught += bool((gaps > Tolerance().claim_gap).any())
    return caught
