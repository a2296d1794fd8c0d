from benchmarks.stopping import Judged, by_probability, by_worth, judged
from evolution.noise import Prediction
from evolution.stopping import MIN_JUDGED, Costs
from population import Store
from tests.evolution.runs import a_run, an_engine


def trials(*gains):
    """Trials that are sure to gain so much."""
    return [Judged(Prediction(-gain, 1e-6, float(gain > 0)), gain) for gain in gains]


def test_rules_judge_each_trial_by_what_was_known_then():
    some = trials(*[0.0] * MIN_JUDGED, 0.01, 0.0, 0.02)
    assert by_probability(0.5)(some) == [False] * MIN_JUDGED + [True, False, True]
    assert by_worth(some, Costs(0.4, 0.75)) == [False] * MIN_JUDGED + [True, False, True]


def test_the_trials_of_a_run_are_judged_before_their_scores(tmp_path):
    paths = a_run(tmp_path, limits__trials=16)
    with an_engine(paths) as (engine, _, _):
        engine.run()
    with Store.open(paths.database, read_only=True) as store:
        found = judged(store)
        told = [facts for facts in store.decided("stop", "go_on") if facts["p_better"] is not None]
    assert found
    assert abs(len(found) - len(told)) <= 2  # those that ended meanwhile are known then
    assert any(one.gain is not None for one in found)
    assert all(0 <= one.prediction.p_better <= 1 for one in found)
    assert all(one.prediction.worth >= 0 for one in found)
