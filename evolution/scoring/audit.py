"""The audit of a claim: which tokens are asked again, in what order, and what the answers say.

A box that never saw the targets gets rows that are true up to a position, with training text after
it, and returns the logits there. Claims that peeked, remembered, averaged over the batch or were
made up cannot be repeated from the prefix alone. Knows arrays; nothing of boxes or torch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evolution.scoring.rows import Rows, ScoringError

Losses = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an honest model may differ by, in nats.

    Attributes:
        claim_gap: Between a claimed and an audited loss.
        pair: Between log-probabilities of the same prefix before two suffixes.
    """

    claim_gap: float = 1e-4
    pair: float = 1e-4


class Round(NamedTuple):
    """One forward pass of the audit: (B, T) token ids, and the position asked of each row."""

    tokens: npt.NDArray[np.uint16]
    positions: npt.NDArray[np.int32]


@dataclass(frozen=True)
class AuditPlan:
    """All rounds of an audit. R rounds, B slots, T tokens.

    Attributes:
        tokens: What the box is shown, (R, B, T).
        positions: The position asked in each slot, (R, B).
        rows: The row it belongs to, (R, B); -1 where the slot only holds training text.
        targets: The token that follows, (R, B); the box is never told.
        is_second: True for the second of a pair, (R, B); its first stands earlier in its slot.
        is_uniform: True for probes drawn uniformly over all counted tokens, (R, B).
    """

    tokens: npt.NDArray[np.uint16]
    positions: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    is_second: npt.NDArray[np.bool_]
    is_uniform: npt.NDArray[np.bool_]

    @property
    def rounds(self) -> Iterator[Round]:
        """What is sent, in order."""
        return (Round(tokens, at) for tokens, at in zip(self.tokens, self.positions, strict=True))

    @property
    def round_count(self) -> int:
        """Forward passes."""
        return len(self.tokens)

    @property
    def probe_count(self) -> int:
        """Different tokens that are asked; at least as many as were wanted, if there are."""
        return int(((self.rows >= 0) & ~self.is_second).sum())

    @property
    def pair_count(self) -> int:
        """Tokens that are asked twice."""
        return int(self.is_second.sum())


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found of a claim that it believes; nats.

    Attributes:
        probe_count: Tokens asked.
        largest_gap: Largest difference between a claimed and an audited loss.
        mean_gap: Mean of claimed minus audited over the uniform probes; below 0 flatters.
        mean_gap_error: Its standard error.
        pair_count: Tokens asked before two different suffixes.
        largest_pair_gap: Largest difference of a log-probability between the two.
    """

    probe_count: int
    largest_gap: float
    mean_gap: float
    mean_gap_error: float
    pair_count: int
    largest_pair_gap: float


class Forged(ScoringError):  # noqa: N818 - a verdict, not a malfunction
    """A claim that is not believed.

    Attributes:
        rule: ``finite``, ``range``, ``claim_gap`` or ``pair``.
        measured: The figure found; NaN where there is none.
        threshold: What is allowed.
    """

    def __init__(self, rule: str, measured: float, threshold: float, found: str, cure: str) -> None:
        super().__init__(f"scoring rule {rule}: {found} {cure}")
        self.rule, self.measured, self.threshold = rule, measured, threshold


# --- the plan ------------------------------------------------------------------------------------


def plan_audit(
    rows: Rows,
    claim: Losses,
    reference: Losses,
    *,
    probe_count: int,
    pair_count: int,
    batch_size: int,
    filler: npt.NDArray[np.uint16],
    rng: np.random.Generator,
) -> AuditPlan:
    """Choose the tokens to ask and lay them out in rounds.

    Half of the probes are uniform over the counted tokens; half are drawn with probability
    proportional to ``max(0, reference - claim)``. A row keeps the slot it had in the claim. Every
    slot serves its own rows one probe a round, so no round holds a row twice; a row's probes come
    in ascending position, since a longer prefix shows the targets of shorter ones. Slots are filled
    evenly, and what is left over in the last rounds holds further uniform probes.

    Args:
        rows: The text that was claimed.
        claim: Claimed losses, (rows, T).
        reference: Losses of the reference model, (rows, T).
        probe_count: Tokens to ask; all counted ones if there are fewer.
        pair_count: How many of them to ask twice.
        batch_size: B: slots of a round, as in the claim.
        filler: Training tokens, which replace everything after a probed position.
        rng: Must not be foreseeable by the genome.
    """
    slots = [
        _choose(rows, claim, reference, range(slot, rows.row_count, batch_size))
        for slot in range(batch_size)
    ]
    sizes = np.array([len(slot.flat) for slot in slots])
    probes = _shares(min(probe_count, int(sizes.sum())), sizes)
    pairs = _shares(min(pair_count, int(probes.sum())), probes)
    round_count = int((probes + pairs).max())
    shape = (round_count, batch_size)
    where = np.full(shape, -1, dtype=np.int64)
    is_second, is_uniform = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for number, slot in enumerate(slots):
        count = min(round_count - int(pairs[number]), len(slot.flat))
        queue = slot.draw(count, int(probes[number]) // 2, int(pairs[number]), rows.seq_len, rng)
        where[: len(queue.flat), number] = queue.flat
        is_second[: len(queue.flat), number] = queue.is_second
        is_uniform[: len(queue.flat), number] = queue.is_uniform
    return _lay_out(rows, where, is_second, is_uniform, filler, rng)


class _Queue(NamedTuple):
    """What one slot is asked, in order; ``flat`` counts tokens row by row."""

    flat: npt.NDArray[np.int64]
    is_second: npt.NDArray[np.bool_]
    is_uniform: npt.NDArray[np.bool_]


class _Slot(NamedTuple):
    """The counted tokens of one slot's rows, and how far each claim is below the reference."""

    flat: npt.NDArray[np.int64]
    excess: npt.NDArray[np.float64]

    def draw(
        self, count: int, aimed_count: int, pair_count: int, seq_len: int, rng: np.random.Generator
    ) -> _Queue:
        """So many different tokens, uniform and aimed ones, some twice, in a sound order."""
        chosen = rng.permutation(len(self.flat))
        uniform, rest = np.split(chosen, [count - aimed_count])
        with np.errstate(divide="ignore"):  # no excess, never aimed at before all others
            keys = np.log(self.excess[rest]) + rng.gumbel(size=len(rest))
        aimed = rest[np.argsort(-keys, kind="stable")[:aimed_count]]
        flat = self.flat[np.concatenate([uniform, aimed])]
        is_uniform = np.arange(len(flat)) < len(uniform)
        can_pair = np.flatnonzero(flat % seq_len < seq_len - 1)  # the last has no suffix
        twice = rng.permutation(can_pair)[:pair_count]
        flat = np.concatenate([flat, flat[twice]])
        is_second = np.arange(len(flat)) >= len(is_uniform)
        is_uniform = np.concatenate([is_uniform, np.zeros(len(twice), dtype=bool)])
        order = _ascending(flat, is_second, seq_len, rng)
        return _Queue(flat[order], is_second[order], is_uniform[order])


