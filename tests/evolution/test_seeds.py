"""Seeds enter a run whole and once, or stop it before anything is made."""

from collections import Counter
from pathlib import Path

import pytest

from evolution.engine import Ending
from evolution.events import read_events
from evolution.executors import ScriptedExecutor
from evolution.profiles import load_profile
from evolution.seeds import SeedError, at_sizes, entering, fitted, read_idea
from evolution.templates import seed_paths, template_path
from evolution.workspace import WorkspaceError, create_run
from population import Branches, Origin, Purpose, Store, knobs, set_knobs
from population.errors import EvolveError
from tests.evolution.runs import a_run, an_engine, settings, world

TRAIN = template_path("train.py").read_text(encoding="utf-8")
TINY = load_profile("tiny").knobs


def a_project(folder: Path, text: str | None = TRAIN, **seeds: str) -> Path:
    """A folder with a train.py and a folder of seeds: by name, the text of each file."""
    (folder / "seeds").mkdir(parents=True)
    if text is not None:
        (folder / "train.py").write_text(text)
    for name, seed in seeds.items():
        (folder / "seeds" / f"{name}.py").write_text(seed)
    return folder


def edited(idea: str, **changes: object) -> str:
    return f"# Idea: {idea}\n{set_knobs(TRAIN, changes)}"


TWO = {
    "warm": edited("a longer warm-down", WARMDOWN=0.7),
    "rope": edited("a slower rope", ROPE_BASE=20000.0),
}


def waiting(paths):
    """Ideas of the seeds that a new run's engine will take in, with their texts."""
    with Store.open(paths.database, read_only=True) as store:
        return {r.payload["idea"]: r.payload["text"] for r in store.pending_requests()}


def begun(folder, project, **changes):
    """Seeds of a new run, and what was told of them."""
    told: list[str] = []
    config = settings(population__seeds="seeds", **changes)
    paths = create_run(folder / "runs", config, name="night", project=project, report=told.append)
    return waiting(paths), [line for line in told if " seeds" in line]


def test_the_idea_is_taken_off_the_text():
    assert read_idea("# Idea: wider\nA = 1\n") == ("wider", "A = 1\n")
    assert read_idea("#idea:  wider \r\nA = 1\n") == ("wider", "A = 1\n")
    for text in ("A = 1\n", '"""Idea: no comment."""\n', "\n# Idea: too late\n", ""):
        assert read_idea(text) == ("", text)


@pytest.mark.parametrize(
    ("change", "sizes", "found"),
    [
        ({}, {"DEPTH": 8, "WIDTH": 512}, {"DEPTH": 8, "WIDTH": 512}),
        ({"DEPTH": 1}, {"DEPTH": 8}, {"DEPTH": 4}),
        ({"DEPTH": 1}, {"DEPTH": 1}, {"DEPTH": 1}),
        ({"WIDTH": 192}, {"DEPTH": 1, "WIDTH": 64}, {"DEPTH": 1, "WIDTH": 96}),
        ({"MATRIX_LR": 0.02}, {"MATRIX_LR": 0.1}, {"MATRIX_LR": 0.05}),
        ({"WARMUP": 0.1}, {"WARMUP": 0.2}, {"WARMUP": 0.1}),
        ({"WINDOW_PATTERN": "L"}, {"WINDOW_PATTERN": "SL"}, {"WINDOW_PATTERN": "L"}),
    ],
)
def test_a_seed_takes_a_profiles_sizes_and_keeps_what_it_changed(change, sizes, found):
    text = at_sizes(set_knobs(TRAIN, change), TRAIN, sizes)
    assert {name: knobs(text)[name] for name in found} == pytest.approx(found)


def test_every_shipped_seed_waits_in_a_new_run_at_the_profiles_sizes(tmp_path):
    seeds, told = begun(tmp_path, None, limits__trials=2 * len(seed_paths()))
    assert len(seeds) == len(seed_paths()) >= 8
    assert told == [f"{len(seeds)} seeds: {', '.join(p.stem for p in seed_paths())}"]
    shallow = next(text for idea, text in seeds.items() if "half as many layers" in idea)
    assert (knobs(shallow)["DEPTH"], knobs(shallow)["WIDTH"]) == (1, 96)
    assert not any(text.startswith("# Idea") for text in seeds.values())


def test_a_projects_own_seeds_stand_in_for_the_shipped_ones(tmp_path):
    seeds, _ = begun(tmp_path, a_project(tmp_path / "mine", **TWO))
    assert list(seeds) == ["a slower rope", "a longer warm-down"]
    assert all(knobs(text)["WIDTH"] == 64 for text in seeds.values())


def test_half_of_the_trials_are_left_for_breeding(tmp_path):
    assert len(entering([1, 2, 3], trials=6)) == 3
    assert entering([1, 2, 3], trials=5) == [1, 2]
    assert entering([1, 2, 3], trials=1) == []
    assert len(entering([1, 2, 3], trials=0)) == 3
    seeds, told = begun(tmp_path, a_project(tmp_path / "mine", **TWO), limits__trials=2)
    assert list(seeds) == ["a slower rope"]
    assert told == [
        "1 of 2 seeds: half of 2 trials is left for breeding; `evolve seed` adds others"
    ]


def test_a_genome_of_ones_own_gets_no_seed_of_another(tmp_path):
    own = set_knobs(TRAIN, {"MATRIX_LR": 0.02})
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "train.py").write_text(own)
    seeds, told = begun(tmp_path / "a", tmp_path / "bare")
    assert (seeds, len(told)) == ({}, 1)
    assert "not the shipped one" in told[0]

    shipped = seed_paths()[0].read_text()
    project = a_project(tmp_path / "mine", own, shipped=shipped, mine=TWO["warm"])
    seeds, told = begun(tmp_path / "b", project)
    assert list(seeds) == ["a longer warm-down"]
    assert knobs(seeds["a longer warm-down"])["WIDTH"] == 128  # as it was written
    assert "1 shipped seeds are left out" in told[0]


