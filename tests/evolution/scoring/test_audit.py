import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution.scoring import Forged, Tolerance, check_claim, judge
from evolution.scoring.power import Forgery, forge
from tests.evolution.scoring.small_world import FILLER, SEQ_LEN, VOCAB_SIZE, plan, small_rows


@functools.cache
def honest(row_count=50):
    """Rows, a fixed distribution for each target, the claim that follows, and a reference."""
    rows = small_rows(row_count)
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(*rows.targets.shape, VOCAB_SIZE)).astype(np.float32)
    wide = logits.astype(np.float64)
    log_probs = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    claim = -np.take_along_axis(log_probs, rows.targets[..., None].astype(int), -1)[..., 0]
    reference = claim + rng.normal(size=claim.shape)
    return rows, logits, claim.astype(np.float32), reference.astype(np.float32)


def answers(asked, logits):
    """What an honest box answers; training text where nothing is asked."""
    return [logits[rows, at].copy() for rows, at in zip(asked.rows, asked.positions, strict=True)]


plans = st.builds(
    lambda row_count, batch_size, probe_count, pair_count, rng_seed: (
        honest(row_count)[0],
        plan(
            honest(row_count)[0],
            *honest(row_count)[2:],
            probe_count=probe_count,
            pair_count=pair_count,
            batch_size=batch_size,
            rng_seed=rng_seed,
        ),
        batch_size,
        (probe_count, pair_count),
    ),
    row_count=st.integers(1, 30),
    batch_size=st.integers(1, 9),
    probe_count=st.integers(1, 300),
    pair_count=st.integers(0, 40),
    rng_seed=st.integers(0, 2**32 - 1),
)


@settings(max_examples=60)
@given(plans)
def test_no_target_is_shown_before_its_probe_is_answered(made):
    _, asked, _, _ = made
    longest = {}
    for number in range(asked.round_count):
        used = asked.rows[number] >= 0
        of_round = asked.rows[number, used].tolist()
        assert len(set(of_round)) == len(of_round)
        for slot in np.flatnonzero(used):
            row, at = int(asked.rows[number, slot]), int(asked.positions[number, slot])
            before = longest.get(row, -1)
            assert at == before if asked.is_second[number, slot] else at > before
            longest[row] = at


@settings(max_examples=60)
@given(plans)
def test_a_prefix_is_true_and_what_follows_is_training_text(made):
    rows, asked, batch_size, _ = made
    pieces = {FILLER[i : i + SEQ_LEN].tobytes() for i in range(len(FILLER) - SEQ_LEN + 1)}
    ends = {piece[2 * at :] for piece in pieces for at in range(SEQ_LEN + 1)}
    for number, slot in np.ndindex(*asked.rows.shape):
        row, at = asked.rows[number, slot], asked.positions[number, slot]
        text = asked.tokens[number, slot]
        if row < 0:
            assert text.tobytes() in pieces
            continue
        assert row % batch_size == slot
        assert rows.counted[row, at]
        assert asked.targets[number, slot] == rows.targets[row, at]
        assert (text[: at + 1] == rows.inputs[row, : at + 1]).all()
        assert text[at + 1 :].tobytes() in ends


@settings(max_examples=60)
@given(plans)
def test_as_many_tokens_are_asked_as_were_wanted_and_each_once(made):
    rows, asked, _, (probe_count, pair_count) = made
    asked_once = (asked.rows >= 0) & ~asked.is_second
    tokens = set(
        zip(asked.rows[asked_once].tolist(), asked.positions[asked_once].tolist(), strict=True)
    )
    assert len(tokens) == asked.probe_count >= min(probe_count, rows.counted.sum())
    assert asked.pair_count <= pair_count
    if probe_count >= rows.counted.sum():
        assert len(tokens) == rows.counted.sum()


def test_every_counted_token_can_be_probed():
    rows, _, claim, reference = honest()
    found = np.zeros(rows.targets.shape, dtype=bool)
    for rng_seed in range(400):
        asked = plan(rows, claim, reference, probe_count=60, rng_seed=rng_seed)
        used = asked.rows >= 0
        found[asked.rows[used], asked.positions[used]] = True
    assert (found == rows.counted).all()


def test_uniform_probes_are_uniform_and_the_others_aim_at_what_looks_too_good():
    rows, _, claim, reference = honest()
    hits = {True: np.zeros(rows.targets.shape), False: np.zeros(rows.targets.shape)}
    for rng_seed in range(400):
        asked = plan(rows, claim, reference, probe_count=64, pair_count=0, rng_seed=rng_seed)
        for is_uniform, into in hits.items():
            chosen = (asked.rows >= 0) & (asked.is_uniform == is_uniform)
            np.add.at(into, (asked.rows[chosen], asked.positions[chosen]), 1)
    excess = np.maximum(0, reference - claim)
    uniform, aimed = hits[True][rows.counted], hits[False][rows.counted]
    assert uniform.std() < 1.35 * np.sqrt(uniform.mean())  # Poisson, and slots of unlike size
    assert np.corrcoef(aimed, excess[rows.counted])[0, 1] > 0.9
    assert not aimed[excess[rows.counted] == 0].any()


