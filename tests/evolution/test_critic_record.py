"""The critic's record: counted against trials, with those that were rejected made up for."""

import pytest

from evolution.critic_record import critic_record, void_ones
from evolution.review import EXEMPT_SHARE, is_exempt_from_rejection
from population import Critique, FailureClass, Fitness, Judgement, TrialStatus
from tests.builders import NOW, a_failure, a_family, a_trial, an_outcome


def critiques(judgement, *variants):
    return [Critique(n, judgement, (), NOW, variant=sha) for n, sha in enumerate(variants, 1)]


def test_without_a_critique_nothing_is_known():
    record = critic_record([], {})
    assert (record.read, record.precision, record.recall) == (0, None, None)


def test_precision_is_that_of_the_rejected_which_were_trained_all_the_same():
    said = critiques(Judgement.REJECT, "a", "b", None, None, "unfinished")
    record = critic_record(said, {"a": True, "b": False})
    assert (record.rejected, record.rejected_trained, record.rejected_void) == (5, 2, 1)
    assert record.precision == 0.5


def test_recall_counts_the_untrained_by_the_precision():
    said = [
        *critiques(Judgement.REJECT, "a", None, None, None),
        *critiques(Judgement.PASS, "b", "c"),
        *critiques(Judgement.WARN, "d"),
    ]
    record = critic_record(said, {"a": True, "b": True, "c": False, "d": False})
    assert (record.passed_trained, record.passed_void, record.warned) == (3, 1, 1)
    assert record.recall == pytest.approx(4 / 5)
    assert record.as_dict()["recall"] == record.recall


def test_one_that_never_rejects_has_caught_nothing():
    record = critic_record(critiques(Judgement.PASS, "a"), {"a": True})
    assert (record.precision, record.recall) == (None, 0.0)


def test_void_is_what_fails_by_its_own_fault_or_gains_nothing_on_its_fitter_parent():
    family = a_family((), (0,), (0,), (1, 2), (1,), (1,), (0,))
    shas = [variant.sha for variant in family]
    means = (1.55, 1.53, 1.56, 1.54, None, None, 1.55)
    fitnesses = {sha: Fitness(mean, 0.01, 1) for sha, mean in zip(shas, means, strict=True)}
    crash = {"status": TrialStatus.CRASHED}
    outcomes = [
        an_outcome(),
        an_outcome(),
        an_outcome(),  # a merge that is worse than the better of its parents
        an_outcome(None, **crash),
        an_outcome(None, **crash, failure=a_failure(kind=FailureClass.HARNESS)),
        an_outcome(),
    ]
    trials = [
        a_trial(number, variant=sha, outcome=outcome)
        for number, (sha, outcome) in enumerate(zip(shas[1:], outcomes, strict=True), 1)
    ]
    assert void_ones(family, trials, fitnesses) == {
        shas[1]: False,
        shas[2]: True,
        shas[3]: True,
        shas[4]: True,
        shas[6]: True,
    }


def test_one_in_ten_is_exempt_and_always_the_same():
    exempt = [seed for seed in range(4_000) if is_exempt_from_rejection(seed)]
    assert len(exempt) / 4_000 == pytest.approx(EXEMPT_SHARE, abs=0.02)
    assert exempt == [seed for seed in range(4_000) if is_exempt_from_rejection(seed)]
