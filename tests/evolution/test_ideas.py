"""The folder of ideas: each plain text file a suggestion, whatever else lies there refused."""

import os
import time
from pathlib import Path

import pytest

from evolution.events import EventLog, read_events
from evolution.executors import ScriptedExecutor
from evolution.ideas import (
    FILE_BYTES,
    FILES,
    LOOK_SECONDS,
    IdeaError,
    IdeaFolder,
    first_ideas,
    idea_text,
)
from evolution.story import Story
from evolution.workspace import create_run
from population import Store
from population.people import SUGGESTION_LIMIT
from tests.builders import NOW, a_run
from tests.evolution.runs import a_run as a_real_run
from tests.evolution.runs import an_engine, settings, world


class Desk:
    """A folder that is looked at, and what came of it."""

    def __init__(self, root: Path, store: Store, events: EventLog, path: Path) -> None:
        self.root, self.store, self._path, self.now = root, store, path, NOW
        story = Story(store=store, events=events)
        self.folder = IdeaFolder(root, store, story, clock=lambda: self.now)

    def look(self, times: int = 2) -> None:
        """So many looks as far apart as they must be."""
        for _ in range(times):
            self.folder.look()
            self.now += LOOK_SECONDS

    def told(self, kind: str) -> list[dict]:
        return [dict(e.payload) for e in read_events(self._path) if e.kind == kind]

    def said(self) -> dict[str, tuple[str, str]]:
        """Text and state, by label."""
        return {s.label: (s.text, s.state.value) for s in self.store.suggestions()}


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "ideas").mkdir()
    path = tmp_path / "events.jsonl"
    with (
        Store.create(tmp_path / "run.db", a_run()) as store,
        EventLog(path, clock=time.time) as events,
    ):
        yield Desk(tmp_path / "ideas", store, events, path)


def test_each_file_is_a_suggestion_and_the_page_on_the_folder_is_none(desk):
    (desk.root / "README.md").write_text("what this folder is")
    (desk.root / "b.md").write_text("# Slower\n\nwarm up more slowly\n")
    (desk.root / "a.txt").write_text("tie the embeddings")
    (desk.root / ".draft.md").write_text("not yet")
    (desk.root / "b.md~").write_text("as it was")
    desk.look(1)
    assert desk.said() == {
        "S1": ("tie the embeddings", "open"),
        "S2": ("# Slower\n\nwarm up more slowly", "open"),
    }
    assert [s.author for s in desk.store.suggestions()] == ["ideas/a.txt", "ideas/b.md"]
    assert [e["suggestion"] for e in desk.told("suggestion")] == ["S1", "S2"]


def test_a_changed_file_is_a_new_suggestion_and_a_removed_one_is_withdrawn(desk):
    (desk.root / "a.md").write_text("one")
    desk.look(1)
    (desk.root / "a.md").write_text("two, and more of it")
    desk.look()
    assert desk.said() == {"S1": ("one", "withdrawn"), "S2": ("two, and more of it", "open")}
    (desk.root / "a.md").unlink()
    desk.look()
    assert desk.said()["S2"][1] == "withdrawn"
    assert [e["reason"] for e in desk.told("suggestion_withdrawn")] == [
        "its file says something else",
        "its file is gone",
    ]


def test_a_change_counts_once_two_looks_have_seen_it(desk):
    desk.look(1)
    (desk.root / "a.md").write_text("half of")
    desk.look(1)
    (desk.root / "a.md").write_text("half of an idea is none")
    desk.look(1)
    assert desk.said() == {}
    desk.look(1)
    assert desk.said() == {"S1": ("half of an idea is none", "open")}


def test_it_is_not_looked_at_more_often_than_every_few_seconds(desk):
    desk.look(1)
    (desk.root / "a.md").write_text("an idea")
    for _ in range(20):
        desk.folder.look()
        desk.now += LOOK_SECONDS / 100
    assert desk.said() == {}


def test_a_next_sitting_takes_in_the_same_files_as_the_same_suggestions(desk, tmp_path):
    (desk.root / "a.md").write_text("an idea")
    desk.look()
    with EventLog(tmp_path / "events.jsonl", clock=time.time) as events:
        again = Desk(desk.root, desk.store, events, tmp_path / "events.jsonl")
        again.look()
    assert desk.said() == {"S1": ("an idea", "open")}


def test_a_folder_that_is_gone_withdraws_nothing(desk):
    (desk.root / "a.md").write_text("an idea")
    desk.look()
    desk.root.rename(desk.root.with_name("elsewhere"))
    desk.look(3)
    assert desk.said() == {"S1": ("an idea", "open")}


def huge(path):
    path.write_text("x" * (FILE_BYTES + 1))


