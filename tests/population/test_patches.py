"""Patches: `git am` on the baseline gives the champion's files, byte for byte."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from population import (
    Branches,
    Direction,
    Fitness,
    Genome,
    Metric,
    Scoring,
    Store,
    Variant,
    export_patches,
    plain,
)
from population.linear import Edit
from population.patch_message import patch_message
from population.publishing import MANIFEST
from tests.builders import (
    NOW,
    a_family,
    a_run,
    a_rung,
    a_trial,
    a_variant,
    a_verdict,
    an_outcome,
)

IDENTITY = {
    "GIT_AUTHOR_NAME": "someone",
    "GIT_AUTHOR_EMAIL": "someone@example.org",
    "GIT_COMMITTER_NAME": "someone",
    "GIT_COMMITTER_EMAIL": "someone@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
LINES = [f"line {number} = {number}" for number in range(1, 40)]


def text(**changes: str | None) -> str:
    """Forty lines; ``_7="x"`` sets line 7, None removes it."""
    lines = list(LINES)
    for key, value in changes.items():
        lines[int(key[1:])] = "\0" if value is None else value
    return "".join(f"{line}\n" for line in lines if line != "\0")


@dataclass
class Family:
    """Variants that are made one after another, in a real repository and a real database."""

    place: Path
    variants: list[Variant] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        self.branches = Branches.create(self.place / "population.git")
        self.store = Store.create(self.place / "run.db", a_run())

    def add(
        self, files: str | Mapping[str, str], *parents: int, idea: str = "", operator: str = "knob"
    ) -> int:
        genome = Genome.single(files) if isinstance(files, str) else Genome(files)
        serial = len(self.variants)
        shas = tuple(self.variants[number].sha for number in parents)
        idea = idea or f"idea {serial}"
        sha = self.branches.commit(genome, shas, message=idea, at=NOW + serial)
        generation = max((self.variants[n].generation + 1 for n in parents), default=0)
        variant = a_variant(
            serial,
            sha=sha,
            parents=shas,
            generation=generation,
            hypothesis=idea,
            operator=operator,
        )
        self.store.add_variant(variant)
        self.variants.append(variant)
        return serial

    def files(self, number: int) -> dict[str, bytes]:
        genome = self.branches.genome(self.variants[number].sha)
        return {path: content.encode() for path, content in genome.files.items()}

    def export(self, number: int | None = None):
        champion = self.variants[-1 if number is None else number]
        return export_patches(self.store, self.branches, champion, self.place / "patches")

    def close(self) -> None:
        self.branches.close()
        self.store.close()


@pytest.fixture
def family(tmp_path):
    family = Family(tmp_path / "run")
    yield family
    family.close()


def git(folder: Path, *words: str | Path) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={**os.environ, **IDENTITY},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return done.stdout.decode()


def applied(family: Family, series, place: Path) -> tuple[dict[str, bytes], list[str]]:
    """What `git am` makes of the baseline's files; and the messages, first commit first."""
    place.mkdir()
    git(place, "init", "-q")
    for path, data in family.files(0).items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "the baseline")
    patches = [series.folder / patch.file for patch in series.patches]
    git(place, "am", "-q", *(["--keep-cr"] if series.keep_cr else []), *patches)
    names = git(place, "ls-files", "-z").split("\0")[:-1]
    count = len(patches)
    messages = [git(place, "log", "-1", "--format=%B", f"HEAD~{n}") for n in range(count)]
    return {name: (place / name).read_bytes() for name in names}, messages[::-1]


def ideas(family: Family, series) -> list[int]:
    numbers = {variant.sha: n for n, variant in enumerate(family.variants)}
    return [numbers[patch.variant] for patch in series.patches]


def check(family: Family, place: Path, expected: Sequence[int]):
    series = family.export()
    assert ideas(family, series) == list(expected)
    files, messages = applied(family, series, place)
    assert files == family.files(len(family.variants) - 1)
    assert series.is_split
    return series, messages


