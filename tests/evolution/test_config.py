import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.agent_settings import AgentSettings
from evolution.config import MODEL_OPERATORS, ConfigError, EvolutionConfig

ROOT = Path(__file__).parents[2]


def test_the_shipped_settings_are_the_defaults():
    assert EvolutionConfig.load(ROOT / "evolve.toml") == EvolutionConfig()


def test_the_shipped_settings_name_every_key():
    shipped = tomllib.loads((ROOT / "evolve.toml").read_text())
    known = EvolutionConfig().model_dump()
    assert {s: set(keys) for s, keys in shipped.items()} == {s: set(k) for s, k in known.items()}


@pytest.mark.parametrize(
    ("settings", "found", "next_step"),
    [
        ({"limits": {"trails": 3}}, "limits.trails", "Did you mean 'trials'?"),
        ({"limts": {}}, "limts", "Did you mean 'limits'?"),
        ({"limits": {"trials": "many"}}, "'many'", "valid integer"),
        ({"limits": {"trials": -1}}, "-1", "greater than or equal to 0"),
        ({"limits": {"trials": 0}}, "limits", "set at least one of them"),
        ({"operators": {"knob": 0.0, "structure": 0.0}}, "operators", "set at least one"),
        ({"verdict": {"pairs": 9}}, "verdict", "raise max_pairs or lower pairs"),
        ({"verdict": {"depths": [2.0]}}, "depths", "begin with 1.0"),
        ({"stopping": {"fraction": 0.3}}, "stopping.fraction", "0.1, 0.25 or 0.5"),
        ({"limits": 3}, "limits", "Mend the setting"),
        ({"population": {"niches": ["colour"]}}, "population.niches.0", "'speed'"),
        ({"plateau": {"gain": 0.0}}, "plateau.gain", "greater than 0"),
        ({"agents": {"kind": "claude"}}, "limit_usd", "how many dollars"),
        ({"agents": {"kind": "robot"}}, "agents.kind", "claude"),
        ({"agents": {"kind": "command", "limit_usd": 1.0}}, "command", "set both"),
        (
            {"agents": {"kind": "claude", "limit_usd": 1.0, "headers": {"X-Api-Key": "k"}}},
            "X-Api-Key",
            "put the key into the environment",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(settings, found, next_step):
    with pytest.raises(ConfigError) as error:
        EvolutionConfig.from_mapping(settings, source="evolve.toml")
    assert "evolve.toml" in str(error.value)
    assert found in str(error.value)
    assert next_step in str(error.value)


def test_broken_toml_names_the_line(tmp_path):
    path = tmp_path / "evolve.toml"
    path.write_text("[limits]\ntrials == 3\n")
    with pytest.raises(ConfigError, match="line 2"):
        EvolutionConfig.load(path)


@pytest.mark.parametrize("make", [Path.parent.fget, Path.mkdir])
def test_a_missing_settings_file_is_refused(tmp_path, make):
    path = tmp_path / "evolve.toml"
    make(path)
    with pytest.raises(ConfigError, match=r"needed|needs"):
        EvolutionConfig.load(path)


def test_data_named_in_the_settings_lie_beside_them(tmp_path):
    path = tmp_path / "evolve.toml"
    path.write_text('[run]\ndata = ["essays.txt"]\n')
    assert EvolutionConfig.load(path).run.data == (str(tmp_path / "essays.txt"),)


@pytest.mark.parametrize("settings", [{"run": 5}, {"limits": {"hours": float("inf")}}])
def test_odd_settings_with_overrides_are_refused_in_words(settings):
    with pytest.raises(ConfigError):
        EvolutionConfig.from_mapping(settings, {"run.profile": "tiny"})


def test_overrides_lie_over_the_file():
    config = EvolutionConfig.from_mapping(
        {"limits": {"trials": 5, "hours": 2.0}}, {"limits.trials": 7, "run.profile": "tiny"}
    )
    assert (config.limits.trials, config.limits.hours, config.run.profile) == (7, 2.0, "tiny")


@given(
    trials=st.integers(1, 10_000),
    seed=st.integers(0, 2**31 - 1),
    depths=st.lists(st.floats(1.1, 16), max_size=3, unique=True),
    data=st.lists(st.text(st.characters(categories=["L", "Zs", "P"])), max_size=2),
    niches=st.lists(st.sampled_from(["parameters", "speed", "memory", "code"]), unique=True),
)
def test_frozen_settings_read_back_the_same(trials, seed, depths, data, niches):
    config = EvolutionConfig.from_mapping(
        {
            "run": {"rng_seed": seed, "data": data},
            "limits": {"trials": trials},
            "population": {"niches": niches},
            "verdict": {"depths": [1.0, *depths]},
        }
    )
    assert EvolutionConfig.from_mapping(tomllib.loads(config.as_toml())) == config


def test_operators_that_ask_a_model_count_only_where_there_is_one():
    off = EvolutionConfig()
    on = EvolutionConfig.from_mapping({"agents": {"kind": "claude", "limit_usd": 1.0}})
    assert set(on.operator_weights()) - set(off.operator_weights()) == set(MODEL_OPERATORS)


def test_a_model_may_be_the_only_one_that_makes_something_new():
    alone = {"knob": 0.0, "structure": 0.0, "merge": 0.0, "guided": 0.0}
    agents = {"kind": "claude", "limit_usd": 1.0}
    config = EvolutionConfig.from_mapping({"operators": alone, "agents": agents})
    assert set(config.operator_weights()) == set(MODEL_OPERATORS)
    with pytest.raises(ConfigError, match="nothing new could arise"):
        EvolutionConfig.from_mapping({"operators": alone})


def test_a_role_has_its_own_model_or_the_one_of_its_kind():
    agents = AgentSettings(model="large", small_model="small", roles={"critic": "other"})
    roles = ("mutator", "repairer", "critic")
    assert [agents.model_of(role) for role in roles] == ["large", "small", "other"]
