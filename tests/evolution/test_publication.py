import shutil
from dataclasses import replace

import numpy as np
import pytest

from evolution.cli.tables import status_lines
from evolution.engine import Ending
from evolution.events import read_events
from evolution.executors import ScriptedExecutor
from evolution.publication import FRESH_RUNS
from evolution.racing import fresh_gain
from evolution.status import run_status
from population import FailureClass, Purpose, Ruling, Store, Verdict, last_published
from tests.evolution.runs import a_run, an_engine, crash, world

#: Enough device time for a nominee after a few trials of so short a run.
SHARE = 0.4


def searched(folder, script=world, **changes):
    """A search to its end, with champions published on the way; the store, for reading."""
    options = {"limits__trials": 8, "verdict__publication_share": SHARE} | changes
    paths = a_run(folder, **options)
    with an_engine(paths, ScriptedExecutor(script, slot_count=2)) as (engine, _, _):
        assert engine.run() is Ending.FINISHED
    return paths


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """One such search, for all tests that only read it."""
    return searched(tmp_path_factory.mktemp("searched"))


def test_a_champion_is_published_once_two_fresh_runs_bear_it_out(paths):
    with Store.open(paths.database, read_only=True) as store:
        published = [each for each in store.publications() if each.is_published]
        first = published[0]
        runs = store.trials(purpose=Purpose.PUBLICATION, variant=first.variant)
        repeats = store.trials(purpose=Purpose.BASELINE)
        own = np.mean([trial.outcome.val_bpb for trial in runs])
        baseline = np.mean([trial.outcome.val_bpb for trial in repeats])
        names = {v.sha: v.name for v in store.variants()}
        before = store.run().baseline
    assert first.before == before
    assert tuple(trial.id for trial in runs) == first.trials
    assert len(runs) == FRESH_RUNS
    assert first.step.gain == pytest.approx(baseline - own)
    assert first.gain == first.step  # the first is compared with the baseline
    assert [p.before for p in published[1:]] == [p.variant for p in published[:-1]]
    told = [e.payload for e in read_events(paths.events) if e.kind == "published"]
    assert told[0]["variant"] == names[first.variant]
    assert told[0]["gain"]["low"] < told[0]["gain"]["gain"] < told[0]["gain"]["high"]


def test_status_tells_who_was_published_last(paths):
    with Store.open(paths.database, read_only=True) as store:
        last = store.published()
        status = run_status(store, last.created_at)
        name = store.variant(last.variant).name
    assert (status.published.name, status.published.gain) == (name, last.gain)
    told = dict(status_lines(status))["published"].plain
    assert told.startswith(f"{name}, +")
    assert told.endswith("by the fresh runs that decided it")


def test_its_runs_have_seeds_of_their_own_and_inform_no_fitness(paths, tmp_path):
    numbers: set[int] = set()

    def script(job):
        played = world(job)
        if job.trial_id not in numbers:
            return played
        return replace(played, outcome=replace(played.outcome, val_bpb=1.0))

    with Store.open(paths.database, read_only=True) as store:
        runs = store.trials(purpose=Purpose.PUBLICATION)
        seeds = {t.conditions.rng_seed for t in store.trials() if t.purpose.informs}
        nominee = store.variant(store.publications()[0].variant)
        expected = store.fitnesses()[nominee.sha]
    numbers |= {trial.id for trial in runs}
    fresh = [trial.conditions.rng_seed for trial in runs]
    assert len(set(fresh)) == len(fresh)
    assert not seeds & set(fresh)
    with Store.open(searched(tmp_path, script).database, read_only=True) as store:
        found = store.variant(store.publications()[0].variant)
        assert found.genome_hash == nominee.genome_hash
        assert store.publications()[0].gain.gain > 0.9
        assert store.fitnesses()[found.sha].mean == pytest.approx(expected.mean, abs=0.01)


