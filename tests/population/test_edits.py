"""Hunks: what is one edit in two lineages, and what is not."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from population import Genome
from population.edits import Recurrence, hunks, recurrence

START = '''"""A genome."""

WIDTH = 64
RATE = 0.02


class Block:
    def forward(self, x):
        h = self.first(x)
        return self.last(h)


def build():
    """Make it."""
    layers = [Block() for _ in range(2)]
    return layers
'''


def changed(*replaced: tuple[str, str], start: str = START) -> Genome:
    text = start
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new, 1)
    return Genome.single(text)


def names(before: Genome, after: Genome) -> list[str]:
    return [hunk.name for hunk in hunks(before, after)]


BASE = changed()
NORM = ("self.first(x)", "norm(self.first(x))")
RATED = ("RATE = 0.02", "RATE = 0.03")


def test_the_same_idea_on_another_genome_is_the_same_hunk():
    elsewhere = changed(("range(2)", "range(4)"), ("WIDTH = 64", "WIDTH = 96"))
    assert names(BASE, changed(NORM)) == names(elsewhere, changed(NORM, start=elsewhere.main))


def test_layout_comments_and_docstrings_are_no_part_of_it():
    text = changed(NORM).main.replace("        h =", "        # why not\n        h   =")
    other = Genome.single(text)
    assert names(BASE, other) == names(BASE, changed(NORM))
    assert hunks(BASE, changed(("Make it.", "Make all of it."))) == []


def test_the_same_lines_in_another_function_are_another_hunk():
    text = START.replace("class Block", "class Deep") + "\n" + START
    deep, block = (
        text.replace(*NORM, 1),
        "".join(
            (
                text[: text.rindex("class Block")],
                text[text.rindex("class Block") :].replace(*NORM, 1),
            )
        ),
    )
    base = Genome.single(text)
    assert names(base, Genome.single(deep)) != names(base, Genome.single(block))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("for a in b:\n    f(a)\n    g(a)", "for a in b:\n    f(a)\ng(a)"),
        ("D = 8\nD += 1", "D = 8\nD += 2"),
        ("D = 8\nD = D * 2", "D = 8\nD = D * 3"),
        ("if t:\n    D = 9", "if t:\n    D = 10"),
        ("D = 7\nf(D)\nD = 8", "D = 6\nf(D)\nD = 8"),
        ("D: int = 8", "D: float = 8"),
        ("def f():\n  if a:\n    b()\n    c()", "def f():\n  if a:\n    b()\n  c()"),
    ],
)
def test_whatever_is_changed_is_a_hunk(before, after):
    genomes = Genome.single(before), Genome.single(after)
    (hunk,) = hunks(*genomes)
    assert [other.name for other in hunks(*reversed(genomes))] == [hunk.undoing.name]


def test_indentation_counts_where_it_is_no_layout():
    base = Genome({"train.py": START, "settings.yaml": "a:\n  b: 1\n"})
    assert len(hunks(base, base.with_file("settings.yaml", "a:\nb: 1\n"))) == 1


def test_one_of_two_equal_lines_is_not_both_of_them():
    start = Genome.single("def f(x):\n    a(x)\n    b()\n    a(x)\n    c()\n")
    one = Genome.single(start.main.replace("a(x)", "a(2 * x)", 1))
    both = Genome.single(start.main.replace("a(x)", "a(2 * x)"))
    assert len(hunks(start, both)) == 2
    assert found(start, one, {"both": names(start, both)}).repeats == ()
    again = found(start, both, {"one": names(start, one)})
    assert (again.repeats, len(again.hunks)) == (("one",), 1)


def test_of_equal_edits_the_latest_is_taken_out():
    turned = names(BASE, changed(RATED))
    known = {"first": turned, "again": turned}
    assert found(changed(RATED), BASE, known, {"first", "again"}).reverts == ("again",)
    assert found(BASE, changed(RATED), known).repeats == ("first",)


def test_a_knob_is_told_by_its_name_and_both_values():
    (hunk,) = hunks(BASE, changed(RATED))
    assert (hunk.place, hunk.removed, hunk.added) == ("RATE =", ("0.02",), ("0.03",))
    moved = Genome.single(START.replace("RATE = 0.02\n", "").replace("WIDTH", "RATE = 2e-2\nWIDTH"))
    assert names(moved, Genome.single(moved.main.replace("2e-2", "3e-2"))) == [hunk.name]
    assert names(changed(RATED), changed(("0.02", "0.04"))) != [hunk.name]


def test_two_changes_are_two_hunks_and_a_change_can_be_undone():
    both = changed(NORM, RATED)
    assert sorted(names(BASE, both)) == sorted(
        [*names(BASE, changed(NORM)), *names(BASE, changed(RATED))]
    )
    assert sorted(names(both, BASE)) == sorted(hunk.undoing.name for hunk in hunks(BASE, both))


def test_inserted_lines_are_told_apart_by_the_line_before_them():
    after_first = changed(("(x)\n", "(x)\n        h = drop(h)\n"))
    line = "        h = drop(h)\n        return self.last(h)"
    assert names(BASE, after_first) == names(BASE, changed(("        return self.last(h)", line)))
    before = changed(("        h = self", "        h = drop(h)\n        h = self"))
    assert names(BASE, after_first) != names(BASE, before)


@pytest.mark.parametrize("text", ["def (", "x = '\x00'", "", "N = " + "9" * 6000])
def test_any_text_has_hunks(text):
    assert len(hunks(BASE, Genome.single(text))) >= 1
    assert hunks(Genome.single(text), Genome.single(text)) == []


def test_a_text_of_endless_equal_lines_is_one_hunk_and_takes_no_time():
    texts = ["x = 1\n" * count + tail for count, tail in ((3_000, ""), (3_000, "y = 2\n"))]
    (hunk,) = hunks(*map(Genome.single, texts))
    assert (len(hunk.removed), len(hunk.added)) == (3_000, 3_001)


def test_other_files_count_too():
    base = Genome({"train.py": START, "notes.txt": "a\nb\n"})
    (hunk,) = hunks(base, Genome({"train.py": START, "notes.txt": "a\nc\n"}))
    assert (hunk.path, hunk.removed, hunk.added) == ("notes.txt", ("b",), ("c",))
    assert [h.path for h in hunks(base, base.with_file("more.py", "x = 1"))] == ["more.py"]


def found(before, after, known, carried=()):
    return recurrence(hunks(before, after), known, lambda: carried)


def test_an_edit_that_another_lineage_had_is_made_again():
    known = {"n": names(BASE, changed(NORM)), "r": names(BASE, changed(RATED))}
    wide = changed(("64", "96"))
    norm = changed(NORM, start=wide.main)
    assert found(wide, norm, known) == Recurrence(repeats=("n",))
    both = changed(NORM, RATED, start=wide.main)
    assert found(wide, both, known) == Recurrence(repeats=("n", "r"))
    more = changed(NORM, ("range(2)", "range(3)"), start=wide.main)
    (new,) = names(wide, changed(("range(2)", "range(3)"), start=wide.main))
    assert found(wide, more, known) == Recurrence(repeats=("n",), hunks=(new,))


def test_what_is_carried_is_not_made_again_but_taken_out():
    known = {"n": names(BASE, changed(NORM))}
    both = changed(NORM, RATED)
    (rate,) = names(BASE, changed(RATED))
    assert found(both, changed(RATED), known, {"n"}) == Recurrence(reverts=("n",))
    assert found(changed(NORM), both, known, {"n"}) == Recurrence(hunks=(rate,))
    # Not carried, so it was not this edit that is taken out.
    assert not found(both, changed(RATED), known).reverts


def test_a_part_of_an_edit_is_not_the_edit():
    known = {"both": names(BASE, changed(NORM, RATED))}
    assert found(BASE, changed(NORM), known).repeats == ()


def test_the_largest_known_edit_counts_first_and_no_hunk_twice():
    known = {
        "n": names(BASE, changed(NORM)),
        "both": names(BASE, changed(NORM, RATED)),
        "late": names(BASE, changed(NORM)),
    }
    assert found(BASE, changed(NORM, RATED), known) == Recurrence(repeats=("both",))
    assert found(BASE, changed(NORM), known) == Recurrence(repeats=("n",))


def test_who_carries_what_is_asked_only_where_something_was_known():
    def nobody():
        raise AssertionError("asked")

    known = {"r": names(BASE, changed(RATED)), "stack": ()}
    assert recurrence(hunks(BASE, changed(NORM)), known, nobody).repeats == ()


LINES = st.lists(
    st.sampled_from(["a = 1", "b = 2", "f(a)", "if a:\n    g(b)", "W += 1"]), max_size=8
)


@given(LINES, LINES)
def test_hunks_are_all_that_changed(one, other):
    before, after = (Genome.single("\n".join(lines) + "\n") for lines in (one, other))
    lines = Counter(filter(None, before.main.splitlines()))
    for hunk in hunks(before, after):
        assert hunk.undoing.undoing == hunk
        lines.subtract(hunk.removed)
        lines.update(hunk.added)
    assert +lines == Counter(filter(None, after.main.splitlines()))
    assert min(lines.values(), default=0) >= 0