def test_a_project_made_for_a_profile_keeps_its_seeds(tmp_path):
    gpu = load_profile("gpu").knobs
    shipped = at_sizes(seed_paths()[0].read_text(), TRAIN, gpu)
    project = a_project(tmp_path / "mine", set_knobs(TRAIN, gpu), one=shipped)
    seeds, _ = begun(tmp_path, project)
    assert [knobs(text)["WIDTH"] for text in seeds.values()] == [512]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("none", TRAIN, "none.py, line 1, says no idea"),
        ("empty", f"# Idea:\n{TRAIN}", "empty.py, line 1, says no idea"),
        ("broken", f"# Idea: a socket\nimport socket\n{TRAIN}", "broken.py, line 2, breaks"),
        ("same", f"# Idea: a comment\n# more\n{TRAIN}", "same.py is the same genome as the base"),
        ("twin", TWO["warm"], "warm.py is the same genome as"),
        ("bytes", b"\xff\xfe", "bytes.py is not UTF-8"),
    ],
)
def test_a_seed_that_cannot_enter_stops_the_run_before_anything_is_made(
    name, text, found, tmp_path
):
    project = a_project(tmp_path / "mine", **TWO)
    file = project / "seeds" / f"{name}.py"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(EvolveError, match=found) as error:
        begun(tmp_path, project)
    assert isinstance(error.value, SeedError | WorkspaceError)
    assert error.value.exit_code == 2
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_named_must_be_there(tmp_path):
    config = settings(population__seeds="ideas")
    with pytest.raises(SeedError, match=r"no folder .*ideas"):
        create_run(tmp_path / "runs", config, project=tmp_path)
    assert not (tmp_path / "runs").exists()


def test_a_shipped_seed_that_is_handed_in_takes_the_sizes_of_a_shipped_baseline():
    shipped = read_idea(seed_paths()[0].read_text()).text
    tiny = set_knobs(TRAIN, TINY)
    assert knobs(fitted(shipped, tiny, TINY))["WIDTH"] == 64
    assert fitted(shipped, TRAIN, TINY) == shipped  # a baseline of one's own
    mine = read_idea(TWO["warm"]).text
    assert fitted(mine, tiny, TINY) == mine


def check_taken_in_once(store: Store, branches: Branches) -> None:
    """Both seeds are variants with one screen trial each, and nobody waits."""
    baseline = store.run().baseline
    seeds = [v for v in store.variants() if v.origin is Origin.SEED]
    assert [v.hypothesis for v in seeds] == ["a slower rope", "a longer warm-down"]
    assert {v.parents for v in seeds} == {(baseline,)}
    assert all(branches.message(v.sha).startswith(v.hypothesis) for v in seeds)
    screens = Counter(t.variant for t in store.trials(purpose=Purpose.SCREEN))
    assert all(screens[v.sha] == 1 for v in seeds)
    assert len(store.trials(purpose=Purpose.BASELINE)) == 3
    assert not store.pending_requests()


def test_seeds_are_tried_after_the_baseline_and_before_any_offspring(tmp_path):
    project = a_project(tmp_path / "mine", **TWO)
    paths = create_run(
        tmp_path / "runs",
        settings(population__seeds="seeds", limits__trials=4, verdict__depths=[1.0]),
        name="night",
        project=project,
    )
    executor = ScriptedExecutor(world, slot_count=2)
    with an_engine(paths, executor) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        check_taken_in_once(workspace.store, workspace.branches)
        names = {v.sha: v.origin for v in workspace.store.variants()}
        trials = {t.id: t for t in workspace.store.trials()}
        started = [trials[job.trial_id] for job in executor.jobs]
        search = [names[t.variant] for t in started if t.purpose is not Purpose.VERDICT]
        assert search[:5] == [Origin.BASELINE] * 3 + [Origin.SEED] * 2
        assert len(workspace.store.trials(purpose=Purpose.SCREEN)) == 4  # seeds count, too
    born = [e.payload for e in read_events(paths.events) if e.kind == "variant"]
    assert [e["operator"] for e in born[:2]] == ["seed", "seed"]


class Killed(BaseException):
    """The engine's process is gone."""


@pytest.mark.parametrize("call", ["add_variant", "queue_trial", "settle_request"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_engine_killed_while_it_takes_seeds_in_loses_and_doubles_none(
    call, moment, tmp_path, monkeypatch
):
    project = a_project(tmp_path / "mine", **TWO)
    config = settings(population__seeds="seeds", limits__trials=4)
    paths = create_run(tmp_path / "runs", config, name="night", project=project)
    real = getattr(Store, call)

    def deadly(store, *arguments, **options):
        if moment == "after":
            real(store, *arguments, **options)
        raise Killed

    for _ in range(2):
        with an_engine(paths) as (engine, _, _):
            engine._begin()
            with monkeypatch.context() as patch:
                patch.setattr(Store, call, deadly)
                with pytest.raises(Killed):
                    engine._hear_requests()
    with an_engine(paths) as (engine, workspace, _):
        engine._begin()
        engine._hear_requests()
        check_taken_in_once(workspace.store, workspace.branches)
    answers = [e.payload["answer"] for e in read_events(paths.events) if e.kind == "request"]
    assert all(answer.startswith("taken in as") for answer in answers)


def test_a_run_of_this_module_has_no_seeds_unless_it_asks(tmp_path):
    assert waiting(a_run(tmp_path)) == {}
