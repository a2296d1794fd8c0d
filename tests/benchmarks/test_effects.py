"""The measuring machine: paired trainings, prices, intervals, and what is kept of them."""

import json
import math

import pytest

from benchmarks.effect_tables import at_profile, pooled_half_width
from benchmarks.effects import PRICINGS, Effect, Interval, Measurement, Notebook, Price
from benchmarks.trainers import TrainerError, Trainers
from evolution.templates import template_path
from population import set_knobs

BASELINE = at_profile(template_path("train.py").read_text(encoding="utf-8"), "tiny")
STEP = 16 * 64


@pytest.fixture(scope="module")
def trainers(tiny_data):
    return Trainers(tiny_data)


def measurement(trainers, notebook):
    return Measurement(
        trainers,
        notebook,
        BASELINE,
        data_hash="tiny",
        seq_len=64,
        steps=3,
        rng_seeds=(1, 2),
    )


def test_an_interval_is_students():
    found = Interval.of([0.001, 0.002, 0.003])
    assert found.mean == pytest.approx(0.002)
    assert found.half_width == pytest.approx(4.302653 * 0.001 / 3**0.5)
    assert found.text == "+2.0 ± 2.5"


def test_scatter_is_pooled_over_rows():
    one = Effect(Interval.of([0.001, 0.002, 0.003]), Price(), Interval(0.0, 0.0), 3)
    other = Effect(Interval.of([0.0, 0.004, 0.008]), Price(), Interval(0.0, 0.0), 3)
    pooled_sd = ((0.001**2 + 0.004**2) / 2) ** 0.5
    assert pooled_half_width([one, other]) == pytest.approx(2.776445 * pooled_sd / 3**0.5)


def test_a_price_is_a_mean_of_pricings_with_their_scatter():
    price = Price.of([1.1, 1.1 * 1.02, 1.1 / 1.02])
    assert price.ratio == pytest.approx(1.1)
    assert price.reach == pytest.approx(4.302653 * math.log(1.02) / 3**0.5)
    assert price.is_told_from_one
    assert not Price.of([0.97, 1.03]).is_told_from_one
    assert Price().text == "1"
    assert price.text == "1.10 ± 0.05"


def test_the_reversed_effect_is_that_of_the_baseline_against_the_variant():
    effect = Effect(Interval(0.01, 0.002), Price(0.5, 0.1), Interval(-0.02, 0.004), 3)
    back = Effect(Interval(-0.01, 0.002), Price(2.0, 0.1), Interval(0.02, 0.004), 3)
    assert effect.reversed() == back


def test_the_baseline_has_no_effect_on_itself_and_is_trained_once(trainers, tmp_path):
    path = tmp_path / "effects.json"
    effect = measurement(trainers, Notebook(path)).effect(BASELINE, is_same_work=True)
    nothing = Interval(0.0, 0.0)
    assert effect == Effect(nothing, Price(), nothing, 2)
    assert len(json.loads(path.read_text())) == 2


def test_a_measurement_goes_on_with_what_is_kept(trainers, tmp_path):
    notebook = Notebook(tmp_path / "effects.json")
    other = set_knobs(BASELINE, {"MATRIX_LR": 0.08})
    effect = measurement(trainers, notebook).effect(other, is_same_work=True)
    assert effect.equal_tokens.mean != 0
    again = measurement(None, Notebook(tmp_path / "effects.json"))
    assert again.effect(other, is_same_work=True) == effect
    assert again.effect(set_knobs(BASELINE, {"MATRIX_LR": 0.02}), is_same_work=True) is None


def test_a_cheaper_step_buys_more_of_them_at_equal_work(trainers, tmp_path):
    path = tmp_path / "effects.json"
    cheap = set_knobs(BASELINE, {"MLP_RATIO": 1, "SOFTCAP": 0.0, "MUON_STEPS": 1})
    effect = measurement(trainers, Notebook(path)).effect(cheap)
    assert effect.price.ratio < 0.97
    assert effect.equal_work.half_width >= 0
    kept = json.loads(path.read_text())
    assert sum(key.startswith("price") for key in kept) == PRICINGS
    tokens = {key.split()[3] for key in json.loads(path.read_text()) if key.startswith("score")}
    assert str(3 * STEP) in tokens
    assert any(int(count) > 3 * STEP for count in tokens)


def test_a_training_of_the_same_tokens_is_the_same_to_the_bit(trainers):
    one, two = (trainers.train(BASELINE, tokens=3 * STEP, rng_seed=5) for _ in range(2))
    assert (one.val_bpb, one.steps, one.tokens) == (two.val_bpb, 3, 3 * STEP)
    assert one.peak_mb > 0


def test_a_genome_that_does_not_train_is_told_with_its_last_words(trainers):
    broken = BASELINE.replace("def main():\n", 'def main():\n    raise ValueError("no luck")\n')
    with pytest.raises(TrainerError, match=r"(?s)exit code 1.*no luck"):
        trainers.train(broken, tokens=STEP, rng_seed=1)


def test_steps_by_turns_have_the_tokens_of_a_step(trainers):
    twice = set_knobs(BASELINE, {"GRAD_ACCUM": 2})
    pairs = trainers.step_pairs(twice, BASELINE, 3)
    assert [(one.tokens, two.tokens) for one, two in pairs] == [(2 * STEP, STEP)] * 3
    assert all(step.cpu_seconds > 0 for pair in pairs for step in pair)
