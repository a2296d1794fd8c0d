"""What people read of money: `evolve spend`, `evolve show --calls`, the line in `evolve status`."""

import json

import pytest

from population import Call, CallResult, CallState, CommissionState, Store
from tests.builders import NOW
from tests.small_run import a_small_run


@pytest.fixture
def paid(tmp_path):
    """A small run whose champion came of two calls, one of them failed; limit 10 dollars."""
    paths = a_small_run(tmp_path / "runs")
    with Store.open(paths.database) as store:
        champion = store.variant("g002-003").sha
        mutator = store.open_commission("mutator", parents=[champion], rng_seed=1, at=NOW).id
        for ordinal in range(2):
            number = store.reserve_call(
                Call(
                    "mutator",
                    "twin-1",
                    f"Improve \x1b[2Jit, try {ordinal}.",
                    "",
                    NOW,
                    commission=mutator,
                    reserved_usd=1.0,
                    system=("The contract.",),
                ),
                limit_usd=10.0,
            )
            if ordinal == 0:
                result = CallResult("half a", cost_usd=1.0, details={"error": "It was cut."})
                store.fail_call(number, "cut_off", result)
            else:
                use = {"id": "u", "name": "submit_variant", "arguments": {"hypothesis": "wider"}}
                result = CallResult(
                    "Here it is.",
                    input_tokens=100,
                    cached_input_tokens=900,
                    output_tokens=70,
                    cost_usd=0.25,
                    stop_reason="tool_use",
                    tool_uses=[use],
                )
                store.settle_call(number, result)
        store.close_commission(mutator, CommissionState.BORN, variant=champion)
        under_way = Call("repairer", "twin-1", "Repair.", "", NOW, reserved_usd=0.5)
        store.reserve_call(under_way, limit_usd=10.0)
        store.set_fact("limit_usd", 10.0)
    return tmp_path / "runs"


def test_the_calls_of_a_variant_can_be_read_with_cost_and_outcome(evolve, paid):
    said = evolve("show", "g002-003", "--calls", "--runs", paid)
    assert said.code == 0
    assert "mutator asked twin-1, $1.0000, failed: cut_off (It was cut.)" in said.out
    assert "mutator asked twin-1, $0.2500, settled, tool_use" in said.out
    assert "100 tokens read, 900 from cache, 0 to cache; 70 written" in said.out
    for words in ("--- prompt", "it, try 1.", "--- reply", "Here it is.", "hypothesis: wider"):
        assert words in said.out
    assert said.out.count("The contract.") == 1  # said once, though both calls had it
    assert "\x1b[2J" not in said.out
    assert "Repair." not in said.out


def test_the_calls_of_a_variant_as_json_hold_every_text(evolve, paid):
    said = evolve("show", "g002-003", "--calls", "--json", "--runs", paid)
    calls = json.loads(said.out)["calls"]
    assert [call["state"] for call in calls] == [CallState.FAILED, CallState.SETTLED]
    assert calls[1]["system"] == ["The contract."]
    assert "calls" not in json.loads(evolve("show", "g002-003", "--json", "--runs", paid).out)


def test_a_variant_that_no_model_made_says_so(evolve, paid):
    assert (
        "no language model was asked for it"
        in evolve("show", "g001-001", "--calls", "--runs", paid).out
    )


def test_spending_is_shown_by_role_with_limit_forecast_and_confirmed_gain(evolve, paid):
    said = evolve("spend", "--runs", paid)
    assert said.code == 0
    assert "$1.25 of $10.00, $0.50 set aside for calls under way" in said.out
    assert "$1.250 an offspring, $5.97 an hour, limit in about 83 min" in said.out
    (row,) = [line.split() for line in said.out.splitlines() if line.startswith("mutator ")]
    assert row == ["mutator", "twin-1", "2", "1", "1000", "90%", "70", "1.2500", "1", "1.2500"]
    assert "v001 confirmed a gain of" in said.out
    assert "mutator, twin-1: 1 of its variants in the champion's lineage" in said.out


def test_spending_as_json(evolve, paid):
    facts = json.loads(evolve("spend", "--json", "--runs", paid).out)
    assert (facts["limit_usd"], facts["spending"]["spent_usd"]) == (10.0, 1.25)
    assert facts["forecast"]["usd_per_variant"] == 1.25
    assert facts["confirmed"]["kept"] == {"mutator, twin-1": 1, "repairer, twin-1": 0}


def test_the_status_says_what_models_cost(evolve, paid):
    assert "$1.25 of $10.00" in evolve("status", "--runs", paid).out
    facts = json.loads(evolve("status", "--json", "--runs", paid).out)
    assert facts["models"]["spending"]["reserved_usd"] == 0.5


def test_a_run_without_models_has_no_such_line(evolve, tmp_path):
    a_small_run(tmp_path / "runs")
    assert "models" not in evolve("status", "--runs", tmp_path / "runs").out
    assert "no language model was asked" in evolve("spend", "--runs", tmp_path / "runs").out
    assert json.loads(evolve("spend", "--json", "--runs", tmp_path / "runs").out) is None
