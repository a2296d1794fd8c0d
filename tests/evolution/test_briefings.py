import re
from dataclasses import replace

import numpy as np
import pytest

from agents import KnobEdit
from agents.briefing import briefed
from agents.ideas import known_ideas
from agents.literals import LiteralEdit
from evolution.briefings import curve_rows, knob_lines
from evolution.executors import ScriptedExecutor
from population import CurvePoint, FailureClass, Genome, canonical_hash, knobs
from tests.agents.parents import a_context
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


HUGE = ["1" + 400 * "0", "0x" + 5000 * "f", "-0x" + 5000 * "f", f"(1, 0x{5000 * 'f'})", "1e308"]


@pytest.mark.parametrize("value", HUGE)
def test_a_number_beyond_all_use_stops_nobody_who_tells_or_turns_knobs(value):
    text = f"import torch\nWIDE_LR = {value}\nRATES = (1e308,)\nDEPTH = 2\n"
    genome = Genome({"main.py": text, "train.py": text}, "main.py")
    found = knobs(text)
    assert found["DEPTH"] == 2
    other = found | {"DEPTH": 3}
    assert "DEPTH is 2" in knob_lines(found, [other, other])
    rng = np.random.default_rng(1)
    for operator in (KnobEdit(), LiteralEdit()):
        for _ in range(30):
            context = a_context(text, rng=rng)
            assert operator.propose(context) is not None
    assert canonical_hash(genome)


def test_history_tells_what_each_edit_gained_and_the_score_what_there_is_to_beat(tmp_path):
    seen = []

    def look(engine, turn):
        if turn % 6 == 0:
            field = engine._breeder.field(engine._known())
            parents = [sha for sha, _ in field.survivors[:1]]
            at_work = [f"mutator is at work on g001-{n:03d}" for n in range(64)]
            made = engine._commissions._briefings.briefing(
                parents, field, under_way=["an idea"], at_work=at_work
            )
            history = engine._story.history(engine._belief())
            context = replace(
                engine._breeder.context(field, parents, np.random.default_rng(0)),
                briefing=made,
                history=history,
            )
            seen.append((made, history, briefed(context).text, known_ideas(context)))

    with an_engine(a_run(tmp_path, limits__trials=24), after_turn=look) as (engine, _, _):
        engine.run()
    made, history, text, known = seen[-1]
    gain = r"gain [+-]\d\.\d+ ± \d\.\d+ bpb over its parent, val_bpb \d"
    assert re.search(rf"knob: \w+ × 2 → {gain}", text)
    assert all(" → gain " in line for line in history)
    assert set(known) >= {line.split(": ")[1].split(" → ")[0] for line in history}
    assert [name.rpartition(" ")[0] for name in made.scores] == ["the baseline", "the best variant"]
    assert re.search(r"the best variant g\d+-\d+: \d\.\d+ ± ", text)
    assert made.under_way[0] == "an idea"
    waiting = [line for line in made.under_way if "is at work on" not in line]
    assert list(made.under_way[: len(waiting)]) == waiting  # what is known comes first
    assert len(made.under_way) == 32


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
