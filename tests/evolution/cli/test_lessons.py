"""``evolve lessons``, ``--lessons``, and what is shown of the critic."""

import json
import re
from pathlib import Path

import pytest

from evolution.cli.spending import critic_words
from evolution.critic_record import CriticRecord
from evolution.earlier_lessons import carried, page_lessons
from population import (
    Claim,
    CommissionState,
    Critique,
    Judgement,
    RunPaths,
    Store,
    Suspect,
    VerdictReading,
)
from population.lesson import CARRIED_CONFIDENCE, PERSON
from tests.builders import NOW, a_lesson
from tests.evolution.cli.conftest import Evolve
from tests.small_run import a_small_run

HOSTILE = "wide \x1b]0;owned\x07\x1b[2J[bold red]head[/] \u202egnp"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    paths = a_small_run(tmp_path / "runs")
    with Store.open(paths.database) as store:
        lessons = [
            a_lesson(text="Warm up longer.", evidence=(4, 5), claim=Claim.HELPS),
            a_lesson(text=HOSTILE, evidence=(4,), confidence=0.9),
            a_lesson(text="Keep the cap.", source=PERSON, evidence=(), confidence=0.8),
        ]
        store.change_lessons(at=NOW, added=lessons)
        store.change_lessons(at=NOW, retired={2: "librarian: trial 5 \x1b[2J says otherwise"})
        champion = store.variant("g002-003").sha
        asked = [store.open_commission("mutator", parents=(), rng_seed=n, at=NOW) for n in (1, 2)]
        for commission, judgement in zip(asked, ("reject", "pass"), strict=True):
            store.add_critique(
                Critique(commission.id, Judgement(judgement), (), NOW, judgement == "reject")
            )
        store.close_commission(
            asked[0].id, CommissionState.BORN, variant=store.variant("g002-004").sha
        )
        store.close_commission(asked[1].id, CommissionState.BORN, variant=champion)
        reading = store.open_commission("critic", parents=(champion,), rng_seed=3, at=NOW)
        suspects = (Suspect("LEARNING_RATE = 5e-3", "it is \x1b[2J new"),)
        said = VerdictReading("v001", champion, "It holds at home.", suspects, NOW, reading.id)
        store.add_reading(said)
        store.set_fact("limit_usd", 10.0)
    return tmp_path / "runs"


def test_active_lessons_are_shown_the_surest_first(runs: Path, evolve: Evolve):
    said = evolve("lessons", "--runs", runs)
    assert (said.code, said.err) == (0, "")
    assert said.out.index("Keep the cap.") < said.out.index("Warm up longer.")
    assert "4, 5" in said.out
    assert "owned" not in said.out
    assert "wide" not in said.out


def test_retired_lessons_are_shown_with_their_reason_and_command_no_terminal(
    runs: Path, evolve: Evolve
):
    for flags in ([], ["--json"]):
        said = evolve("lessons", "--all", *flags, "--runs", runs)
        assert "trial 5" in said.out
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said.out)
    assert "retired: librarian: trial 5" in evolve("lessons", "--all", "--runs", runs).out


def test_lessons_as_json_have_every_field(runs: Path, evolve: Evolve):
    found = json.loads(evolve("lessons", "--json", "--runs", runs).out)
    assert [one["name"] for one in found["lessons"]] == ["L3", "L1"]
    assert found["lessons"][1]["evidence"] == [4, 5]
    assert found["lessons"][1]["claim"] == "helps"
    assert found["page"].endswith("lessons.md")
    everything = json.loads(evolve("lessons", "--all", "--json", "--runs", runs).out)
    assert [one["state"] for one in everything["lessons"]] == ["active", "active", "retired"]


def test_a_run_without_lessons_says_so(tmp_path: Path, evolve: Evolve):
    a_small_run(tmp_path / "runs")
    assert "no lessons yet" in evolve("lessons", "--runs", tmp_path / "runs").out
    assert json.loads(evolve("lessons", "--json", "--runs", tmp_path / "runs").out)["lessons"] == []


def test_show_has_the_verdict_in_words_for_the_champion_alone(runs: Path, evolve: Evolve):
    said = evolve("show", "g002-003", "--runs", runs).out
    assert "v001 in the critic's words:" in said
    assert "It holds at home." in said
    assert "suspect: LEARNING_RATE = 5e-3: it is" in said
    assert "\x1b" not in said
    facts = json.loads(evolve("show", "g002-003", "--json", "--runs", runs).out)
    assert facts["readings"][0]["suspects"][0]["edit"] == "LEARNING_RATE = 5e-3"
    assert "critic's words" not in evolve("show", "g001-001", "--runs", runs).out


