"""Single edits and their merges: drawn, trained, and what their readings say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from rich.progress import Progress

from benchmarks.additivity import Bench, drawn_merges
from benchmarks.additivity_figures import findings
from benchmarks.additivity_page import page, save_figure
from benchmarks.edit_readings import FRESH, SNAPSHOT_AT, Readings, Trained, posterior
from benchmarks.effect_tables import at_profile
from benchmarks.effects import Measurement, Notebook
from benchmarks.merge_sums import company
from benchmarks.seed_noise import Grid, pair_correlation, seed_share
from benchmarks.single_edits import FROZEN, SingleEdit, root, single_edits
from benchmarks.trainers import Trainers
from evolution.templates import template_path
from population import Genome, Origin, canonical_hash, knobs, set_knobs

BASELINE = at_profile(template_path("train.py").read_text(encoding="utf-8"), "tiny")
SIGMA = 0.008
SEEDS, NEW_SEEDS = (1, 2, 3, 4), (FRESH, FRESH + 1, FRESH + 2, FRESH + 3)


def turned(**settings):
    """The baseline with other knobs."""
    text = set_knobs(BASELINE, settings)
    genome_hash = canonical_hash(Genome.single(text))
    start = root(BASELINE)
    variant = replace(
        start,
        sha=genome_hash[:40],
        genome_hash=genome_hash,
        parents=(start.sha,),
        operator="knob",
        origin=Origin.MUTATION,
        hypothesis=", ".join(settings),
    )
    return SingleEdit(variant, text)


def made_readings(*, company, edit_count=60, merge_count=30, rng_seed=0):
    """Readings as the search's model says they come to be; scales in σ are the usual ones."""
    rng = np.random.default_rng(rng_seed)
    seeds = [*SEEDS, *NEW_SEEDS]
    shared = dict(zip(seeds, SIGMA * math.sqrt(0.3) * rng.normal(size=len(seeds)), strict=True))

    def trained(name, source, effect, curve, **more):
        own = SIGMA * math.sqrt(0.7) * rng.normal(size=len(seeds))
        noise = [shared[seed] + each for seed, each in zip(seeds, own, strict=True)]
        rows = list(zip(seeds, noise, SIGMA * rng.normal(size=len(seeds)), strict=True))
        finals = {seed: 2.0 + effect + off for seed, off, _ in rows}
        snapshots = {seed: 2.5 + effect + curve + 0.5 * off + rest for seed, off, rest in rows}
        return Trained(name, source, name, finals=finals, snapshots=snapshots, **more)

    names = [f"edit {number}" for number in range(edit_count)]
    effects = dict(zip(names, 2.5 * SIGMA * rng.standard_t(3, size=edit_count), strict=True))
    curves = 1.5 * SIGMA * rng.standard_t(3, size=edit_count)
    readings = Readings(
        "tiny",
        1024,
        trained("start", "baseline", 0.0, 0.0),
        tuple(trained(n, "knob", effects[n], c) for n, c in zip(names, curves, strict=True)),
        (),
        dict.fromkeys(
            (
                "same as the baseline",
                "failed edits",
                "failed merges",
                "drawn",
                "helpful",
                "went in",
            ),
            1,
        ),
    )
    believed = posterior(readings.chosen_by())
    helpful = sorted(names, key=lambda name: believed.edit_means([name])[name])[:15]
    merges = []
    for number in range(merge_count):
        adds = tuple(rng.permutation(helpful)[: 2 + number % 5].tolist())
        hope = believed.together(adds)
        effect = sum(effects[name] for name in adds) + company * SIGMA * rng.normal()
        name = f"merge {number}"
        merges.append(
            trained(name, "guided", effect, 0.0, adds=adds, predicted=(hope.mean, hope.sd))
        )
    return replace(readings, merges=tuple(merge.on(NEW_SEEDS) for merge in merges))


@pytest.fixture(scope="module")
def additive():
    return made_readings(company=0.0)


@pytest.fixture(scope="module")
def found(additive):
    return findings(additive)


def test_single_edits_are_all_different_and_keep_the_work_of_a_token():
    edits = single_edits(BASELINE, "tiny", drawn=1)
    hashes = [canonical_hash(Genome.single(edit.text)) for edit in edits]
    assert len({*hashes, canonical_hash(Genome.single(BASELINE))}) == len(edits) + 1
    assert {e.variant.operator for e in edits} == {"seed", "catalogue", "knob", "structure"}
    before = knobs(BASELINE)
    for edit in edits:
        if edit.variant.operator in ("knob", "structure"):
            after = knobs(edit.text)
            assert [after[name] for name in FROZEN] == [before[name] for name in FROZEN]


