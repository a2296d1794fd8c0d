import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.replacements import Block, Refused, apply_blocks, read_blocks, whole_file
from population import Genome

TEXT = "a = 1\nb = 2\n\ndef f():\n    return a\n\ndef g():\n    return a\n"


def block(search, replace, path=""):
    return f"<<<<<<< SEARCH{path}\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def applied(reply, text=TEXT):
    blocks = read_blocks(reply)
    assert not isinstance(blocks, Refused)
    return apply_blocks(Genome.single(text), blocks)


def test_blocks_are_read_in_order_whatever_stands_around_them():
    reply = "Sure:\n```\n" + block("a = 1", "a = 2") + "```\nand\n" + block("b = 2", "b = 3\nc = 4")
    assert read_blocks(reply) == [
        Block(("a = 1",), ("a = 2",)),
        Block(("b = 2",), ("b = 3", "c = 4")),
    ]
    assert applied(reply).main == TEXT.replace("a = 1\nb = 2\n", "a = 2\nb = 3\nc = 4\n")


def test_a_block_can_delete_and_can_hold_a_line_of_equals_signs():
    assert applied("<<<<<<< SEARCH\nb = 2\n=======\n>>>>>>> REPLACE").main == TEXT.replace(
        "b = 2\n", ""
    )
    assert "=======" in applied(block("b = 2", "b = '''\n=======\n'''")).main


def test_blocks_are_applied_to_the_original_text():
    reply = block("a = 1", "b = 2\nx = 0") + block("b = 2", "a = 1")
    assert applied(reply).main.startswith("b = 2\nx = 0\na = 1\n")


def test_a_block_names_its_file():
    genome = Genome({"train.py": "a = 1\n", "layers.py": "a = 1\n"})
    blocks = read_blocks(block("a = 1", "a = 2", " layers.py"))
    assert apply_blocks(genome, blocks).files == {"train.py": "a = 1\n", "layers.py": "a = 2\n"}
    refused = apply_blocks(genome, read_blocks(block("a = 1", "a = 2", " other.py")))
    assert "layers.py, train.py" in refused.reason


def test_the_entry_of_a_script_stays_what_it_is_and_is_what_a_block_changes():
    genome = Genome({"go.py": "a = 1\n", "train.py": "a = 1\n"}, entry="go.py")
    changed = apply_blocks(genome, read_blocks(block("a = 1", "a = 2")))
    assert changed.entry == "go.py"
    assert changed.files == {"go.py": "a = 2\n", "train.py": "a = 1\n"}
    named = apply_blocks(genome, read_blocks(block("a = 1", "a = 2", " train.py")))
    assert named.files == {"go.py": "a = 1\n", "train.py": "a = 2\n"}


def test_a_path_may_have_a_space_and_a_hostile_one_is_only_named():
    genome = Genome({"train.py": "a = 1\n", "my notes.txt": "a = 1\n"})
    assert apply_blocks(genome, read_blocks(block("a = 1", "b", " my notes.txt"))).files == {
        "train.py": "a = 1\n",
        "my notes.txt": "b\n",
    }
    refused = apply_blocks(genome, [Block(("a = 1",), ("b",), "../../etc/passwd\x1b[2J\n# Now")])
    assert refused.reason.startswith("there is no file '../../etc/passwd # Now'; the genome has")


def test_every_block_that_does_not_fit_is_told_at_once():
    refused = applied(block("a = 11", "x") + block("b = 2", "y") + block("    return b", "z"))
    assert refused.reason.count("nowhere in the file") == 2


def test_the_nearest_text_of_a_long_file_is_found_soon():
    lines = [f"value_{n} = function_{n}(argument_{n}, other_{n})" for n in range(20_000)]
    wanted = [lines[12_345].replace("other", "another"), *lines[12_346:12_400]]
    began = time.monotonic()
    refused = applied(block("\n".join(wanted), "x"), "\n".join(lines) + "\n")
    assert time.monotonic() - began < 10
    assert "at line 12346" in refused.reason


def test_a_search_that_fits_nowhere_is_shown_the_nearest_text():
    refused = applied(block("def f():\n    return  a", "pass"))
    assert isinstance(refused, Refused)
    assert "nowhere in the file" in refused.reason
    assert "at line 4" in refused.reason
    assert "        return a" in refused.reason