def test_the_two_of_a_pair_go_on_differently_at_once():
    rows, _, claim, reference = honest()
    asked = plan(rows, claim, reference, probe_count=200, pair_count=100)
    assert asked.pair_count == 100
    for number, slot in zip(*np.nonzero(asked.is_second), strict=True):
        row, at = asked.rows[number, slot], asked.positions[number, slot]
        same = (asked.rows[:number, slot] == row) & (asked.positions[:number, slot] == at)
        (first,) = np.flatnonzero(same)
        assert asked.tokens[first, slot, at + 1] != asked.tokens[number, slot, at + 1]


# --- the verdict ---------------------------------------------------------------------------------


def test_an_honest_claim_is_believed_and_the_rounding_of_its_losses_is_all_that_differs():
    rows, logits, claim, reference = honest()
    check_claim(rows, claim)
    asked = plan(rows, claim, reference)
    report = judge(asked, claim, answers(asked, logits))
    assert report.probe_count == asked.probe_count
    assert report.largest_gap < 1e-6
    assert abs(report.mean_gap) <= report.mean_gap_error * 5 < 1e-6
    assert (report.pair_count, report.largest_pair_gap) == (8, 0.0)


def rejection(claim, reference, probe_count=60, rng_seed=0, change=None, tolerance=None):
    """The rule that rejects, if one does."""
    rows, logits, _, _ = honest()
    try:
        check_claim(rows, claim)
        asked = plan(rows, claim, reference, probe_count, rng_seed=rng_seed)
        found = answers(asked, logits)
        if change is not None:
            change(asked, found)
        judge(asked, claim, found, tolerance)
    except Forged as verdict:
        return verdict
    return None


def test_a_uniform_forgery_is_caught_by_the_first_probe():
    _, _, claim, reference = honest()
    forged = np.maximum(claim - np.float32(0.03), 0)
    verdict = rejection(forged, reference, probe_count=8)
    assert (verdict.rule, verdict.threshold) == ("claim_gap", 1e-4)
    assert verdict.measured == pytest.approx(0.03, rel=1e-3)
    assert str(verdict).startswith(
        "scoring rule claim_gap: claimed losses differ from audited ones by up to 0.03 nats at 8 "
        "of 8 probes; 0.0001 is allowed. "
    )


@pytest.mark.parametrize("share", [0.1, 0.01])
def test_a_forged_share_of_the_tokens_is_caught(share):
    rows, _, claim, reference = honest()
    caught = 0
    for rng_seed in range(30):
        rng = np.random.default_rng(rng_seed)
        forged = forge(claim, rows, Forgery(share, 2.0), rng)
        verdict = rejection(forged, reference, probe_count=300, rng_seed=rng_seed)
        caught += verdict is not None and verdict.rule == "claim_gap"
    assert caught >= 28


@pytest.mark.parametrize(
    ("loss", "rule"), [(np.nan, "finite"), (np.inf, "finite"), (-np.inf, "finite"), (-1.0, "range")]
)
def test_one_impossible_loss_is_found_without_a_probe(loss, rule):
    rows, _, claim, reference = honest()
    forged = claim.copy()
    forged[tuple(np.argwhere(rows.counted)[7])] = loss
    verdict = rejection(forged, reference, probe_count=1)
    assert verdict.rule == rule
    assert "1 of" in str(verdict) or "-1 nats" in str(verdict)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_rejected(bad):
    _, _, claim, reference = honest()

    def spoil(asked, found):
        found[3][2, 5] = bad

    verdict = rejection(claim, reference, change=spoil)
    assert verdict.rule == "finite"
    assert "round 4" in str(verdict)


def test_a_token_ruled_out_by_minus_infinity_is_honest():
    rows, logits, claim, reference = honest()
    asked = plan(rows, claim, reference)
    found = answers(asked, logits)
    for answer in found:
        answer[:, -1] = -80.0  # the special token is never a counted target
    before = judge(asked, claim, found, Tolerance(1.0, 1.0))
    for answer in found:
        answer[:, -1] = -np.inf
    after = judge(asked, claim, found, Tolerance(1.0, 1.0))
    assert after.largest_gap == pytest.approx(before.largest_gap)
    assert after.largest_pair_gap == 0.0


def test_an_answer_that_depends_on_the_suffix_is_rejected_though_its_target_agrees():
    _, _, claim, reference = honest()

    def lean(asked, found):
        number, slot = np.argwhere(asked.is_second)[0]
        logits, target = found[number][slot], asked.targets[number, slot]
        first, second = (np.arange(VOCAB_SIZE) != target).nonzero()[0][:2]
        logits[[first, second]] = logits[[second, first]]

    verdict = rejection(claim, reference, change=lean)
    assert verdict.rule == "pair"
    assert verdict.measured > verdict.threshold == 1e-4


def test_a_wider_tolerance_lets_small_gaps_pass_and_states_them():
    rows, logits, claim, reference = honest()
    flattering = np.maximum(claim - np.float32(0.01), 0)
    asked = plan(rows, flattering, reference, probe_count=200)
    report = judge(asked, flattering, answers(asked, logits), Tolerance(0.05, 0.05))
    assert report.mean_gap == pytest.approx(-0.01, abs=1e-4)
    assert report.mean_gap_error < 1e-3


def test_an_unanswered_round_is_not_overlooked():
    rows, logits, claim, reference = honest()
    asked = plan(rows, claim, reference)
    with pytest.raises(ValueError, match="rounds were answered"):
        judge(asked, claim, answers(asked, logits)[:-1])