def link_out(path):
    secret = path.parents[1] / "secret.txt"
    secret.write_text("the key is 1234")
    path.symlink_to(secret)


HOSTILE = {
    "huge.md": (huge, "kB"),
    "binary.md": (lambda p: p.write_bytes(b"\xff\xfe\x00\x01"), "UTF-8"),
    "zero.txt": (lambda p: p.write_bytes(b"an idea\0"), "it is not text"),
    "link.md": (link_out, "it is a link"),
    "nowhere.md": (lambda p: p.symlink_to("/nowhere"), "it is a link"),
    "pipe.md": (os.mkfifo, "no plain file"),
    "folder.md": (Path.mkdir, "it is a folder"),
    "folder": (Path.mkdir, "it is a folder"),
    "script.py": (lambda p: p.write_text("import os"), "ends in .py"),
    "empty.md": (lambda p: p.write_text(" \n\x1b[2J\n"), "it is empty"),
    "esc\x1b[2J.md": (lambda p: p.write_text("an idea"), "not printable"),
    "x" * 150 + ".md": (lambda p: p.write_text("an idea"), "longer than"),
    os.fsdecode(b"\xff.md"): (lambda p: p.write_text("an idea"), "not printable"),
    "secret.md": (lambda p: (p.write_text("an idea"), p.chmod(0)), "denied"),
}


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_what_is_no_idea_is_refused_with_a_word_and_never_followed(desk, name):
    make, reason = HOSTILE[name]
    if name == "secret.md" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    make(desk.root / name)
    (desk.root / "good.md").write_text("an idea")
    desk.look(3)
    assert [text for text, _ in desk.said().values()] == ["an idea"]
    (told,) = desk.told("idea_refused")
    assert reason in told["reason"]
    assert "Mend it, or take it away" in told["reason"]
    assert "1234" not in str(told)
    assert told["file"].isprintable()


def test_more_files_than_are_read_are_refused(desk):
    for number in range(FILES + 2):
        (desk.root / f"{number:04d}.md").write_text(f"idea {number}")
    desk.look(1)
    assert len(desk.said()) == FILES
    assert len(desk.told("idea_refused")) == 2


def test_of_a_long_file_the_first_lines_are_kept(desk):
    (desk.root / "a.md").write_text("\n".join(f"line {n}" for n in range(2000)))
    (desk.root / "b.md").write_text("y" * (2 * SUGGESTION_LIMIT))
    desk.look(1)
    long, endless = (s.text for s in desk.store.suggestions())
    assert long.startswith("line 0\nline 1\n")
    assert SUGGESTION_LIMIT - 20 < len(long) <= SUGGESTION_LIMIT
    assert long.splitlines()[-1] in {f"line {n}" for n in range(2000)}
    assert endless == "y" * SUGGESTION_LIMIT


def test_a_run_begins_with_the_ideas_beside_its_settings(tmp_path):
    project, told = tmp_path / "mine", []
    (project / "ideas").mkdir(parents=True)
    (project / "ideas" / "README.md").write_text("mine")
    (project / "ideas" / "a.md").write_text("an idea\n")
    (project / "ideas" / "b.md").symlink_to("/etc/passwd")
    paths = create_run(tmp_path / "runs", settings(), project=project, report=told.append)
    assert sorted(p.name for p in paths.ideas.iterdir()) == ["README.md", "a.md"]
    assert (paths.ideas / "README.md").read_text().startswith("# Ideas")
    assert any("1 ideas: a.md" in line for line in told)
    assert any("b.md is no idea: it is a link" in line for line in told)


def test_the_setting_names_another_folder_or_none(tmp_path):
    config = settings(agents__ideas="")
    assert not create_run(tmp_path / "runs", config, name="none").ideas.exists()
    assert first_ideas(tmp_path, "", print) == {}
    assert list(first_ideas(tmp_path, "ideas", print)) == ["README.md"]
    with pytest.raises(IdeaError, match=r"no folder.*wishes.*agents.ideas"):
        create_run(tmp_path / "runs", settings(agents__ideas="wishes"), project=tmp_path)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["none"]


def test_a_file_dropped_into_a_live_run_is_taken_in(tmp_path):
    paths, executor = a_real_run(tmp_path, limits__trials=12), ScriptedExecutor(world, slot_count=2)

    def drop(_, turn):
        if turn == 2:
            (paths.ideas / "late.md").write_text("an idea that came late")

    with an_engine(paths, executor, after_turn=drop, clock=lambda: NOW + executor.now) as (
        engine,
        workspace,
        _,
    ):
        engine.run()
        (found,) = workspace.store.suggestions()
    assert (found.author, found.text) == ("ideas/late.md", "an idea that came late")
    assert idea_text(paths.ideas / "late.md") == found.text