def _choose(rows: Rows, claim: Losses, reference: Losses, own: range) -> _Slot:
    own_rows = np.arange(own.start, own.stop, own.step)
    counted = rows.counted[own_rows]
    claimed = claim[own_rows][counted].astype(np.float64)
    excess = np.maximum(0.0, reference[own_rows][counted] - claimed)
    flat = (own_rows[:, None] * rows.seq_len + np.arange(rows.seq_len))[counted]
    return _Slot(flat, np.nan_to_num(excess, nan=0.0, posinf=1e9))


def _shares(total: int, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``total`` split in proportion to ``sizes``, by largest remainders; none above its size."""
    exact = total * sizes / max(1, int(sizes.sum()))
    shares = np.floor(exact).astype(np.int64)
    missing = total - int(shares.sum())
    shares[np.argsort(-(exact - shares), kind="stable")[:missing]] += 1
    return shares


def _ascending(
    flat: npt.NDArray[np.int64],
    is_second: npt.NDArray[np.bool_],
    seq_len: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """An order with the rows mixed at random, and each row's own tokens ascending."""
    row = flat // seq_len
    turns = rng.permutation(len(flat))  # turns[i]: the row of item i is asked at this turn
    turn_of = np.empty(len(flat), dtype=np.int64)
    by_row_and_turn = np.lexsort((turns, row))
    by_row_and_token = np.lexsort((is_second, flat))
    turn_of[by_row_and_token] = turns[by_row_and_turn]
    return np.argsort(turn_of)


def _lay_out(
    rows: Rows,
    where: npt.NDArray[np.int64],
    is_second: npt.NDArray[np.bool_],
    is_uniform: npt.NDArray[np.bool_],
    filler: npt.NDArray[np.uint16],
    rng: np.random.Generator,
) -> AuditPlan:
    """Write true prefixes over training text."""
    seq_len = rows.seq_len
    if len(filler) < seq_len + 1:
        raise ScoringError(
            f"There are {len(filler)} training tokens to fill rows with. At least {seq_len + 1} "
            "are needed. Prepare the data again with more training text."
        )
    row = np.where(where >= 0, where // seq_len, -1)
    position = np.where(where >= 0, where % seq_len, seq_len - 1)
    within = np.arange(seq_len)
    starts = rng.integers(len(filler) - seq_len + 1, size=where.shape)
    tokens = np.asarray(filler[starts[..., None] + within], dtype=np.uint16)
    _tell_pairs_apart(tokens, where, is_second, position, filler, rng)
    is_true = (within <= position[..., None]) & (where >= 0)[..., None]
    tokens[is_true] = rows.inputs[row][is_true]
    targets = np.where(where >= 0, rows.targets[row, position], 0).astype(np.int64)
    return AuditPlan(tokens, position.astype(np.int32), row, targets, is_second, is_uniform)


def _tell_pairs_apart(
    tokens: npt.NDArray[np.uint16],
    where: npt.NDArray[np.int64],
    is_second: npt.NDArray[np.bool_],
    position: npt.NDArray[np.int64],
    filler: npt.NDArray[np.uint16],
    rng: np.random.Generator,
) -> None:
    """Give the second of each pair a suffix that begins with another token than the first's."""
    seq_len = tokens.shape[-1]
    for number, slot in zip(*np.nonzero(is_second), strict=True):
        first = np.flatnonzero(where[:number, slot] == where[number, slot])[0]
        after = int(position[number, slot]) + 1
        for _ in range(64):
            if tokens[number, slot, after] != tokens[first, slot, after]:
                break
            start = int(rng.integers(len(filler) - seq_len + 1))
            tokens[number, slot] = filler[start : start + seq_len]


# --- the verdict ---------------------------------------------------------------------------------


def check_claim(rows: Rows, claim: Losses) -> None:
    """Raise unless every claimed loss is a number that a normalised model can have.

    Raises:
        Forged: By rule ``finite`` or ``range``.
    """
    counted = claim[rows.counted]
    bad_count = int((~np.isfinite(counted)).sum())
    if bad_count:
        raise Forged(
            "finite",
            float(bad_count),
            0.0,
            f"{bad_count:,} of {len(counted):,} claimed losses are not finite; none may be.",
            "Training has diverged, or the model returns infinite logits: lower the learning "
            "rates, or look for a division by zero.",
        )
    lowest = float(counted.min())
    if lowest < -RANGE_SLACK:
        raise Forged(
            "range",
            lowest,
            -RANGE_SLACK,
            f"a claimed loss is {lowest:.4g} nats; the loss of a token is at least 0.",
            "Return plain logits and leave the losses to the harness.",
        )


RANGE_SLACK = 1e-5  # nats; what rounding may do to a loss of 0


def judge(
    plan: AuditPlan,
    claim: Losses,
    answers: Iterable[npt.NDArray[np.float32]],
    tolerance: Tolerance | None = None,
) -> AuditReport:
    """Compare a claim with the answers of the audit.

    Args:
        plan: What was asked.
        claim: Claimed losses, (rows, T).
        answers: For each round the logits of slot b at the position asked there, (B, V); taken one
            round at a time.
        tolerance: What an honest model may differ by; that of a CPU by default.

    Raises:
        Forged: By rule ``finite``, ``claim_gap`` or ``pair``.
    """
    tolerance = tolerance or Tolerance()
    gaps: list[npt.NDArray[np.float64]] = []
    uniform: list[npt.NDArray[np.bool_]] = []
    pair_gaps: list[float] = []
    firsts: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    waiting = {(int(r), int(p)) for r, p in zip(*_of_pairs(plan), strict=True)}
    for number, logits in enumerate(answers):
        used = np.flatnonzero(plan.rows[number] >= 0)
        log_probs = _log_softmax(logits[used])
        row, position = plan.rows[number, used], plan.positions[number, used]
        audited = -log_probs[np.arange(len(used)), plan.targets[number, used]]
        if not np.isfinite(audited).all():
            raise _not_finite(number)
        is_second = plan.is_second[number, used]
        gaps.append((claim[row, position] - audited)[~is_second])
        uniform.append(plan.is_uniform[number, used][~is_second])
        for index, key in enumerate(zip(row.tolist(), position.tolist(), strict=True)):
            if is_second[index]:
                pair_gaps.append(_largest_difference(firsts.pop(key), log_probs[index]))
            elif key in waiting:
                firsts[key] = log_probs[index]
    if len(gaps) != plan.round_count:
        raise ValueError(f"{len(gaps)} of {plan.round_count} rounds were answered")
    return _verdict(np.concatenate(gaps), np.concatenate(uniform), pair_gaps, tolerance)


def _of_pairs(plan: AuditPlan) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    return plan.rows[plan.is_second], plan.positions[plan.is_second]


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Log-probabilities, (slots, V), in double precision; NaN wherever logits are no numbers."""
    wide = logits.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        wide -= wide.max(axis=-1, keepdims=True)
        wide -= np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return wide


def _largest_difference(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Largest difference of two rows of log-probabilities; both minus infinity is no difference."""
    with np.errstate(invalid="ignore"):
        return float(np.where(first == second, 0.0, np.abs(first - second)).max())


def _not_finite(number: int) -> Forged:
    return Forged(
        "finite",
        float("nan"),
        0.0,
        f"audited logits of round {number + 1} give no finite loss; every one must.",
        "Return finite logits whatever the text: look for a division by zero or an overflow.",
    )


def _verdict(
    gaps: npt.NDArray[np.float64],
    is_uniform: npt.NDArray[np.bool_],
    pair_gaps: list[float],
    tolerance: Tolerance,
) -> AuditReport:
    largest = float(np.abs(gaps).max(initial=0.0))
    too_far = int((~(np.abs(gaps) <= tolerance.claim_gap)).sum())
    if too_far:
        raise Forged(
            "claim_gap",
            largest,
            tolerance.claim_gap,
            f"claimed losses differ from audited ones by up to {largest:.2g} nats at {too_far:,} "
            f"of {len(gaps):,} probes; {tolerance.claim_gap:g} is allowed.",
            "The logits at a position must follow from the tokens up to it alone: let the model "
            "read no later token, no other row of the batch and nothing kept from earlier calls.",
        )
    largest_pair = max(pair_gaps, default=0.0)
    if not largest_pair <= tolerance.pair:
        raise Forged(
            "pair",
            largest_pair,
            tolerance.pair,
            f"the same prefix gave log-probabilities {largest_pair:.2g} nats apart before two "
            f"different suffixes; {tolerance.pair:g} is allowed.",
            "The model reads tokens after the position it answers for, or other rows of the "
            "batch: mask what is later, and take no statistics over time or batch.",
        )
    drawn = gaps[is_uniform]
    error = float(drawn.std(ddof=1) / np.sqrt(len(drawn))) if len(drawn) > 1 else float("inf")
    mean = float(drawn.mean()) if len(drawn) else 0.0
    return AuditReport(len(gaps), largest, mean, error, len(pair_gaps), largest_pair)