def test_a_nominee_whose_fresh_runs_fail_is_not_published(paths, tmp_path):
    numbers: set[int] = set()

    def script(job):
        played = world(job)
        failed = crash(FailureClass.ERROR)
        return replace(played, outcome=failed) if job.trial_id in numbers else played

    with Store.open(paths.database, read_only=True) as store:
        numbers |= set(store.publications()[0].trials)
    with Store.open(searched(tmp_path, script).database, read_only=True) as store:
        first, *later = store.publications()
    assert not first.is_published
    assert first.step is None
    again = [each for each in later if each.variant == first.variant]
    assert len(again) <= 1  # it may come again once: the fault need not have been its own


def test_without_a_share_of_device_time_nobody_is_put_forward(tmp_path):
    with Store.open(searched(tmp_path, verdict__publication_share=0.0).database) as store:
        assert store.publications() == []
        assert store.trials(purpose=Purpose.PUBLICATION) == []


def test_fresh_runs_keep_to_their_share_of_the_device_time(paths):
    with Store.open(paths.database, read_only=True) as store:
        trials = [t for t in store.trials() if t.purpose is not Purpose.VERDICT]
        seconds = {t.id: t.outcome.total_seconds for t in trials}
        fresh = [seconds[t.id] for t in trials if t.purpose is Purpose.PUBLICATION]
    assert fresh
    # What ran beside a nominee's runs ended after they were granted.
    assert sum(fresh) <= SHARE * sum(seconds.values()) + max(seconds.values())


def test_an_engine_killed_while_a_nominee_runs_goes_on_with_it(tmp_path):
    paths = a_run(tmp_path, limits__trials=8, verdict__publication_share=SHARE)

    def stop(engine, _turn):
        with Store.open(paths.database, read_only=True) as store:
            if store.trials(purpose=Purpose.PUBLICATION):
                engine.request_stop()

    with an_engine(paths, after_turn=stop) as (engine, workspace, _):
        assert engine.run() is Ending.PAUSED
        assert workspace.store.publications() == []
    with an_engine(paths, ScriptedExecutor(world, slot_count=2)) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        first = workspace.store.publications()[0]
        labels = [trial.pair for trial in workspace.store.trials(purpose=Purpose.PUBLICATION)]
    assert first.label == "p001"
    assert len(labels) == len(set(labels))
    assert len(first.trials) == FRESH_RUNS


def test_a_banned_champion_is_no_longer_the_last_published(paths):
    with Store.open(paths.database, read_only=True) as store:
        publications = store.publications()
        last = last_published(publications)
    before = last_published(publications, [last.variant])
    assert before is None or before.variant != last.variant
    assert last_published(publications, [p.variant for p in publications]) is None


def test_a_champion_that_a_later_verdict_refutes_is_published_no_longer(paths, tmp_path):
    copied = shutil.copy(paths.database, tmp_path / "run.db")
    with Store.open(copied) as store:
        last = store.published()
        rung = replace(store.verdicts()[0].rungs[0], ruling=Ruling.REVERSED)
        store.add_verdict(Verdict("v009", last.variant, last.before, (rung,), 1e12))
        standing = store.published()
        status = run_status(store, 1e12)
    assert standing is None or standing.variant != last.variant
    assert status.published is None or status.published.sha != last.variant


def test_the_interval_of_a_fresh_gain_covers_the_truth():
    rng, sigma, hits = np.random.default_rng(4), 0.003, 0
    for _ in range(2000):
        own, others = 1.5 - 0.004 + sigma * rng.normal(size=2), 1.5 + sigma * rng.normal(size=3)
        found = fresh_gain(own, others, sigma=sigma, df=1e6)
        assert found.low < found.gain < found.high
        hits += found.low <= 0.004 <= found.high
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)


def test_few_degrees_of_freedom_widen_the_interval_of_a_fresh_gain():
    sure = fresh_gain([1.0], [1.1], sigma=0.05, df=100)
    unsure = fresh_gain([1.0], [1.1], sigma=0.05, df=3)
    assert unsure.high - unsure.low > sure.high - sure.low
    assert 0.5 < unsure.p_better < sure.p_better < 1
