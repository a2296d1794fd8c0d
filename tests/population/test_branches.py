"""Branches: a genome comes back as it went in, and git agrees with what we wrote."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from population import (
    Branches,
    BranchesError,
    DiskFullError,
    Genome,
    GitMissingError,
    Lineage,
    commit_message,
    merge_files,
)
from tests.builders import GENOME_TEXT, NOW, a_family, a_genome

ROOT = Path(__file__).parents[2]
quick = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def branches(tmp_path):
    with Branches.create(tmp_path / "population.git") as branches:
        yield branches


def git(branches_path, *arguments):
    """Git as a user would run it."""
    done = subprocess.run(
        ["git", "-C", str(branches_path), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(branches, text, parents=(), **changes):
    defaults = {"message": commit_message(f"try {text[:20]}", {"Operator": "knob"}), "at": NOW}
    return branches.commit(Genome.single(text), parents, **(defaults | changes))


# Objects

part = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,6}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
genomes = st.dictionaries(
    st.lists(part, min_size=1, max_size=3).map(lambda parts: "/".join(["lib", *parts]) + ".py"),
    texts,
    max_size=4,
).flatmap(lambda files: texts.map(lambda main: Genome({**files, "train.py": main})))


def is_sound(genome):
    folders = {path[:i] for path in genome.files for i, c in enumerate(path) if c == "/"}
    return not folders & set(genome.files)


@quick
@given(genome=genomes.filter(is_sound))
def test_a_genome_comes_back_as_it_went_in(branches, genome):
    sha = branches.commit(genome, message="m\n", at=NOW)
    assert branches.genome(sha) == genome
    assert branches.verify(sha)


@settings(quick, max_examples=5)
@given(genome=genomes.filter(is_sound))
def test_git_finds_nothing_wrong_with_what_was_written(branches, tmp_path, genome):
    sha = branches.commit(genome, message=commit_message("idea", {"Operator": "x"}), at=NOW)
    branches.anchor(sha, run="night-1", name="g001-001")
    git(tmp_path / "population.git", "fsck", "--full", "--strict")
    listed = git(tmp_path / "population.git", "-c", "core.quotePath=false", "ls-tree", "-r", sha)
    assert len(listed.splitlines()) == len(genome.files)


def test_the_same_input_gives_the_same_commit_anywhere(branches, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with Branches.create(tmp_path / "other.git") as other:
            first, second = (commit(place, GENOME_TEXT) for place in (branches, other))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert first == second
    assert first != commit(branches, GENOME_TEXT, at=NOW + 1)
    shown = git(tmp_path / "population.git", "show", "-s", "--format=%an|%ae|%ad|%ct", first)
    assert shown == f"evoresearch|evoresearch@localhost|Tue Nov 14 22:13:20 2023 +0000|{NOW:.0f}\n"


def test_a_mutation_has_one_parent_and_a_crossover_two_in_order(branches, tmp_path):
    base = commit(branches, "A = 1\n")
    left, right = (commit(branches, f"A = {n}\n", [base]) for n in (2, 3))
    merge = commit(branches, "A = 5\n", [right, left])
    parents = git(tmp_path / "population.git", "show", "-s", "--format=%P", merge).split()
    assert parents == [right, left]
    assert branches.merge_base(left, right) == base
    assert branches.merge_base(left, merge) == left
    assert branches.merge_base(left, commit(branches, "B = 1\n")) is None


def test_the_merge_base_is_the_lineages_common_ancestor(branches):
    shas = {}
    family = a_family((), (0,), (1,), (1,), (2, 3), (3,))
    for serial, variant in enumerate(family):
        parents = [shas[parent] for parent in variant.parents]
        shas[variant.sha] = commit(branches, f"A = {serial}\n", parents)
    lineage = Lineage(family)
    for a in family:
        for b in family:
            found = lineage.common_ancestor(a.sha, b.sha)
            assert branches.merge_base(shas[a.sha], shas[b.sha]) == shas[found or ""]


def test_a_parent_that_is_not_here_is_refused(branches):
    with pytest.raises(BranchesError, match=r"no sound commit ffffffffff.*git fsck"):
        commit(branches, "A = 1\n", ["f" * 40])


@pytest.mark.parametrize(
    "path",
    [".git/config", ".gitattributes", "a/.hidden", "a\nb", "git~1", "a:b", "train.py/x"],
)
def test_a_file_name_that_git_could_misread_is_refused(branches, path):
    with pytest.raises(BranchesError, match="Rename the file"):
        branches.commit(Genome({"train.py": "", path: "x"}), message="m", at=NOW)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x"])
def test_a_path_that_leaves_the_genome_is_refused(branches, path):
    with pytest.raises(Exception, match="relative"):
        branches.commit(Genome({"train.py": "", path: "x"}), message="m", at=NOW)


def test_a_text_that_is_no_unicode_is_refused(branches):
    with pytest.raises(BranchesError, match="lone surrogates"):
        commit(branches, "x = '\ud800'\n")


def test_reading_something_else_than_a_commit_is_an_error(branches, tmp_path):
    sha = commit(branches, "A = 1\n")
    tree = git(tmp_path / "population.git", "rev-parse", f"{sha}^{{tree}}").strip()
    for wrong in (tree, "0" * 40):
        with pytest.raises(BranchesError, match="no sound commit"):
            branches.genome(wrong)
        assert not branches.verify(wrong)
    with pytest.raises(BranchesError, match="40 hexadecimal digits"):
        branches.genome("HEAD")
    assert branches.genome(sha).main == "A = 1\n"


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_damaged_object_is_noticed_and_the_rest_still_reads(branches, tmp_path, damage):
    broken, sound = commit(branches, "A = 1\n"), commit(branches, "A = 2\n")
    blob = git(tmp_path / "population.git", "rev-parse", f"{broken}:train.py").strip()
    file = tmp_path / "population.git" / "objects" / blob[:2] / blob[2:]
    file.chmod(0o600)
    file.write_bytes(damage)
    assert not branches.verify(broken)
    with pytest.raises(BranchesError, match=r"no sound blob.*restore the repository"):
        branches.genome(broken)
    assert branches.verify(sound)
    assert branches.genome(sound).main == "A = 2\n"


# Names


def test_branches_hold_commits_by_name(branches, tmp_path):
    one, other = commit(branches, "A = 1\n"), commit(branches, "A = 2\n")
    branches.anchor(one, run="night-1", name="g000-000")
    branches.anchor(other, run="night-1", name="g001-001")
    branches.anchor(other, run="night-10", name="g000-000")
    assert branches.names("night-1") == {"g000-000": one, "g001-001": other}
    assert branches.names("night-10") == {"g000-000": other}
    assert branches.names("nobody") == {}
    listed = git(tmp_path / "population.git", "branch", "--list", "--format=%(refname:short)")
    assert "evolve/night-1/g001-001" in listed.splitlines()


def test_anchoring_again_moves_the_branch(branches):
    one, other = commit(branches, "A = 1\n"), commit(branches, "A = 2\n")
    for sha in (one, one, other):
        branches.anchor(sha, run="r", name="g000-000")
    assert branches.names("r") == {"g000-000": other}


@pytest.mark.parametrize("name", ["", "..", "a..b", "a/b", "-x", "x.lock", "a b", "a\n", "."])
def test_a_name_that_is_no_branch_is_refused(branches, name):
    sha = commit(branches, "A = 1\n")
    for wrong in ({"run": name, "name": "g"}, {"run": "r", "name": name}):
        with pytest.raises(BranchesError, match="part of a branch"):
            branches.anchor(sha, **wrong)


def test_a_commit_that_is_not_here_cannot_be_anchored(branches):
    with pytest.raises(BranchesError, match="git update-ref failed"):
        branches.anchor("1" * 40, run="r", name="g000-000")
    assert branches.names("r") == {}


def test_everything_survives_packing_and_reopening(branches, tmp_path):
    shas = {}
    for serial in range(12):
        sha = commit(branches, f"A = {serial}\n")
        branches.anchor(sha, run="r", name=f"g000-{serial:03d}")
        shas[f"g000-{serial:03d}"] = sha
    branches.notes(dict.fromkeys(shas.values(), "1.5"))
    loose = commit(branches, "A = 99\n")
    branches.pack()
    assert branches.names("r") == shas
    branches.close()
    with Branches.open(tmp_path / "population.git") as again:
        assert again.names("r") == shas
        assert all(again.verify(sha) for sha in [*shas.values(), loose])
        assert again.read_note(shas["g000-003"]) == "1.5"
        again.anchor(loose, run="r", name="g000-003")
        assert again.names("r")["g000-003"] == loose


# The story


def test_notes_are_replaced_and_others_kept(branches, tmp_path):
    one, other = commit(branches, "A = 1\n"), commit(branches, "A = 2\n")
    branches.notes({one: "fitness 1.50", other: "fitness 1.60"})
    branches.note(one, "fitness 1.55")
    assert branches.read_note(one) == "fitness 1.55"
    assert branches.read_note(other) == "fitness 1.60"
    assert branches.read_note(commit(branches, "A = 3\n")) is None
    repository = tmp_path / "population.git"
    assert git(repository, "rev-list", "--count", "refs/notes/fitness") == "1\n"
    before = git(repository, "rev-parse", "refs/notes/fitness")
    branches.note(one, "fitness 1.55", at=NOW)
    assert git(repository, "rev-parse", "refs/notes/fitness") == before


def test_many_notes_are_each_found(branches, tmp_path):
    # Beyond 255 notes git sorts them into folders.
    stream = "".join(
        f"commit refs/heads/many\ncommitter x <x@y> {n} +0000\ndata 0\n" for n in range(300)
    )
    repository = tmp_path / "population.git"
    subprocess.run(
        ["git", "-C", repository, "fast-import", "--quiet"], input=stream.encode(), check=True
    )
    shas = git(repository, "rev-list", "many").split()
    branches.notes({sha: f"fitness {n}" for n, sha in enumerate(shas)})
    branches.notes({sha: f"fitness {n}.5" for n, sha in enumerate(shas) if n % 3 == 0})
    for n in (0, 1, 150, 298, 299):
        assert branches.read_note(shas[n]) == f"fitness {n}{'.5' if n % 3 == 0 else ''}"
    assert len(git(repository, "notes", "--ref=fitness").splitlines()) == 300


def test_the_log_reads_as_a_story(branches, tmp_path):
    base = commit(branches, "A = 1\n", message="baseline\n")
    left = commit(branches, "A = 2\n", [base], message="wider\n", at=NOW + 1)
    right = commit(branches, "B = 2\n", [base], message="deeper\n", at=NOW + 2)
    merge = commit(branches, "A = 2\nB = 2\n", [left, right], message="both\n", at=NOW + 3)
    for name, sha in {"g000": base, "g001": left, "g002": right, "g003": merge}.items():
        branches.anchor(sha, run="r", name=name)
    branches.notes({merge: "1.4900 ± 0.0040", base: "1.5500 ± 0.0020"})
    story = branches.log_graph()
    for word in ("both", "wider", "deeper", "baseline", "1.4900 ± 0.0040", "evolve/r/g003", "|\\"):
        assert word in story
    assert "1.4900" not in branches.log_graph(notes=False)
    # Plain git shows what HEAD holds: first the baseline, then whatever it is pointed at.
    plain = ("log", "--graph", "--notes=fitness", "--oneline")
    assert "baseline" in git(tmp_path / "population.git", *plain)
    branches.point_head(run="r", name="g003")
    told = git(tmp_path / "population.git", *plain)
    assert "both" in told
    assert "1.4900 ± 0.0040" in told
    assert len(re.findall(r"\*[ |]+[0-9a-f]{7}", told)) == 4


def test_an_empty_repository_has_an_empty_story(branches):
    assert branches.log_graph() == ""


def test_a_diff_shows_what_changed(branches):
    a, b = commit(branches, "A = 1\nB = 1\n"), commit(branches, "A = 1\nB = 2\n")
    shown = branches.diff(a, b)
    assert "--- a/train.py\n+++ b/train.py\n" in shown
    assert "\n-B = 1\n+B = 2\n" in shown
    assert branches.diff(a, a) == ""


# Messages


def test_a_short_hypothesis_is_the_subject():
    message = commit_message("Wider MLP", {"Operator": "knob", "Knob": "WIDTH", "Empty": ""})
    assert message == "Wider MLP\n\nOperator: knob\nKnob: WIDTH\n"


def test_a_long_hypothesis_is_cut_at_a_word_and_told_in_full():
    long = "Raise the matrix learning rate because " + "the warm-up is long and " * 8
    subject, blank, *rest = commit_message(long, {"Operator": "knob"}).split("\n")
    assert len(subject) <= 72
    assert subject.endswith("…")
    assert long.startswith(subject[:-1])
    assert blank == ""
    assert " ".join(long.split()) in " ".join(rest)


def test_a_message_without_words_says_so():
    assert commit_message(" \n\x00", {}) == "no hypothesis\n"


def test_a_trailer_key_is_letters_digits_and_hyphens():
    with pytest.raises(ValueError, match="trailer key"):
        commit_message("x", {"a b": "1"})


hostile = st.text(
    st.sampled_from("ab:-# \n\r\t\x00\x1b\x85\u2028\u202e\ud800é…\\\"'<>") | st.characters(),
    max_size=120,
)


@quick
@given(hypothesis=hostile, body=hostile, value=hostile)
def test_whatever_a_model_says_git_reads_our_trailers_and_no_others(
    branches, tmp_path, hypothesis, body, value
):
    message = commit_message(hypothesis, {"Operator": "mutator", "Call": value}, body)
    sha = branches.commit(a_genome(), message=message, at=NOW)
    subject, trailers = git(
        tmp_path / "population.git", "show", "-s", "--format=%s%x00%(trailers:only)", sha
    ).split("\0")
    assert 0 < len(subject) <= 72
    assert [line.split(":")[0] for line in trailers.split("\n") if line] in (
        ["Operator"],
        ["Operator", "Call"],
    )
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u202e]", message)
    assert branches.message(sha) == message


@quick
@given(hypothesis=hostile, body=hostile)
def test_without_trailers_nothing_said_becomes_one(branches, tmp_path, hypothesis, body):
    sha = branches.commit(a_genome(), message=commit_message(hypothesis, {}, body), at=NOW)
    shown = git(tmp_path / "population.git", "show", "-s", "--format=%(trailers:only)", sha)
    assert shown.strip() == ""


# Merging

BASE = "".join(f"LINE_{n} = {n}\n" for n in range(12))


def changed(text, number, value):
    return text.replace(f"LINE_{number} = {number}\n", f"LINE_{number} = {value}\n")


def test_changes_far_apart_merge():
    merged = merge_files(
        a_genome(BASE), a_genome(changed(BASE, 1, 100)), a_genome(changed(BASE, 10, 200))
    )
    assert merged.conflicts == 0
    assert merged.genome == a_genome(changed(changed(BASE, 1, 100), 10, 200))


def test_changes_of_the_same_line_are_counted_and_give_no_genome():
    ours = changed(changed(BASE, 1, 100), 10, 100)
    theirs = changed(changed(BASE, 1, 200), 10, 200)
    merged = merge_files(a_genome(BASE), a_genome(ours), a_genome(theirs))
    assert (merged.genome, merged.conflicts) == (None, 2)


def test_files_are_added_changed_and_deleted_by_either_side():
    base = a_genome(BASE, old="x\n", same="y\n")
    ours = a_genome(BASE, same="y\n", mine="m\n")
    theirs = a_genome(changed(BASE, 3, 33), old="x\n", same="z\n")
    merged = merge_files(base, ours, theirs)
    assert merged.genome == a_genome(changed(BASE, 3, 33), same="z\n", mine="m\n")


def test_deleting_what_the_other_side_changed_is_a_conflict():
    base = a_genome(BASE, old="x\n")
    merged = merge_files(base, a_genome(BASE), a_genome(BASE, old="changed\n"))
    assert (merged.genome, merged.conflicts) == (None, 1)


@quick
@given(base=texts, ours=texts, theirs=texts)
def test_merging_is_total_and_taking_one_side_is_exact(base, ours, theirs):
    merged = merge_files(a_genome(base), a_genome(ours), a_genome(theirs))
    assert (merged.genome is None) == (merged.conflicts > 0)
    for side in (ours, theirs):
        assert merge_files(a_genome(base), a_genome(side), a_genome(base)).genome == a_genome(side)
        assert merge_files(a_genome(base), a_genome(base), a_genome(side)).genome == a_genome(side)
        assert merge_files(a_genome(base), a_genome(side), a_genome(side)).genome == a_genome(side)


# The world around


def test_the_users_settings_and_hooks_play_no_part(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "template" / "hooks").mkdir(parents=True)
    hook = home / "template" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        "[user]\nname = Somebody\n[commit]\ngpgSign = true\n[merge]\nconflictStyle = diff3\n"
        f"[core]\nhooksPath = {hook.parent}\nautocrlf = true\n[init]\ntemplateDir = "
        f"{home / 'template'}\ndefaultBranch = trunk\n[color]\nui = always\n[diff]\n"
        "external = false\n"
        "[log]\nshowSignature = true\ndate = relative\n[safe]\nbareRepository = explicit\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    with Branches.create(tmp_path / "population.git") as branches:
        sha = commit(branches, "A = 1\r\n")
        branches.anchor(sha, run="r", name="g000-000")
        branches.note(sha, "1.5")
        assert branches.genome(sha).main == "A = 1\r\n"
        assert "\x1b" not in branches.log_graph()
        assert branches.diff(sha, commit(branches, "A = 2\n"))
        assert branches.names("r") == {"g000-000": sha}
    assert not (tmp_path / "population.git" / "hooks").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_creating_over_something_is_refused(branches, tmp_path):
    with pytest.raises(BranchesError, match="Choose another name"):
        Branches.create(tmp_path / "population.git")


def test_a_missing_repository_is_an_error(tmp_path):
    with pytest.raises(BranchesError, match=r"no repository at.*evolve run"):
        Branches.open(tmp_path / "population.git")


def test_a_failed_creation_leaves_nothing_behind(tmp_path):
    with pytest.raises(BranchesError):
        Branches.create(tmp_path / ("x" * 300))
    assert list(tmp_path.iterdir()) == []


def test_without_git_the_error_says_what_to_install(tmp_path, branches, monkeypatch):
    sha = commit(branches, "A = 1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    for action in (
        lambda: Branches.open(tmp_path / "population.git"),
        lambda: Branches.create(tmp_path / "other.git"),
        lambda: branches.anchor(sha, run="r", name="g000-000"),
    ):
        with pytest.raises(GitMissingError, match=r"no git on the PATH.*Install git"):
            action()
    assert not (tmp_path / "other.git").exists()


def test_a_process_without_git_learns_it_from_our_error(tmp_path):
    making = (
        "import sys; from population import Branches, GitMissingError\n"
        "try: Branches.create(sys.argv[1])\n"
        "except GitMissingError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", making, str(tmp_path / "population.git")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
    )
    assert "Install git" in done.stdout, done.stderr


def test_a_full_disk_is_said_to_be_full_and_goes_on_once_there_is_room(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs rights this user lacks")
    try:
        with Branches.create(place / "population.git") as branches:
            first = commit(branches, "A = 1\n")
            ballast = place / "ballast"
            with ballast.open("wb") as file:
                file.write(os.urandom(shutil.disk_usage(place).free - 8192))
            noise = "".join(chr(65 + byte % 50) for byte in os.urandom(60_000))
            with pytest.raises(DiskFullError, match=r"disk full.*free some space"):
                commit(branches, noise)
            ballast.unlink()
            second = commit(branches, noise, [first])
            branches.anchor(second, run="r", name="g001-001")
            assert branches.verify(first)
            assert branches.verify(second)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_the_entry_of_a_run_is_kept_with_its_repository(tmp_path):
    genome = Genome({"my fit.py": "A = 1\n", "m.py": "B = 2\n"}, "my fit.py")
    with Branches.create(tmp_path / "r.git", entry="my fit.py") as branches:
        sha = branches.commit(genome, message="m", at=1.0)
    with Branches.open(tmp_path / "r.git") as branches:
        assert branches.genome(sha) == genome