def test_each_mutation_of_a_line_is_a_patch(family, tmp_path):
    family.add(text())
    family.add(text(_3="a"), 0)
    family.add(text(_3="a", _20="b"), 1)
    check(family, tmp_path / "mine", [1, 2])


def test_a_clean_crossover_leaves_no_patch_of_its_own(family, tmp_path):
    family.add(text())
    family.add(text(_3="a"), 0)
    family.add(text(_20="b"), 0)
    family.add(text(_3="a", _20="b"), 1, 2)
    check(family, tmp_path / "mine", [1, 2])


def test_what_a_crossover_added_is_its_own_patch(family, tmp_path):
    family.add(text())
    family.add(text(_3="a"), 0)
    family.add(text(_20="b"), 0)
    family.add(text(_3="a", _20="b", _30="c"), 1, 2)
    check(family, tmp_path / "mine", [1, 2, 3])


def test_an_edit_that_was_overwritten_leaves_no_patch_and_is_named(family, tmp_path):
    family.add(text())
    family.add(text(_3="x = 4"), 0, idea="x to 4")
    family.add(text(_3="x = 4", _20="b"), 1)
    family.add(text(_3="x = 5", _20="b"), 2)
    _, messages = check(family, tmp_path / "mine", [2, 3])
    assert "It replaces the edit of g001-001 (x to 4)." in messages[1]


def test_an_edit_that_was_undone_leaves_no_patch_and_neither_does_the_undoing(family, tmp_path):
    family.add(text())
    family.add(text(_3="a"), 0)
    family.add(text(_3="a", _20="b"), 1)
    family.add(text(_20="b"), 2)
    check(family, tmp_path / "mine", [2])


def test_an_edit_of_which_a_part_remains_is_kept(family, tmp_path):
    family.add(text())
    family.add(text(_3="a", _30="rest"), 0)
    family.add(text(_3="other", _30="rest"), 1)
    check(family, tmp_path / "mine", [1, 2])


def test_a_pure_deletion_beside_a_later_edit_stays_its_own_patch(family, tmp_path):
    family.add(text())
    family.add(text(_3=None), 0)
    family.add(text(_3=None, _4="b"), 1)
    check(family, tmp_path / "mine", [1, 2])


def test_of_two_parents_in_conflict_the_one_whose_edit_was_taken_gets_the_patch(family, tmp_path):
    family.add(text())
    family.add(text(_3="x = 4"), 0)
    family.add(text(_3="x = 5"), 0)
    family.add(text(_3="x = 5"), 1, 2)
    check(family, tmp_path / "mine", [2])


def test_a_conflict_that_a_crossover_resolved_is_in_its_patch_by_name(family, tmp_path):
    family.add(text())
    family.add(text(_3="x = 4", _10="from 1"), 0)
    family.add(text(_3="x = 5", _30="from 2"), 0, idea="x to 5")
    family.add(text(_3="x = 4.5", _10="from 1", _30="from 2"), 1, 2, idea="both")
    _, messages = check(family, tmp_path / "mine", [1, 3])
    assert "It carries the edit of g001-002 (x to 5)." in messages[1]


def test_files_come_and_go(family, tmp_path):
    family.add({"train.py": text(), "old.py": "gone = 1\n", "lib/keep.py": "k = 1\n"})
    family.add({"train.py": text(), "old.py": "gone = 1\n", "lib/keep.py": "k = 2\n"}, 0)
    family.add({"train.py": text(), "lib/keep.py": "k = 2\n", "lib/new mod.py": "n = 1"}, 1)
    check(family, tmp_path / "mine", [1, 2])