def test_a_search_that_fits_twice_is_refused_with_the_places():
    refused = applied(block("    return a", "    return b"))
    assert "fits 2 places, at lines 5, 8" in refused.reason
    assert isinstance(applied(block("def g():\n    return a", "x")), Genome)


def test_an_empty_search_is_refused():
    assert "empty" in applied(block("", "x")).reason
    assert "empty" in applied(block("  \n", "x")).reason


def test_blocks_over_the_same_lines_are_refused():
    refused = applied(block("a = 1\nb = 2", "x") + block("b = 2\n", "y"))
    assert "same lines" in refused.reason


def test_part_of_a_line_does_not_fit():
    assert isinstance(applied(block("a =", "c =")), Refused)


@pytest.mark.parametrize(
    "reply",
    [
        "<<<<<<< SEARCH\na = 1\n=======\na = 2\n",
        "<<<<<<< SEARCH\na = 1\n",
        ">>>>>>> REPLACE",
        "<<<<<<< SEARCH\na = 1\n>>>>>>> REPLACE",
        "<<<<<<< SEARCH\n<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE",
    ],
)
def test_broken_blocks_are_refused(reply):
    assert isinstance(read_blocks(reply), Refused)


def test_line_ends_of_the_file_are_kept():
    changed = applied(block("b = 2", "b = 3\nc = 4"), TEXT.replace("\n", "\r\n"))
    assert changed.main.count("\r\n") == changed.main.count("\n")


@given(st.text() | st.text(alphabet="<>= SEARCHPLa\n"))
def test_reading_blocks_is_total(reply):
    read_blocks(reply)
    whole_file(reply)


LINES = st.lists(st.text(alphabet="ab =\t\x0c", max_size=4), min_size=1, max_size=8)


@given(lines=LINES, wanted=LINES, new=LINES)
def test_a_block_is_applied_exactly_once_or_not_at_all(lines, wanted, new):
    text = "".join(f"{line}\n" for line in lines)
    places = [i for i in range(len(lines)) if lines[i : i + len(wanted)] == wanted]
    made = apply_blocks(Genome.single(text), [Block(tuple(wanted), tuple(new))])
    if len(places) != 1 or not any(line.strip() for line in wanted):
        assert isinstance(made, Refused)
    else:
        (at,) = places
        expected = [*lines[:at], *new, *lines[at + len(wanted) :]]
        assert made.main == "".join(f"{line}\n" for line in expected)


def test_a_whole_file_is_the_only_fenced_block():
    assert whole_file("Here:\n```python\na = 1\n```\nDone.") == "a = 1\n"
    assert whole_file("````\na = '''\n```\n'''\n````") == "a = '''\n```\n'''\n"
    assert whole_file("```\na\n```\n```\nb\n```") is None
    assert whole_file("a = 1") is None


OLD_FENCE = re.compile(
    r"^(?P<marks>`{3,})[^\n`]*\n(?P<text>.*?)^(?P=marks)[ \t]*$", re.MULTILINE | re.DOTALL
)
FENCE_LINES = st.sampled_from(["```", "```` ", "```python", "````x", "a = 1", "", "a ```", "```a`"])


@given(st.lists(FENCE_LINES, max_size=12))
def test_a_fence_is_what_a_regular_expression_says_it_is(lines):
    text = "\n".join(lines)
    found = [match["text"] for match in OLD_FENCE.finditer(text + "\n")]
    assert whole_file(text) == (found[0] if len(found) == 1 else None)


# Each of these took minutes, or hours, where its length was squared.
def test_a_long_reply_of_fences_that_never_end_has_no_file():
    assert whole_file("```a\n" * 200_000) is None


def test_a_long_line_after_a_mark_is_a_path():
    head = "<<<<<<< SEARCH a" + " " * 500_000 + "b"
    (found,) = read_blocks(f"{head}\na\n=======\nb\n>>>>>>> REPLACE\n")
    assert found.path.startswith("a ")


def test_of_many_blocks_that_fit_nowhere_the_first_three_are_told():
    text = "\n".join(f"value_{number} = {number}" for number in range(2_000))
    blocks = [Block((f"nothing {number} " * 20,), ()) for number in range(50_000)]
    refused = apply_blocks(Genome.single(text), blocks)
    assert refused.reason.count("is nowhere in the file") == 3
