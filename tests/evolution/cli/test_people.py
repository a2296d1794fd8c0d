"""``suggest``, ``suggestions``, ``pin`` and ``ban``: what they ask of a run, refuse, and show."""

import io
import json
import re
from pathlib import Path

import pytest

from evolution.run_lock import RunLock
from evolution.templates import template_path
from population import Fitness, Mark, Marked, Origin, Purpose, RunPaths, RunState, Store, Variant
from population.people import SUGGESTION_LIMIT
from tests.builders import NOW, an_outcome
from tests.evolution.cli.conftest import Evolve
from tests.small_run import HOSTILE, a_small_run, run_trial

VERBS = [
    ["suggest", "warm up slowly"],
    ["pin", "g001-001"],
    ["ban", "g001-001"],
]


@pytest.fixture
def paused(tmp_path: Path) -> RunPaths:
    return a_small_run(tmp_path / "runs", state=RunState.PAUSED)


def requests(paths: RunPaths) -> list[tuple[str, object]]:
    with Store.open(paths.database, read_only=True) as store:
        return [(r.kind, r.payload) for r in store.pending_requests()]


def sha_of(paths: RunPaths, name: str) -> str:
    with Store.open(paths.database, read_only=True) as store:
        return store.variant(name).sha


def set_mark(paths: RunPaths, name: str, mark: Mark, note: str = "") -> None:
    with Store.open(paths.database) as store:
        sha = store.variant(name).sha
        store.set_mark(sha, Marked(sha, mark, NOW, note))


def took_up(paths: RunPaths, text: str = "warm up slowly", author: str = "person") -> None:
    """Suggestion 1, and a scored mutation of g001-001 that took it up, and a seed beside it."""
    with Store.open(paths.database) as store:
        number = store.add_suggestion(text, author, at=NOW)
        parent = store.variant("g001-001")
        for serial, more in enumerate(
            (
                {"suggestion": number, "operator": "mutator", "origin": Origin.MUTATION},
                {"operator": "seed", "origin": Origin.SEED},
            ),
            len(store.variants()),
        ):
            child = Variant(
                sha=f"{serial:040x}",
                name=f"g002-{serial:03d}",
                generation=2,
                parents=(parent.sha,),
                hypothesis="a slower warm-up",
                genome_hash=f"{serial:064x}",
                created_at=NOW + 100,
                **more,
            )
            store.add_variant(child)
            run_trial(store, child, Purpose.SCREEN, an_outcome(1.52 + serial / 1000))
            store.save_fitnesses({child.sha: Fitness(1.52 + serial / 1000, 0.002, 1)})


# --- asking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_paused_run_hears_of_it_when_it_goes_on(words, paused, evolve: Evolve):
    said = evolve(*words, "--runs", paused.root.parent)
    assert said.code == 0
    assert "when it goes on: `evolve resume night-1`" in said.out
    assert [kind for kind, _ in requests(paused)] == [words[0]]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_live_run_hears_of_it_now(words, paused, evolve: Evolve):
    with RunLock(paused.lock):
        said = evolve(*words, "--runs", paused.root.parent, "--json")
    facts = json.loads(said.out)
    assert (facts["is_live"], facts["request"], facts["run"]) == (True, 1, "night-1")


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_finished_run_is_asked_nothing(words, tmp_path, evolve: Evolve):
    paths = a_small_run(tmp_path / "runs", state=RunState.FINISHED)
    said = evolve(*words, "--runs", tmp_path / "runs")
    assert said.code == 2
    assert "is finished" in said.err
    assert "live or paused" in said.err
    assert "`evolve run`" in said.err
    assert requests(paths) == []


def test_a_suggestion_may_come_from_standard_input(paused, evolve: Evolve, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("# Slower\n\nwarm up \x1b[2Jslowly\n"))
    said = evolve("suggest", "-", "--runs", paused.root.parent)
    assert said.code == 0
    assert requests(paused) == [("suggest", {"text": "# Slower\n\nwarm up slowly"})]


def test_where_no_model_is_asked_it_says_that_nobody_reads_it(paused, evolve: Evolve):
    said = evolve("suggest", "warm up slowly", "--runs", paused.root.parent)
    assert "nobody will read it: it asks no language model" in said.err
    assert "evolve seed FILE" in said.err
    assert "--agents claude" in said.err
    said = evolve("suggest", "another", "--runs", paused.root.parent, "--json")
    assert "no language model" in json.loads(said.out)["unread"]
    assert len(requests(paused)) == 2


def test_a_note_and_undo_go_with_the_request(paused, evolve: Evolve):
    evolve("pin", "g002-003", "-m", "the wide head", "--runs", paused.root.parent)
    said = evolve("pin", "g002-003", "--undo", "--runs", paused.root.parent)
    assert "is no longer pinned" in said.out
    sha = sha_of(paused, "g002-003")
    assert requests(paused) == [
        ("pin", {"variant": sha, "undo": False, "note": "the wide head"}),
        ("pin", {"variant": sha, "undo": True, "note": ""}),
    ]


