"""``init --from``: what it guesses from a script's text, and what it refuses without writing."""

import os
import tomllib
from pathlib import Path

import pytest

from evolution.config import EvolutionConfig
from evolution.onboarding import OnboardingError, draft
from evolution.printed_metric import printed_metrics
from evolution.script_wishes import Wishes
from population import EvolveError, Manual
from tests.evolution.cli.conftest import Evolve, evolve

__all__ = ["evolve"]


@pytest.mark.parametrize(
    ("line", "name", "output"),
    [
        ('print(f"val_loss: {loss:.4f}")', "val_loss", "val_loss: 0.1234"),
        ('print("val_loss:", loss)', "val_loss", "val_loss: 0.5"),
        ('print("val_loss = %.3f" % loss)', "val_loss", "val_loss = 0.500"),
        ('print("val_loss: {}".format(loss))', "val_loss", "val_loss: 0.5"),
        ('print("val_loss: " + str(loss))', "val_loss", "val_loss: 0.5"),
        ('print(f"done\\n---\\nval_loss: {loss}")', "val_loss", "val_loss: 0.5"),
        ('print(f"train loss: {a}, test loss: {b}")', "test_loss", "train loss: 1, test loss: 2"),
        ('print(f"Test accuracy = {100 * a:.1f} %")', "Test_accuracy", "Test accuracy = 93.5 %"),
    ],
)
def test_the_metric_is_told_from_the_print_and_its_pattern_reads_it(
    line: str, name: str, output: str
):
    from evolution.sandbox.metric_reader import MetricReader

    best = printed_metrics(f"{line}\n")[0]
    assert best.name == name
    reader = MetricReader(best.name, best.pattern, takes_last=False)
    reader.feed(output.encode())
    assert reader.score() == float(output.split()[-2 if output.endswith("%") else -1])


def test_held_out_comes_before_training_and_the_end_before_a_loop():
    text = 'for e in x:\n    print(f"val_loss: {a}")\nprint(f"loss: {b}")\nprint(f"val_acc: {c}")\n'
    names = [one.name for one in printed_metrics(text)]
    assert names == ["val_acc", "val_loss", "loss"]
    assert printed_metrics(text)[0].is_maximized


def a_project(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


PRINTS = 'print(f"val_loss: {1.0}")\n'


def test_files_data_and_frozen_names_are_found(tmp_path: Path):
    source = a_project(
        tmp_path / "it",
        fit="import model, metrics\nN_TEST = 3\nopen('t.csv')\nopen('gone.csv')\n" + PRINTS,
        model="from layers import Layer\nlr = 0.1\n",
        layers="width = 3\n",
        metrics="x = 1\n",
        unrelated_not_imported="y = 1\n",
    )
    (source / "t.csv").write_text("1")
    made = draft(source, tmp_path, Wishes(script="fit.py"))
    task = tomllib.loads(made.files["evolve.toml"])["task"]
    assert task["files"] == ["fit.py", "model.py", "layers.py"]
    assert sorted(task["data"]) == ["metrics.py", "t.csv"]
    assert task["folder"] == "it"
    assert "frozen: [N_TEST]" in made.files["program.md"]
    EvolutionConfig.from_mapping(tomllib.loads(made.files["evolve.toml"]))


def test_of_several_scripts_the_one_that_no_other_imports_is_started(tmp_path: Path):
    source = a_project(tmp_path, zfit="import model\n" + PRINTS, model="lr = 0.1\n")
    task = tomllib.loads(draft(source, tmp_path, Wishes()).files["evolve.toml"])["task"]
    assert task["files"] == ["zfit.py", "model.py"]


def test_a_metric_printed_in_a_loop_counts_by_its_last_value(tmp_path: Path):
    source = a_project(tmp_path, fit="for e in range(3):\n    " + PRINTS)
    task = tomllib.loads(draft(source, tmp_path, Wishes()).files["evolve.toml"])["task"]
    assert task["pattern_use"] == "last"


@pytest.mark.parametrize(
    ("files", "wishes", "words"),
    [
        ({}, Wishes(), "holds 0 Python scripts"),
        ({"a": PRINTS, "b": PRINTS}, Wishes(), "holds 2 Python scripts: a.py, b.py"),
        ({"a": PRINTS}, Wishes(script="c.py"), "no file 'c.py'"),
        ({"a": "print('hello')\n"}, Wishes(), "no print of the form"),
        ({"a": "print(\n"}, Wishes(), "is not Python"),
        ({"a": f"x = {'-' * 60_000}1\n"}, Wishes(), "nested too deeply"),
        ({"a": PRINTS}, Wishes(direction="up"), "'minimize' or 'maximize'"),
        ({"a": PRINTS}, Wishes(time_limit=-1.0), "greater than 0"),
        ({"a": PRINTS}, Wishes(metric="a b"), "needs a name"),
    ],
)
def test_what_cannot_be_begun_from_is_refused(
    files: dict[str, str], wishes: Wishes, words: str, tmp_path: Path
):
    source = a_project(tmp_path / "it", **files)
    with pytest.raises(EvolveError) as caught:
        draft(source, tmp_path, wishes)
    assert words in str(caught.value)


def test_bytes_that_are_no_text_and_links_to_nowhere_are_refused(tmp_path: Path):
    (tmp_path / "a.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(OnboardingError, match="UTF-8"):
        draft(tmp_path, tmp_path, Wishes())
    (tmp_path / "a.py").unlink()
    (tmp_path / "a.py").symlink_to(tmp_path / "nowhere.py")
    with pytest.raises(OnboardingError, match="holds 0 Python scripts"):
        draft(tmp_path, tmp_path, Wishes())


def test_hidden_files_and_pipes_are_no_data(tmp_path: Path):
    text = "for name in ('.env', 'pipe', 'rows.csv'):\n    open(name)\n"
    source = a_project(tmp_path / "it", fit=text + PRINTS)
    (source / ".env").write_text("KEY=secret")
    (source / "rows.csv").write_text("1\n")
    os.mkfifo(source / "pipe")
    task = tomllib.loads(draft(source, tmp_path, Wishes()).files["evolve.toml"])["task"]
    assert task["data"] == ["rows.csv"]


@pytest.mark.parametrize("name", ["off", "null", "no", "val_loss", "x"])
def test_the_manual_that_is_written_says_the_metric(name: str, tmp_path: Path):
    source = a_project(tmp_path / "it", fit=f'off = 1.0\nprint(f"{name}: {{off}}")\n')
    assert Manual.parse(draft(source, tmp_path, Wishes()).files["program.md"]).metric == name


def test_nothing_is_replaced_and_nothing_else_is_written(tmp_path: Path, evolve: Evolve):
    source = a_project(tmp_path / "my script", fit=PRINTS)
    (source / "evolve.toml").symlink_to("nowhere.toml")
    said = evolve("init", source, "--from", source)
    assert said.code == 2
    assert "is there already" in said.err
    assert sorted(p.name for p in source.iterdir()) == ["evolve.toml", "fit.py"]
    (source / "evolve.toml").unlink()
    assert evolve("init", source, "--from", source).code == 0
    assert sorted(p.name for p in source.iterdir()) == [
        "evolve.toml",
        "fit.py",
        "ideas",
        "program.md",
    ]
    assert (source / "fit.py").read_text() == PRINTS
    config = EvolutionConfig.load(source / "evolve.toml")
    assert config.task.folder == ""


def test_a_script_flag_without_a_folder_is_refused(tmp_path: Path, evolve: Evolve):
    said = evolve("init", tmp_path, "--metric", "val_loss")
    assert said.code == 2
    assert "Add --from" in said.err
