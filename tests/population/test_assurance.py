from hypothesis import given
from hypothesis import strategies as st

from population import Assurance, Purpose, Scoring, Snapshot, TrialStatus, assurance
from tests.builders import a_trial, an_outcome

assurances = st.builds(
    Assurance, st.sampled_from(Scoring), st.sampled_from(["namespace", "landlock", "basic", "?"])
)


@given(st.lists(assurances, min_size=1), assurances)
def test_another_score_never_makes_it_stronger(some, other):
    before, after = assurance.weakest(some), assurance.weakest([*some, other])
    assert before is not None
    assert after is not None
    assert after == assurance.weakest([before, other])
    assert not (after.is_contained and not before.is_contained)
    assert not (after.scoring is Scoring.TRUSTED and before.scoring is Scoring.REPORTED)


def test_only_a_box_goes_without_a_mark():
    assert str(Assurance(Scoring.TRUSTED, "namespace")) == "trusted, namespace"
    assert str(Assurance(Scoring.TRUSTED, "landlock")) == "trusted, landlock"
    assert str(Assurance(Scoring.REPORTED, "basic")) == "reported, basic!"
    assert str(Assurance(Scoring.REPORTED, "something new")) == "reported, something new!"


def test_of_no_score_nothing_is_said():
    assert assurance.weakest([]) is None
    assert assurance.by_variant([a_trial(outcome=an_outcome(None)), a_trial(outcome=None)]) == {}


def test_a_snapshot_is_a_reading_too():
    stopped = an_outcome(
        None,
        status=TrialStatus.STOPPED_EARLY,
        failure=None,
        snapshots=(Snapshot(0.25, 1.9),),
        containment="landlock",
    )
    assert assurance.of_trial(a_trial(outcome=stopped)) == Assurance(Scoring.REPORTED, "landlock")


def test_a_verdict_is_as_weak_as_the_weakest_of_its_own_pairs():
    def pair(number, label, containment):
        outcome = an_outcome(scoring=Scoring.TRUSTED, containment=containment)
        return a_trial(number, purpose=Purpose.VERDICT, pair=label, outcome=outcome)

    trials = [
        pair(1, "v001:1.0:1", "namespace"),
        pair(2, "v001:1.5:1", "landlock"),
        pair(3, "v0011:1.0:1", "basic"),
        a_trial(4),
    ]
    assert assurance.of_verdict("v001", trials) == Assurance(Scoring.TRUSTED, "landlock")
    assert assurance.of_verdict("v002", trials) is None