def test_a_ban_says_what_goes_with_it(paused, evolve: Evolve):
    set_mark(paused, "g001-001", Mark.PINNED)
    with Store.open(paused.database) as store:
        store.set_fact("claim", {"label": "v002", "champion": store.variant("g002-003").sha})
    said = evolve("ban", "g001-001", "--runs", paused.root.parent)
    assert "So are the 3 that descend from it." in said.out
    assert "Its pin is gone with it." in said.out
    assert "claim v002 is under trial, and is tried to its end" in said.out


def test_a_suggestion_is_withdrawn_by_its_name(paused, evolve: Evolve):
    took_up(paused)
    said = evolve("suggest", "--withdraw", "S1", "--runs", paused.root.parent)
    assert "S1 is withdrawn" in said.out
    assert requests(paused) == [("withdraw", {"suggestion": 1})]


def pinned_full(paths):
    for name in ("g000-000", "g001-001", "g001-002", "g002-003"):
        set_mark(paths, name, Mark.PINNED)


def banned_parent(paths):
    set_mark(paths, "g001-001", Mark.BANNED)


@pytest.mark.parametrize(
    ("words", "prepare", "parts"),
    [
        (["suggest"], None, ("Neither TEXT nor", "one of them", "evolve suggest TEXT")),
        (["suggest", "x", "--withdraw", "S1"], None, ("Both TEXT", "one of them", "--withdraw S3")),
        (["suggest", " \x1b[2J"], None, ("is empty", "1 to 4000", "Say what to try")),
        (
            ["suggest", "x" * (SUGGESTION_LIMIT + 1)],
            None,
            ("has 4001 characters", "1 to 4000", "Say what to try"),
        ),
        (["suggest", "--withdraw", "S4"], None, ("'S4'", "none yet", "evolve suggestions")),
        (["suggest", "--withdraw", "x\x1b[2J"], None, ("There is no", "none yet", "suggestions")),
        (["pin", "g009-009"], None, ("'g009-009'", "are needed", "evolve leaderboard")),
        (["pin", "g002-004"], None, ("has no score: its trial crashed", "nobody knows", "Pin it")),
        (["pin", "g003-005"], pinned_full, ("4 variants are pinned", "a quarter", "Make room")),
        (["pin", "g002-003"], banned_parent, ("descends from", "breeds no more", "ban VARIANT")),
        (["pin", "g002-003", "--undo"], None, ("is not pinned", "takes back", "leaderboard")),
        (["ban", "g000-000"], None, ("is the baseline", "Only an offspring", "Name one")),
        (["ban", "g002-003", "--undo"], None, ("is not banned", "takes back", "leaderboard")),
    ],
)
def test_a_mistake_gets_three_parts_and_asks_nothing(words, prepare, parts, paused, evolve: Evolve):
    if prepare is not None:
        prepare(paused)
    said = evolve(*words, "--runs", paused.root.parent)
    assert (said.code, said.out) == (2, "")
    assert all(part in said.err for part in parts), said.err
    assert "\x1b" not in said.err
    assert requests(paused) == []


def test_what_waits_counts_as_done_for_the_next_request(paused, evolve: Evolve):
    runs = ("--runs", paused.root.parent)
    assert evolve("ban", "g001-001", *runs).code == 0
    assert "is banned, or descends" in evolve("pin", "g002-003", *runs).err
    assert evolve("ban", "g001-001", "--undo", *runs).code == 0
    assert evolve("pin", "g002-003", *runs).code == 0


def test_nothing_can_be_seeded_below_a_banned_variant(paused, tmp_path, evolve: Evolve):
    set_mark(paused, "g001-001", Mark.BANNED)
    (tmp_path / "new.py").write_text("x = 1\n")
    words = ["seed", tmp_path / "new.py", "-m", "x", "--parent", "g002-003"]
    said = evolve(*words, "--runs", paused.root.parent)
    assert said.code == 2
    assert "g002-003 is banned, or descends from" in said.err
    assert requests(paused) == []


# --- showing -------------------------------------------------------------------------------------


def test_suggestions_are_listed_with_what_took_them_up(paused, evolve: Evolve):
    took_up(paused, "warm up slowly")
    evolve("suggest", "another one", "--runs", paused.root.parent)
    said = evolve("suggestions", "--runs", paused.root.parent)
    row = next(line for line in said.out.splitlines() if line.startswith("S1"))
    assert re.search(r"S1 +open +g002-006 \+15 ± 7 +person +warm up slowly", row)
    assert "waits for the engine" in said.out
    assert "nobody reads them" in said.out
    facts = json.loads(evolve("suggestions", "--runs", paused.root.parent, "--json").out)
    (one,) = facts["suggestions"]
    assert (one["id"], one["state"], one["author"]) == ("S1", "open", "person")
    assert one["variants"][0]["name"] == "g002-006"
    assert one["best_gain"] == pytest.approx(0.015)
    assert facts["waiting"] == ["another one"]