def test_a_merge_holds_the_edits_it_names_and_its_prediction_is_their_sum():
    edits = [
        turned(MATRIX_LR=0.05),
        turned(MATRIX_LR=0.03),
        turned(EMBEDDING_LR=0.8),
        turned(ROPE_BASE=20000.0),
    ]
    gains = [0.05, 0.04, 0.03, 0.02]
    start = Trained(root(BASELINE).sha, "baseline", "", finals={1: 2.0, 2: 2.001, 3: 1.999})
    rows = [
        Trained(e.sha, "knob", e.what, finals={s: x - gain for s, x in start.finals.items()})
        for e, gain in zip(edits, gains, strict=True)
    ]
    believed = posterior(Readings("tiny", 1024, start, tuple(rows), (), {}))
    merges, counts = drawn_merges(BASELINE, edits, believed, count=3, rng=np.random.default_rng(0))
    by_sha = {edit.sha: edit for edit in edits}
    assert len(merges) == 3
    for merge, (hope, _) in merges:
        chosen = [by_sha[sha] for sha in merge.variant.adds]
        assert sum("MATRIX_LR" in edit.what for edit in chosen) <= 1  # two values of one knob
        wanted = {edit.what: knobs(edit.text)[edit.what] for edit in chosen}
        after = knobs(merge.text)
        changed = {name: value for name, value in after.items() if value != knobs(BASELINE)[name]}
        assert changed == wanted
        assert hope == pytest.approx(sum(believed.edit_means(merge.variant.adds).values()))
    assert counts["went in"] < counts["drawn"]
    assert counts["helpful"] == 4


def test_a_snapshot_leaves_the_score_as_it_is_and_trainings_are_kept(tiny_data, tmp_path):
    trainers = Trainers(tiny_data)
    edit = turned(MATRIX_LR=0.05)
    kept = {
        "data_hash": "tiny",
        "seq_len": 64,
        "steps": 4,
        "rng_seeds": (1, 2),
    }
    path = tmp_path / "kept.json"
    measuring = Measurement(trainers, Notebook(path), BASELINE, snapshot_at=SNAPSHOT_AT, **kept)
    bench = Bench(measuring, Progress(disable=True))
    broken = SingleEdit(root("import no_such_module"), "import no_such_module\n")
    bench.train([edit, broken], (1, 2), "edits")
    row = bench.trained(edit, (1, 2))
    assert set(row.snapshots) == {1, 2}
    assert row.snapshots != row.finals
    assert list(bench.failed) == [broken.sha]
    alone = trainers.train(edit.text, tokens=measuring.tokens, rng_seed=1)
    assert (alone.val_bpb, alone.snapshot_bpb) == (row.finals[1], None)
    known = Measurement(None, Notebook(path), BASELINE, snapshot_at=SNAPSHOT_AT, **kept)
    assert Bench(known, Progress(disable=True)).trained(edit, (1, 2, 3)) == row


def test_readings_are_read_as_they_were_written(additive, tmp_path):
    additive.write(tmp_path / "readings.json")
    assert Readings.read(tmp_path / "readings.json") == additive


def test_the_figures_hold_what_the_readings_were_made_with(found):
    assert found.sigma.holds(SIGMA)
    assert found.seed_share.holds(0.5)
    assert found.snapshot.holds(1.0)
    assert found.effect.scale.holds(2.5)
    assert found.effect.df.holds(3.0)
    assert found.effect.better > 2  # and tails are seen to be heavy
    assert found.curve.scale.holds(1.5)
    assert found.pair.holds(0.3)


def test_edits_that_add_are_found_to_add(found):
    assert found.company.scale.low == 0
    assert found.company.mean.holds(0.0)
    assert 0.5 < found.realised_on_predicted.value < 1.5
    assert found.covered["share"] > 0.8


def test_edits_that_clash_are_found_to_clash():
    readings = made_readings(company=4.0)
    scale = company(readings, NEW_SEEDS, math.sqrt(0.7) * SIGMA).scale
    assert scale.low > SIGMA
    assert scale.holds(4.0 * SIGMA)
    assert posterior(readings).scales.company > 2


def test_what_all_genomes_share_of_a_seed_is_their_correlation():
    rng = np.random.default_rng(1)
    shared, own = rng.normal(size=(1, 40)), rng.normal(size=(50, 40))
    scores = 3 * shared + own
    grid = Grid(scores, 0.25 * scores)
    assert pair_correlation(grid).value == pytest.approx(0.9, abs=0.04)
    assert seed_share(grid) == pytest.approx(0.25)


def test_the_page_says_the_figures_and_what_the_search_takes(additive, found, tmp_path):
    text = page(additive, found, "a command")
    assert "60 single edits" in text
    assert "30 merges" in text
    assert f"| effect of an edit, in σ | 2.5 | {found.effect.scale.text()} | no |" in text
    save_figure(additive, found, tmp_path / "additivity.png")
    assert (tmp_path / "additivity.png").stat().st_size > 10_000
