"""The doctor's plan: what hours give, what would be confirmed, what it costs."""

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.cli.planning import asked_hours
from evolution.config import EvolutionConfig
from evolution.doctor import Rates, examine
from evolution.doctor.earlier import Earlier
from evolution.doctor.night import night
from evolution.doctor.outlook import REFERENCE_SIGMA
from evolution.doctor.pace import Pace
from evolution.doctor.plan import run_seconds
from evolution.doctor.prices import night_cost, proposal_price
from evolution.profiles import profile_names
from population import Purpose, Store
from tests.builders import a_run, a_variant, an_outcome
from tests.evolution.cli.conftest import Evolve, evolve  # noqa: F401 - a fixture
from tests.small_run import run_trial

PLAIN = EvolutionConfig.from_mapping({})
ASKING = EvolutionConfig.from_mapping({"agents": {"kind": "claude", "limit_usd": 10.0}})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder: the shipped files are taken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    return tmp_path


def plan(**changes):
    asked = {"quick": True, "profile": "tiny", "rates": Rates(), **changes}
    return examine(Path("runs"), **asked).outlook


def test_eight_hours_of_two_workers_are_counted_by_purpose():
    found = night(PLAIN, 8.0, trial_seconds=36.0, workers=2)
    # 1,600 trials fit; the verdict takes 2 · (5 + 3 · 1.5) = 19 of home depth, the baseline 3.
    assert (found.baseline, found.verdict) == (3, 16)
    assert found.offspring == int((1600 - 19 - 3) / 1.1)
    assert found.replicates == int(0.1 * found.offspring)
    assert found.device_hours == 16.0
    assert found.search_hours == pytest.approx(8 - 19 * 36 / 2 / 3600, abs=0.01)


def test_the_hours_that_give_a_night_are_those_of_its_search():
    config = EvolutionConfig.from_mapping({"limits": {"hours": 8.0, "trials": 0}})
    found = night(PLAIN, 8.0, trial_seconds=36.0, workers=2)
    assert asked_hours(found) == "7.91"
    # `--hours` sets what ends the search; its verdict comes on top.
    assert run_seconds(config, Pace(36.0, ""), 2) > 8 * 3600


def test_hours_that_are_too_few_give_no_offspring_and_no_verdict():
    found = night(PLAIN, 0.01, trial_seconds=36.0, workers=1)
    assert asked_hours(found) == "–"  # 0 would be no limit at all
    assert (found.offspring, found.replicates, found.verdict) == (0, 0, 0)


@given(
    hours=st.floats(0, 1000),
    more=st.floats(0, 1000),
    seconds=st.floats(0.1, 5000),
    workers=st.integers(1, 64),
)
def test_more_hours_never_give_fewer_trials_and_no_more_than_fit(hours, more, seconds, workers):
    few = night(PLAIN, hours, trial_seconds=seconds, workers=workers)
    many = night(PLAIN, hours + more, trial_seconds=seconds, workers=workers)
    assert few.offspring <= many.offspring
    assert few.replicates <= 0.1 * few.offspring
    assert few.trials == few.baseline + few.offspring + few.replicates + few.verdict
    cost = few.baseline + few.offspring + few.replicates + (19 if few.verdict else 0)
    assert cost <= hours * 3600 * workers / seconds + 1e-6