def test_odd_endings_and_bytes_survive(family, tmp_path):
    crlf = text().replace("\n", "\r\n")
    family.add({"train.py": crlf, "a.txt": "no newline", "b.txt": "lone\rreturn\n", "c.txt": ""})
    family.add(
        {
            "train.py": crlf.replace("line 3 ", "zeile ü \u2028 3 "),
            "a.txt": "no newline\nstill none",
            "b.txt": "lone\rcarriage\rreturn\n\n\n",
            "c.txt": "From me Mon Sep 17 00:00:00 2001\n---\ndiff -x\n-- \n\x00\n",
        },
        0,
    )
    series, _ = check(family, tmp_path / "mine", [1])
    assert series.keep_cr


HOSTILE_IDEAS = [
    "[PATCH] not a prefix",
    "Re: re: answer",
    "From: me@example.org",
    "Subject: another " + "and a longer one " * 8,
    "From: " + "someone else, and so on and on " * 6,
    "long " * 14 + "From a Mon Sep 17 00:00:00 2001",
    "long " * 16 + "--- diff -u a b Index: x " * 5,
    "first line\n---\nFrom x Mon Sep 17 00:00:00 2001\ndiff --git a/x b/x\n+evil\n",
    "quotes \" and ' and `touch x` and $(touch y) and \\ and %s",
    "LERNRATE größer → 0,004 ✓ 学习率",
    "=?utf-8?q?encoded?= words",
    "Signed-off-by: nobody <x@y>",
    "   : leading colon",
    "# not a comment",
    "x" * 300,
    "\x1b[31mred\x07",
    "'",
]


@pytest.mark.parametrize("idea", HOSTILE_IDEAS, ids=range(len(HOSTILE_IDEAS)))
def test_a_hypothesis_survives_the_mail(idea, family, tmp_path):
    family.add(text())
    family.add(text(_3="a"), 0, idea=idea)
    series, messages = check(family, tmp_path / "mine", [1])
    words = " ".join(messages[0].split())
    for word in plain(idea).split():
        assert word in words
    subject = messages[0].partition("\n")[0]
    assert subject == series.patches[0].subject
    assert "Variant: g001-001\nOperator: knob\nCommit: " in messages[0]


def test_the_message_tells_the_effect_and_the_verdict(family, tmp_path):
    family.add(text())
    family.add(text(_3="a"), 0, idea="a wider head")
    base, champion = family.variants
    means = {base.sha: Fitness(1.552, 0.003, 3), champion.sha: Fitness(1.532, 0.004, 2)}
    family.store.save_fitnesses(means)
    rung = a_rung(gain=0.02, low=0.013, high=0.027, pair_count=3)
    family.store.add_verdict(a_verdict(champion=champion.sha, baseline=base.sha, rungs=(rung,)))
    _, messages = check(family, tmp_path / "mine", [1])
    flat = " ".join(messages[0].split())
    assert "Effect against g000-000: better by 0.0200 ± 0.0098 bpb (95 %)" in flat
    assert "val_bpb 1.5520 → 1.5320." in flat
    assert "depth × 1 confirmed, gain +0.0200 bpb (95 %: +0.0130 to +0.0270), 3 pairs" in flat


def test_the_message_says_how_weakly_any_score_was_obtained():
    base, champion = a_family((), (0,))
    trusted = {"scoring": Scoring.TRUSTED, "containment": "namespace"}
    held = a_trial(1, variant=base.sha, outcome=an_outcome(**trusted))
    pair = a_trial(2, variant=champion.sha, outcome=an_outcome(**trusted), pair="v001:1.0:1")
    loose = a_trial(3, variant=champion.sha)

    def message(*trials):
        return " ".join(
            patch_message(
                Edit(champion.sha, Genome.single("A = 1\n")),
                variants={v.sha: v for v in (base, champion)},
                fitnesses={base.sha: Fitness(1.5, 0.1, 1), champion.sha: Fitness(1.4, 0.1, 1)},
                verdicts=[a_verdict(champion=champion.sha, baseline=base.sha)],
                metric=Metric(),
                trials=trials,
            ).split()
        )

    assert "1.40, trusted, namespace." in message(held, pair)
    assert "1.40, reported, basic!." in message(held, pair, loose)
    assert "4 pairs; trusted, namespace." in message(held, pair, loose)


