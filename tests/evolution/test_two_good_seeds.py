"""Two seeds with different helpful edits: a merge carries both, and its lineage says so."""

import json
import random

import pytest

from agents import Crossover, KnobEdit
from evolution.breeding import _brought
from evolution.engine import Ending
from evolution.executors import Performance, ScriptedExecutor
from evolution.operators import built_in
from evolution.templates import seed_paths, template_path
from evolution.workspace import create_run
from population import Fitness, Lineage, Origin, Outcome, Snapshot, TrialStatus
from tests.builders import a_family
from tests.evolution.cli.conftest import evolve  # noqa: F401 - a fixture
from tests.evolution.runs import SIGMA, an_engine, settings

#: What marks the genomes of the two seeds, and what that is worth in bpb.
GAINS = {"F.silu(self.gate(x))": 0.020, "self.shift_weight = nn": 0.012}
GOOD = ("swiglu", "token-shift")
BASELINE = set(template_path("train.py").read_text(encoding="utf-8").splitlines())


def truth(text: str, shipped: set[str]) -> float:
    """1.6 less what the marks are worth; any other new line does something, mostly harm."""
    value = 1.6 - sum(gain for mark, gain in GAINS.items() if mark in text)
    for line in sorted(set(text.splitlines()) - shipped):
        value += 0.006 + random.Random(line).gauss(0, 0.010)
    return value


def a_world(shipped: set[str]):
    """Plays a trial: the truth of its text, seed noise and three snapshots."""

    def play(job):
        chance = random.Random(f"{job.conditions.rng_seed} {job.genome.main}")
        value, luck = truth(job.genome.main, shipped), chance.gauss(0, SIGMA)
        readings = tuple(
            Snapshot(share, value + offset + luck / 2 + chance.gauss(0, SIGMA))
            for share, offset in ((0.1, 0.9), (0.25, 0.5), (0.5, 0.2))
        )
        outcome = Outcome(
            TrialStatus.COMPLETE, val_bpb=value + luck, total_seconds=10.0, snapshots=readings
        )
        return Performance(outcome, duration_seconds=8 + 4 * chance.random())

    return play


def search(folder, operators, **changes):
    """A run that begins with the two seeds; its paths and the merges that carry both."""
    project = folder / "mine"
    (project / "seeds").mkdir(parents=True)
    for path in seed_paths():
        if path.stem in GOOD:
            (project / "seeds" / path.name).write_text(path.read_text())
    config = settings(
        population__seeds="seeds",
        verdict__pairs=2,
        verdict__max_pairs=2,
        verdict__depths=[1.0],
        **changes,
    )
    paths = create_run(folder / "runs", config, name="night", project=project)
    shipped = BASELINE.union(*(path.read_text().splitlines() for path in seed_paths()))
    shipped |= {"DEPTH = 1  # layers, at the home depth; prepare.depth() scales it"}
    shipped |= {"WIDTH = 64  # channels of the residual stream"}
    executor = ScriptedExecutor(a_world(shipped), slot_count=2)
    with an_engine(paths, executor, operators) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        merges = [
            variant
            for variant in workspace.store.variants()
            if variant.origin is Origin.CROSSOVER
            and all(mark in workspace.branches.genome(variant.sha).main for mark in GAINS)
        ]
        lineage = Lineage(workspace.store.variants())
        for merge in merges:
            assert len((*merge.parents, *merge.adds)) >= 2
            seeds = [
                lineage.variant(sha)
                for sha in lineage.edits(merge.sha)
                if lineage.variant(sha).origin is Origin.SEED
            ]
            assert len(seeds) == 2
    return paths, merges


def test_a_merge_carries_both_and_its_lineage_says_where_each_came_from(tmp_path, evolve):  # noqa: F811
    operators = {"knob": KnobEdit(), "merge": Crossover()}
    paths, merges = search(tmp_path, operators, limits__trials=8, operators__merge=1.0)
    assert merges
    words = ["lineage", merges[0].name, "--runs", paths.root.parent]
    family = {entry["name"]: entry for entry in json.loads(evolve(*words, "--json").out)}
    seeds = [entry for entry in family.values() if entry["origin"] == "seed"]
    assert len(seeds) == 2
    mothers = {family_name(family, sha) for sha in merges[0].parents}
    assert {name for seed in seeds for name in seed["through"]} == mothers
    for seed, gain in zip(sorted(seeds, key=lambda s: -s["gain"]), GAINS.values(), strict=True):
        assert abs(seed["gain"] - gain) < 4 * seed["gain_sd"]
    printed = evolve(*words).out
    for seed in seeds:
        assert seed["hypothesis"][:40] in printed.partition("edit by edit")[2]


def family_name(family, sha):
    return next(name for name, entry in family.items() if entry["sha"] == sha)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rng_seed", range(6))
def test_within_thirty_trials_of_all_operators_a_merge_carries_both(rng_seed, tmp_path):
    _, merges = search(tmp_path, built_in(), limits__trials=30, run__rng_seed=rng_seed)
    assert merges


def test_a_mate_is_worth_what_it_brings_and_not_what_both_have():
    baseline, good, other, sibling, first = a_family((), (0,), (0,), (1,), (1,))
    fitnesses = {
        baseline.sha: Fitness(1.600, 0.002, 3),
        good.sha: Fitness(1.570, 0.003, 1),
        other.sha: Fitness(1.585, 0.003, 1),
        sibling.sha: Fitness(1.568, 0.003, 1),
        first.sha: Fitness(1.566, 0.003, 1),
    }
    lineage = Lineage([baseline, good, other, sibling, first])
    brought = {v.sha: _brought(first.sha, v.sha, fitnesses, lineage) for v in (other, sibling)}
    assert brought[other.sha].mean == pytest.approx(-0.015)
    assert brought[sibling.sha].mean == pytest.approx(-0.002)
    assert max(brought, key=brought.__getitem__) == other.sha
    assert fitnesses[sibling.sha] > fitnesses[other.sha]
