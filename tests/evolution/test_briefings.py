from evolution.briefings import curve_rows, knob_lines
from evolution.executors import ScriptedExecutor
from population import CurvePoint, FailureClass, knobs
from tests.builders import an_outcome
from tests.evolution.runs import a_run, an_engine, crash, world


def test_a_curve_becomes_a_few_rows_and_the_last_says_what_it_took():
    points = tuple(CurvePoint(n / 100, 5 - n / 50, {"grad_norm": 1.0}) for n in range(1, 101))
    rows = curve_rows(an_outcome(curve=points, summary={"mfu_percent": 12.5}))
    assert [row["progress"] for row in rows] == [0.12, 0.27, 0.52, 0.77, 1.0]
    assert rows[-1]["steps_per_second"] == 1.0
    assert rows[-1]["memory_mb"] == 300.0
    assert rows[-1]["mfu"] == 12.5
    assert "mfu" not in rows[0]


def test_a_trial_without_a_curve_still_says_what_it_took():
    assert curve_rows(an_outcome(step_count=0)) == [{"seconds": 10.0, "memory_mb": 300.0}]


def test_knobs_that_all_good_variants_share_are_not_told():
    text = knob_lines({"LR": 1.0, "DEPTH": 2}, [{"LR": 2.0, "DEPTH": 2}, {"LR": 4.0, "DEPTH": 2}])
    assert text == "LR is 1.0; the best variant has 2.0; the best 2: 2 to 4, middle 3"


def test_a_run_tells_its_lineage_failures_machine_and_work_under_way(tmp_path):
    def script(job):
        is_broken = knobs(job.genome.main)["SOFTCAP"] != 15.0
        return crash(FailureClass.ERROR, "it broke at line 7") if is_broken else world(job)

    seen = []

    def look(engine, turn):
        if turn % 4 == 0:
            field = engine._breeder.field(engine._known())
            parents = [sha for sha, _ in field.survivors[:1]]
            made = engine._commissions._briefings.briefing(parents, field, under_way=["an idea"])
            seen.append((field.variants[parents[0]], made))

    paths = a_run(tmp_path, limits__trials=24)
    with an_engine(paths, ScriptedExecutor(script, slot_count=2), after_turn=look) as (e, _, _):
        e.run()
    parent, last = seen[-1]
    assert [effect.variant for effect in last.lineage][-1] == parent.name
    assert all(effect.gain is not None and effect.sd > 0 for effect in last.lineage)
    assert last.lineage[0].gain > 0
    told = [effect for _, made in seen for effect in made.lineage if effect.gain is not None]
    assert all(bool(effect.diff) == (effect.gain <= 0) for effect in told)
    assert all("SOFTCAP" in failed.diff for failed in last.failures)
    assert last.failures[0].message.startswith("it broke at line 7")
    assert "processor cores" in last.hardware
    assert "the baseline takes" in last.hardware
    assert last.under_way[0] == "an idea"
    assert any(len(made.under_way) > 1 for _, made in seen)
    assert "MATRIX_LR" in last.tuner or "ROPE_BASE" in last.tuner
