"""``[task]``: what makes a script, and what is refused in three parts."""

import sys
import tomllib
from typing import Any

import pytest

from evolution.config import ConfigError, EvolutionConfig
from population import Direction

TASK = {"files": ["fit.py", "model.py"], "metric": "val_loss"}


def config_of(**task: Any) -> EvolutionConfig:
    return EvolutionConfig.from_mapping({"task": {**TASK, **task}})


def test_without_files_the_task_is_the_built_in_one():
    assert not EvolutionConfig.from_mapping({}).task.is_script
    assert not EvolutionConfig.from_mapping({"task": {"time_limit": 5.0}}).task.is_script


def test_a_script_has_defaults_of_its_own():
    config = config_of()
    assert config.task.words() == [sys.executable, "fit.py"]
    assert config.verdict.depths == (1.0,)
    assert set(config.operators.weights()) == {"literal", "knob", "merge", "guided"}
    assert config.task.as_metric().direction is Direction.MINIMIZE


def test_a_command_is_words_or_one_line():
    assert config_of(command="Rscript 'my fit.R' -v").task.command == ("Rscript", "my fit.R", "-v")
    assert config_of(command=["python3", "fit.py"]).task.words()[0] == sys.executable


def test_the_settings_survive_being_frozen():
    config = config_of(direction="maximize", pattern=r"acc (\S+)", data=["a/"], unit="%")
    assert EvolutionConfig.from_mapping(tomllib.loads(config.as_toml())) == config


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"files": []}, "files names no script"),
        ({"files": ["../fit.py"]}, "no path inside the project"),
        ({"files": ["/fit.py"]}, "no path inside the project"),
        ({"files": ["a.py", "a.py"]}, "named twice"),
        ({"files": ["fit.R"]}, "none of the files is Python"),
        ({"entry": "other.py"}, "not among the files"),
        ({"metric": ""}, "needs a name"),
        ({"pattern": "("}, "no regular expression"),
        ({"pattern": "loss"}, "0 groups"),
        ({"pattern_use": "first"}, "'only' or 'last'"),
        ({"direction": "up"}, "'minimize' or 'maximize'"),
        ({"time_limit": 0.0}, "greater than 0"),
        ({"command": "a 'b"}, "cannot be split"),
        ({"seed_variable": "A B"}, "environment variable"),
        ({"scoring": "trusted"}, "only 'reported' is possible"),
        ({"data": ["fit.py"]}, "is data and holds a file of the genome"),
        ({"fils": []}, "Did you mean 'files'?"),
    ],
)
def test_what_cannot_be_a_task_is_refused_in_three_parts(task: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=r"try again\.$") as caught:
        config_of(**task)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "others", [{"verdict": {"depths": [1.0, 2.0]}}, {"run": {"data": ["a.txt"]}}]
)
def test_settings_of_the_built_in_task_are_refused_beside_a_script(others: dict[str, Any]):
    with pytest.raises(ConfigError, match="script"):
        EvolutionConfig.from_mapping({"task": TASK, **others})