def test_a_maximised_metric_is_told_as_people_know_it(family, tmp_path):
    family.store.set_metric(Metric("accuracy", Direction.MAXIMIZE, "%"))
    family.add(text())
    family.add(text(_3="a"), 0)
    base, champion = family.variants
    means = {base.sha: Fitness(-70.0, 0.3, 3), champion.sha: Fitness(-72.0, 0.4, 2)}
    family.store.save_fitnesses(means)
    _, messages = check(family, tmp_path / "mine", [1])
    flat = " ".join(messages[0].split())
    assert "better by 2.00 ± 0.98 % (95 %); accuracy 70.00 → 72.00." in flat


def test_an_unscored_variant_has_an_unknown_effect(family, tmp_path):
    family.add(text())
    family.add(text(_3="a"), 0)
    _, messages = check(family, tmp_path / "mine", [1])
    assert "unknown, g001-001 has no score" in messages[0]


def test_patches_name_the_product_and_the_variants_time_and_nothing_of_this_machine(family):
    family.add(text())
    family.add(text(_3="a"), 0)
    series = family.export()
    mail = (series.folder / series.patches[0].file).read_text()
    assert (
        "From: evoresearch <evoresearch@localhost>\nDate: Tue, 14 Nov 2023 22:13:21 +0000" in mail
    )
    assert str(family.place) not in mail
    version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.split()[2] not in mail


def test_the_same_run_gives_the_same_patches_bit_for_bit(family):
    family.add(text())
    family.add(text(_3="a"), 0)
    family.add(text(_3="a", _9="b"), 1)
    first = {p.name: p.read_bytes() for p in family.export().folder.iterdir()}
    second = {p.name: p.read_bytes() for p in family.export().folder.iterdir()}
    assert first == second
    assert sorted(first)[0] == MANIFEST


def test_a_champion_with_the_baselines_files_gives_no_patch_and_no_folder(family):
    family.add(text())
    family.add(text(_3="a"), 0)
    family.add(text(), 1)
    series = family.export()
    assert series.patches == ()
    assert not series.folder.exists()


def test_the_runs_own_repository_is_only_read(family):
    family.add(text())
    family.add(text(_3="a"), 0)
    place = family.place / "population.git"
    before = sorted(str(p) for p in place.rglob("*"))
    family.export()
    assert sorted(str(p) for p in place.rglob("*")) == before


FILES = st.dictionaries(
    st.sampled_from(["train.py", "lib/b.py", "c.txt"]),
    st.lists(
        st.sampled_from(["a\n", "b\n", "\n", "c = 1\r\n", "ü\n", "--- x\n", "From x\n", "\r", "z"]),
        max_size=8,
    ).map("".join),
).map(lambda files: {"train.py": "", **files})
BIRTHS = st.lists(
    st.tuples(FILES, st.integers(0, 99), st.none() | st.integers(0, 99), st.text(max_size=90)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, BIRTHS)
@example({"train.py": "a\n"}, [({"train.py": "z"}, 0, None, "[x"), ({"train.py": ""}, 1, 0, "'")])
def test_any_family_gives_its_last_variant_byte_for_byte(tmp_path_factory, files, births):
    place = tmp_path_factory.mktemp("family")
    family = Family(place / "run")
    try:
        family.add(files)
        for content, first, second, idea in births:
            number = len(family.variants)
            parents = list(dict.fromkeys([first % number, (second or 0) % number]))
            parents = parents[:1] if second is None else parents
            family.add(content, *parents, idea=idea.encode(errors="replace").decode())
        series = family.export()
        found, _ = applied(family, series, place / "mine")
        assert found == family.files(len(family.variants) - 1)
        assert series.is_split
    finally:
        family.close()