def test_one_that_was_offered_in_vain_says_so(paused, evolve: Evolve):
    with Store.open(paused.database) as store:
        store.add_suggestion("an idea", "ideas/a.md", at=NOW)
        for _ in range(6):
            store.open_commission("mutator", parents=(), rng_seed=1, at=NOW, suggestions=[1])
    said = evolve("suggestions", "--runs", paused.root.parent)
    assert re.search(r"S1 +offered 6 times +— +ideas/a.md", said.out)


def test_without_any_suggestion_a_reader_says_how_to_make_one(paused, evolve: Evolve):
    said = evolve("suggestions", "--runs", paused.root.parent)
    assert (said.code, said.err) == (0, "")
    assert "evolve suggest TEXT" in said.out
    facts = json.loads(evolve("suggestions", "--runs", paused.root.parent, "--json").out)
    assert facts["suggestions"] == []


def test_lineage_names_the_person_behind_an_edit(paused, evolve: Evolve):
    took_up(paused)
    out = evolve("lineage", "g002-006", "--runs", paused.root.parent).out
    assert "mutator, S1 by a person: a slower warm-up" in out  # in the tree
    assert re.search(r"g002-006 +itself +mutator, S1 by a person", out)  # among the edits
    assert "seed by a person" in evolve("lineage", "g002-007", "--runs", paused.root.parent).out
    facts = json.loads(evolve("lineage", "g002-006", "--runs", paused.root.parent, "--json").out)
    assert [fact["credit"] for fact in facts] == ["", "", "S1 by a person"]


def test_lineage_names_the_file_that_an_idea_came_from(paused, evolve: Evolve):
    took_up(paused, author="ideas/slow.md")
    out = evolve("lineage", "g002-006", "--runs", paused.root.parent).out
    assert "mutator, S1 from ideas/slow.md" in out


def test_readers_mark_what_is_pinned_banned_and_barred(paused, evolve: Evolve):
    set_mark(paused, "g001-001", Mark.BANNED, "it cheats")
    set_mark(paused, "g001-002", Mark.PINNED)
    runs = ("--runs", paused.root.parent)
    for reader in (["leaderboard"], ["lineage"]):
        out = evolve(*reader, *runs).out
        assert "g001-001 banned" in out
        assert "g001-002 pinned" in out
        assert "g002-003 barred" in out
    assert "banned: it cheats" in evolve("show", "g001-001", *runs).out
    assert "barred" in evolve("show", "g002-003", *runs).out
    status = evolve("status", *runs).out
    assert "pinned g001-002; banned g001-001" in status
    assert "champion   the baseline" in status  # the best that is not banned
    standings = json.loads(evolve("leaderboard", *runs, "--json").out)
    marks = {standing["name"]: standing["mark"] for standing in standings}
    assert marks["g002-003"] == "barred"
    assert marks["g000-000"] is None


def test_show_tells_the_suggestion_that_a_variant_took_up(paused, evolve: Evolve):
    took_up(paused)
    runs = ("--runs", paused.root.parent)
    assert "S1 by a person: warm up slowly" in evolve("show", "g002-006", *runs).out
    facts = json.loads(evolve("show", "g002-006", *runs, "--json").out)
    assert (facts["suggestion"], facts["credit"]) == ("S1", "S1 by a person")


def test_status_credits_each_source_of_edits(paused, evolve: Evolve):
    runs = ("--runs", paused.root.parent)
    assert "source" not in evolve("status", *runs).out  # built-in operators alone
    took_up(paused)
    out = evolve("status", *runs).out
    assert re.search(r"built-in operators +5 +4 +g001-001 \+11 ± 7 +1", out)
    assert re.search(r"seeds +1 +1 +g002-007 \+14 ± 7 +0", out)
    assert re.search(r"suggestions +1 +1 +g002-006 \+15 ± 7 +1", out)
    assert "1 suggestion open" in out
    facts = json.loads(evolve("status", *runs, "--json").out)
    assert [s["source"] for s in facts["sources"]] == ["built-in operators", "seeds", "suggestions"]
    assert facts["open_suggestions"] == 1


def test_what_people_wrote_commands_no_terminal(paused, evolve: Evolve):
    took_up(paused, HOSTILE, f"ideas/{HOSTILE}")
    set_mark(paused, "g002-006", Mark.PINNED, HOSTILE)
    for words in (["suggestions"], ["lineage", "g002-006"], ["show", "g002-006"], ["status"]):
        for flags in ([], ["--json"]):
            said = evolve(*words, *flags, "--runs", paused.root.parent)
            assert said.code == 0
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said.out)


def test_init_writes_a_page_on_the_folder_of_ideas(tmp_path, evolve: Evolve):
    said = evolve("init", tmp_path / "mine", "--profile", "tiny")
    assert str(tmp_path / "mine" / "ideas" / "README.md") in said.out
    text = (tmp_path / "mine" / "ideas" / "README.md").read_text()
    assert text == template_path("ideas/README.md").read_text()
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) <= 5