def test_status_and_spend_say_how_often_the_critic_was_right(runs: Path, evolve: Evolve):
    for verb in ("status", "spend"):
        said = evolve(verb, "--runs", runs).out
        assert "critic: 2 proposals read, 1 rejected, 0 warned of" in said
        assert "of 1 rejected and trained all the same, 1 failed or gained nothing" in said
        assert "(precision 100%)" in said
        assert "of 1 others, 0 failed or gained nothing (recall about 100%)" in said
    assert json.loads(evolve("spend", "--json", "--runs", runs).out)["critic"]["precision"] == 1.0
    status = json.loads(evolve("status", "--json", "--runs", runs).out)
    assert status["models"]["critic"]["rejected"] == 1


def test_without_trials_the_critic_has_no_precision():
    words = "\n".join(critic_words(CriticRecord(3, 1, 1, 0, 0, 0, 0)))
    assert "precision" not in words
    assert "recall" not in words


# --- carried to a next run -----------------------------------------------------------------------


def test_lessons_are_carried_by_folder_name_or_page(
    runs: Path, evolve: Evolve, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "mine.md"
    page.write_text("- Keep the cap.\n")
    for number, source in enumerate(("night-1", str(runs / "night-1"), str(page))):
        said = evolve("init", f"p{number}", "--lessons", source)
        assert said.code == 0, said.err
        text = (tmp_path / f"p{number}" / "lessons.md").read_text()
        assert "Keep the cap." in text
        assert "[L" not in text
        if source != str(page):
            assert "- Keep the cap. (earlier run night-1; confidence 0.4)" in text
            assert "- Warm up longer. (earlier run night-1; confidence 0.35)" in text
            assert "wide" not in text  # retired


def test_a_new_run_begins_with_the_lessons_of_its_folder(
    runs: Path, evolve: Evolve, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert evolve("init", "next", "--profile", "tiny", "--lessons", "night-1").code == 0
    monkeypatch.chdir(tmp_path / "next")
    words = ("run", "--dry-run", "--trials", "2", "--name", "second", "--no-seeds")
    said = evolve(*words)
    assert said.code == 0, said.err
    assert "2 lessons of" in said.err
    paths = RunPaths(tmp_path / "next" / "runs" / "second")
    with Store.open(paths.database, read_only=True) as store:
        known = {one.text: one for one in store.lessons()}
    assert set(known) == {"Warm up longer.", "Keep the cap."}
    assert {one.source for one in known.values()} == {"earlier run night-1"}
    assert known["Keep the cap."].confidence == pytest.approx(0.8 * CARRIED_CONFIDENCE)
    assert all(one.evidence == () and one.is_active for one in known.values())
    assert "- [L1] " in paths.lessons.read_text()


def test_run_takes_lessons_directly_in_place_of_the_folders(
    runs: Path, evolve: Evolve, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lessons.md").write_text("- From the folder.\n")
    words = ("run", "--dry-run", "--trials", "2", "--profile", "tiny", "--no-seeds")
    assert evolve(*words, "--name", "b", "--lessons", "night-1").code == 0
    assert evolve(*words, "--name", "c").code == 0
    texts = {}
    for name in ("b", "c"):
        with Store.open(runs / name / "run.db", read_only=True) as store:
            texts[name] = {one.text for one in store.lessons()}
    assert texts == {"b": {"Warm up longer.", "Keep the cap."}, "c": {"From the folder."}}


@pytest.mark.parametrize("verb", [["init", "p"], ["run", "--dry-run", "--profile", "tiny"]])
def test_lessons_that_are_not_there_are_a_mistake_in_three_parts(
    verb: list[str], evolve: Evolve, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.md").write_bytes(b"\xff\xfe- x")
    for source, found in (("nowhere", "no lessons at 'nowhere'"), ("bad.md", "not UTF-8")):
        said = evolve(*verb, "--lessons", source)
        assert said.code == 2
        assert found in said.err
        assert "Traceback" not in said.err
    assert not (tmp_path / "p").exists()
    assert not (tmp_path / "runs").exists()


def test_lessons_from_before_an_earlier_run_keep_its_name():
    first = carried([a_lesson(confidence=0.8)], "one", at=NOW)
    (again,) = carried(first, "two", at=NOW)
    assert (again.source, again.confidence) == ("earlier run one", pytest.approx(0.2))


def test_a_page_of_a_run_that_was_copied_is_carried_like_the_run(tmp_path: Path):
    from population.lesson_page import lessons_page

    page = tmp_path / "lessons.md"
    page.write_text(lessons_page([a_lesson(id=3, text="a")], run="night-9"))
    (lesson,) = page_lessons(page, at=NOW)
    assert (lesson.source, lesson.confidence) == ("earlier run night-9", pytest.approx(0.35))
    assert (lesson.id, lesson.evidence) == (0, ())
    page.write_text("- b (librarian; trials 3; confidence 1)\n")
    (lesson,) = page_lessons(page, at=NOW)
    assert (lesson.source, lesson.confidence, lesson.evidence) == (PERSON, 1.0, ())