def test_a_plan_says_whether_its_noise_and_pace_are_known_from_a_run_here(elsewhere):
    first = plan()
    assert first.noise.sigma == REFERENCE_SIGMA["tiny"][0]
    assert "docs/log.md" in first.noise.basis
    folder = elsewhere / "runs" / "night-1"
    folder.mkdir(parents=True)
    with Store.create(folder / "run.db", a_run({"run": {"profile": "tiny"}})) as store:
        store.set_fact("budget", {"kind": "tokens", "amount": 60 * 16 * 64.0})
        store.set_fact("sigma", 0.004)
        store.add_variant(a_variant())
        for seconds in (50.0, 60.0, 70.0):
            run_trial(store, a_variant(), Purpose.SCREEN, an_outcome(total_seconds=seconds))
    second = plan()
    assert (second.noise.sigma, second.pace.seconds) == (0.004, 60.0)
    assert second.noise.basis == "run night-1, 3 scores of variants run again"
    assert second.nights[0][0].offspring < first.nights[0][0].offspring
    home = second.as_dict()["detectable"][0]
    assert home["gain"] == pytest.approx(0.004 * home["sigmas"], abs=1e-5)


def ran(folder: Path, data: tuple[str, ...], sigma: float | None, seconds: float) -> None:
    """A run of the tiny profile on a text."""
    folder.mkdir(parents=True)
    settings = {"run": {"profile": "tiny", "data": list(data)}}
    with Store.create(folder / "run.db", a_run(settings)) as store:
        store.set_fact("budget", {"kind": "tokens", "amount": 60 * 16 * 64.0})
        if sigma is not None:
            store.set_fact("sigma", sigma)
        store.add_variant(a_variant())
        for _ in range(3):
            run_trial(store, a_variant(), Purpose.SCREEN, an_outcome(total_seconds=seconds))


def test_the_noise_of_another_text_is_not_taken_and_its_pace_is(elsewhere):
    mine = elsewhere / "mine.txt"
    rng = random.Random(1)
    mine.write_text(" ".join(str(rng.random()) for _ in range(5000)))
    ran(elsewhere / "runs" / "sotu", (), sigma=0.004, seconds=50.0)
    assert plan().noise.sigma == 0.004
    found = plan(data=[mine])
    assert found.pace.seconds == 50.0
    assert found.noise.sigma == REFERENCE_SIGMA["tiny"][0]
    assert "not on yours" in found.noise.basis


def test_noise_comes_from_an_older_run_where_that_read_the_text_and_the_newest_did_not(elsewhere):
    ran(elsewhere / "runs" / "old", (), sigma=0.004, seconds=50.0)
    ran(elsewhere / "runs" / "new", ("/else/other.txt",), sigma=0.9, seconds=70.0)
    os.utime(elsewhere / "runs" / "old" / "run.db", (1, 1))
    found = plan()
    assert (found.pace.seconds, found.noise.sigma) == (70.0, 0.004)
    assert found.noise.basis.startswith("run old, ")
    assert "run new" in found.pace.basis


def test_a_run_of_other_sizes_is_nothing_to_judge_by(elsewhere):
    folder = elsewhere / "runs" / "wide"
    folder.mkdir(parents=True)
    ran = {"run": {"profile": "tiny", "knobs": {"WIDTH": 128}}}
    with Store.create(folder / "run.db", a_run(ran)) as store:
        store.set_fact("budget", {"kind": "tokens", "amount": 60 * 16 * 64.0})
        store.add_variant(a_variant())
        for _ in range(3):
            run_trial(store, a_variant(), Purpose.SCREEN, an_outcome(total_seconds=99.0))
    assert "reference" in plan().pace.basis


def test_every_profile_has_a_figure_of_its_noise():
    assert set(REFERENCE_SIGMA) == set(profile_names())


def test_a_script_of_ones_own_has_its_gains_in_sigma(elsewhere):
    (elsewhere / "fit.py").write_text("rate = 0.5\nprint('loss:', (rate - 0.1) ** 2)\n")
    (elsewhere / "evolve.toml").write_text(
        '[task]\nfiles = ["fit.py"]\nmetric = "loss"\ntime_limit = 20\n'
    )
    found = plan(profile=None)
    assert found.noise.sigma is None
    assert [gain["gain"] for gain in found.as_dict()["detectable"]] == [None]
    assert found.gains[0].gain > 0


def test_the_limit_that_is_reached_first_stands_first(elsewhere, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-planted")
    (elsewhere / "evolve.toml").write_text(
        '[run]\nprofile = "tiny"\n[limits]\ntrials = 100000\nhours = 2.0\n'
        '[agents]\nkind = "claude"\nlimit_usd = 0.5\n'
    )
    found = plan(profile=None)
    hours = [limit.hours for limit in found.limits]
    assert hours == sorted(hours)
    assert [limit.ends_search for limit in found.limits] == [False, True, True]
    assert found.limits[1].words == "2 hours"


def test_dollars_follow_from_prices_and_stop_at_the_limit():
    found = night(ASKING, 8.0, trial_seconds=30.0, workers=2)
    proposal = proposal_price(ASKING, None)
    assert proposal.usd == pytest.approx(1.3486 / 40, rel=0.01)  # what the benchmark says
    assert proposal.share == pytest.approx(1.4 / 2.6)
    rates = Rates(usd_per_device_hour=2.0, usd_per_kwh=0.25)
    cost = night_cost(ASKING, found, rates, proposal, watts=500.0)
    assert (cost.device_usd, cost.kwh, cost.electricity_usd) == (32.0, 8.0, 2.0)
    assert cost.model_usd == 10.0
    short = night(ASKING, 0.5, trial_seconds=30.0, workers=1)
    spent = night_cost(ASKING, short, Rates(), proposal, watts=10.0)
    assert spent.model_usd == pytest.approx(proposal.usd * proposal.share * short.offspring)
    assert (spent.device_usd, spent.electricity_usd) == (None, None)


def test_what_an_offspring_cost_before_goes_before_the_list_price():
    earlier = Earlier("night-1", (1.0,), None, 0, usd_per_variant=0.5)
    assert (proposal_price(ASKING, earlier).usd, proposal_price(PLAIN, earlier)) == (0.5, None)


def test_a_model_without_a_price_costs_an_unknown_sum():
    asking = {"kind": "openai", "model": "nobody-knows", "limit_usd": 1.0}
    config = EvolutionConfig.from_mapping({"agents": asking})
    proposal = proposal_price(config, None)
    assert proposal.usd is None
    assert "nobody-knows" in proposal.basis
    found = night(config, 8.0, trial_seconds=30.0, workers=2)
    assert night_cost(config, found, Rates(), proposal, watts=10.0).model_usd is None


def test_the_command_shows_the_plan_in_words_and_as_json(evolve: Evolve, elsewhere):  # noqa: F811
    asked = ("doctor", "--plan", "--quick", "--profile", "tiny", "--usd-per-device-hour", "2")
    said = evolve(*asked)
    assert said.code == 0
    facts = json.loads(evolve(*asked, "--json").out)["plan"]
    search = facts["hours"][0]["search_hours"]
    assert f"`evolve run --hours {search:g}` gives that of 8 h" in said.out
    assert search < 8.0
    for words in (
        "run --hours",
        "8 h",
        "24 h",
        "72 h",
        "offspring",
        "four times in five",
        "the first limit",
    ):
        assert words in said.out
    facts = json.loads(evolve(*asked, "--json").out)["plan"]
    assert [row["hours"] for row in facts["hours"]] == [8.0, 24.0, 72.0]
    assert facts["hours"][0]["cost"]["device_usd"] == 2 * facts["hours"][0]["device_hours"]
    assert facts["twice_the_workers"]["offspring"] > facts["hours"][0]["offspring"]
    (elsewhere / "evolve.toml").write_text("[run\n")
    broken = evolve("doctor", "--plan", "--quick", "--json")
    assert (broken.code, json.loads(broken.out)["plan"]) == (1, None)


def test_without_plan_the_doctor_answers_as_before(evolve: Evolve):  # noqa: F811
    facts = json.loads(evolve("doctor", "--quick", "--profile", "tiny", "--json").out)
    assert set(facts) == {"can_start", "findings"}
