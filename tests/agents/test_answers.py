"""Replies to genomes: a hundred of mixed quality, and laws for all others."""

import ast
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import Mutator, Proposal, Reply, ScriptedModel, ToolUse
from agents.answers import (
    Draft,
    changed,
    gain_in,
    hypothesis_in,
    read_variant,
    suggestion_in,
)
from agents.replacements import Refused
from agents.twin.edits import replacements
from population import Genome, canonical_hash, contract_problems, knobs, set_knobs
from tests.agents.parents import TRAIN, a_context

PARENT = Genome.single(TRAIN)
LINES = TRAIN.splitlines()
ONCE = [
    line for line in LINES if LINES.count(line) == 1 and line.startswith("    ") and len(line) > 24
]
TWICE = next(line for line in LINES if LINES.count(line) > 1 and line.strip())


def handed_in(stop_reason="tool_use", **arguments) -> Reply:
    known = {"hypothesis": "h", "expected_gain": 0.001, "suggestion": "", "edits": [], "files": []}
    use = ToolUse("t1", "submit_variant", known | arguments)
    return Reply("", tool_uses=[use], stop_reason=stop_reason)


def an_edit(search, replace, path="train.py"):
    return {"path": path, "search": search, "replace": replace}


# --- a hundred replies -----------------------------------------------------------------------


def a_knob_changed(rng):
    """The genome with one numeric knob moved, and the edits that make it."""
    values = {k: v for k, v in knobs(TRAIN).items() if type(v) is float and v > 0}
    name = rng.choice(sorted(values))
    text = set_knobs(TRAIN, {name: values[name] * rng.choice([0.5, 0.9, 1.1, 2.0])})
    edits = [
        an_edit(r.search, r.replace, r.path) for r in replacements(PARENT, Genome.single(text))
    ]
    return text, edits


def valid(rng):
    text, edits = a_knob_changed(rng)
    return handed_in(edits=edits), text


def valid_in_words(rng):
    text, edits = a_knob_changed(rng)
    blocks = "".join(
        f"<<<<<<< SEARCH\n{e['search']}\n=======\n{e['replace']}\n>>>>>>> REPLACE\n" for e in edits
    )
    return Reply(f"HYPOTHESIS: h\n{blocks}"), text


def valid_as_json(rng):
    text, edits = a_knob_changed(rng)
    return Reply(json.dumps({"hypothesis": "h", "edits": edits})), text


def whole_file(rng):
    text, _ = a_knob_changed(rng)
    return handed_in(files=[{"path": "train.py", "text": text}]), text


def near_miss(rng):
    line = rng.choice(ONCE)
    wrong = rng.choice([line[1:], f"{line}  # as I recall it", line.replace("(", "( ", 1) + " "])
    return handed_in(edits=[an_edit(wrong, "    pass")]), "nearest text, at line"


def ambiguous(_):
    return handed_in(edits=[an_edit(TWICE, "    pass")]), "places, at lines"


def duplicate(rng):
    line = rng.choice(ONCE)
    edits = [an_edit(line, "    pass"), an_edit(line, "    return")]
    return handed_in(edits=edits), "same lines"


def wrong_types(rng):
    wrong = [
        {"edits": "DEPTH = 3"},
        {"edits": [["train.py", "a", "b"]]},
        {"edits": [{"path": "train.py", "search": 3, "replace": ""}]},
        {"edits": [{"path": "train.py", "search": "a"}]},
        {"edits": None, "files": {"path": "train.py"}},
        {"files": [{"path": ["train.py"], "text": "a"}]},
        {"files": [None]},
    ]
    return handed_in(**rng.choice(wrong)), "must be a list of objects"


def cut_off(rng):
    _, edits = a_knob_changed(rng)
    text = f"HYPOTHESIS: h\n<<<<<<< SEARCH\n{edits[0]['search']}\n=======\n"
    return Reply(text, stop_reason="max_tokens"), "cut off at its limit"


def prose(rng):
    said = ["I would widen the MLP.", "", "```\n# only a thought\n```", "{}", "[1, 2"]
    return Reply(rng.choice(said)), ("no SEARCH/REPLACE block", "less than half of it")


def hostile_path(rng):
    path = rng.choice(["../train.py", "/etc/passwd", "train.py\0", "sub/../train.py", "prepare.py"])
    if rng.random() < 0.5:
        return handed_in(edits=[an_edit("a", "b", path)]), "there is no file"
    return handed_in(files=[{"path": path, "text": "a = 1\n"}]), "there is no file"


def from_memory(rng):
    text = "\n".join(f"value_{n} = {rng.random()}" for n in range(300))
    return handed_in(files=[{"path": "train.py", "text": text}]), "less than half of it"


def breaks_contract(rng):
    line = rng.choice(ONCE)
    return handed_in(edits=[an_edit(line, "    )(")]), "breaks the contract: parse"


def nothing(_):
    return handed_in(), "changes nothing"


KINDS = {
    valid: 28,
    valid_in_words: 8,
    valid_as_json: 4,
    whole_file: 6,
    near_miss: 14,
    ambiguous: 4,
    duplicate: 4,
    wrong_types: 8,
    cut_off: 4,
    prose: 6,
    hostile_path: 6,
    from_memory: 2,
    breaks_contract: 4,
    nothing: 2,
}


def test_of_a_hundred_replies_the_valid_are_applied_and_the_others_answered():
    rng = random.Random(11)
    drawn = [kind for kind, count in KINDS.items() for _ in range(count)]
    assert len(drawn) == 100
    applied = 0
    for kind in drawn:
        reply, expected = kind(rng)
        model = ScriptedModel([reply, "I give up."])
        result = Mutator(model).propose(a_context())
        if isinstance(result, Proposal):
            applied += 1
            assert result.genome.main == expected, kind
            assert len(model.asked) == 1
        else:
            told = model.asked[1].messages[-1].text
            reasons = (expected,) if isinstance(expected, str) else expected
            assert any(reason in told for reason in reasons), (kind, told)
    assert applied == sum(
        KINDS[kind] for kind in (valid, valid_in_words, valid_as_json, whole_file)
    )


# --- what is read ----------------------------------------------------------------------------


def test_what_no_genome_needs_costs_no_turn():
    edits = [an_edit(ONCE[0], "    pass")]
    reply = handed_in(edits=edits, hypothesis=None, expected_gain="much", suggestion=7)
    draft = read_variant(reply, PARENT)
    assert isinstance(draft, Draft)
    assert (draft.hypothesis, draft.expected_gain, draft.suggestion) == ("(none given)", None, "")
    for gain in (float("nan"), float("inf"), True, 10**400):
        assert (
            read_variant(handed_in(edits=edits, expected_gain=gain), PARENT).expected_gain is None
        )


def test_a_hypothesis_is_one_line_without_control():
    reply = handed_in(
        edits=[an_edit(ONCE[0], "    pass")], hypothesis="a\n\x1b[2Jb\u202e" + "c" * 999
    )
    hypothesis = read_variant(reply, PARENT).hypothesis
    assert hypothesis.startswith("a bccc")
    assert len(hypothesis) == 200


@pytest.mark.parametrize(
    ("files", "edits", "told"),
    [
        ([("train.py", TRAIN)] * 2, [], "given twice"),
        ([("train.py", TRAIN)], [(ONCE[0], "    pass")], "given twice"),
        ([("train.py", " \n")], [], "is empty"),
        ([("new.py", "a = 1\n")], [], "there is no file"),
    ],
)
def test_files_that_do_not_go_together_are_refused(files, edits, told):
    arguments = {
        "files": [{"path": path, "text": text} for path, text in files],
        "edits": [an_edit(*edit) for edit in edits],
    }
    assert told in changed(PARENT, arguments).reason


def test_a_crossover_may_hand_in_a_file_that_keeps_little():
    text = "\n".join(f"value_{n} = {n}" for n in range(50))
    arguments = {"files": [{"path": "", "text": text}]}
    assert isinstance(changed(PARENT, arguments), Refused)
    assert changed(PARENT, arguments, may_rewrite=True).main == text


# --- laws ------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "path": st.sampled_from(["go.py", "net.py", "", "../x"]) | JSON,
            "search": st.sampled_from(["a = 1", "b = 2\nc = 3", "x", ""]) | JSON,
            "replace": st.sampled_from(["a = 2", "b = (", ""]) | JSON,
            "text": st.sampled_from(["a = 1\nz = 9\n", "def f(:"]) | JSON,
        },
    ),
    max_size=4,
)
SMALL = Genome({"go.py": "a = 1\nb = 2\nc = 3\n", "net.py": "a = 1\na = 1\nx = 0\n"}, "go.py")


@settings(max_examples=300)
@given(edits=RECORDS | JSON, files=RECORDS | JSON)
def test_reading_is_total_and_nothing_is_ever_half_applied(edits, files):
    made = changed(SMALL, {"edits": edits, "files": files}, may_rewrite=True)
    if isinstance(made, Refused):
        assert made.reason
        return
    assert (made.entry, made.files.keys()) == (SMALL.entry, SMALL.files.keys())
    # Each edit took effect, by itself and together with the others.
    whole = {(f["path"] or "go.py"): f["text"] for f in files or []}
    for path, text in made.files.items():
        own = [e for e in edits or [] if (e["path"] or "go.py") == path]
        if path in whole:
            assert text == whole[path]
            assert not own
        else:
            one_by_one = [changed(SMALL, {"edits": [edit]}) for edit in own]
            assert all(isinstance(one, Genome) for one in one_by_one)
            removed = sum(len(e["search"].rstrip("\n").split("\n")) for e in own)
            kept = len(SMALL.files[path].splitlines()) - removed
            assert len(text.split("\n")) - 1 >= kept


@settings(max_examples=200)
@given(text=st.text() | st.text(alphabet='<>= SEARCHPLa\n`{}"'), arguments=JSON)
def test_reading_a_reply_is_total(text, arguments):
    uses = [ToolUse("t", "submit_variant", arguments)] if isinstance(arguments, dict) else []
    found = read_variant(Reply(text, tool_uses=uses), SMALL)
    assert isinstance(found, Draft | Refused)


@settings(max_examples=40)
@given(data=st.data())
def test_what_becomes_a_proposal_parses_and_what_does_not_is_refused(data):
    line = data.draw(st.sampled_from(ONCE))
    new = data.draw(
        st.sampled_from([line, "    pass", "    )(", "pass", "    x = = 1", line + "  # b"])
    )
    model = ScriptedModel([handed_in(edits=[an_edit(line, new)]), "No."])
    result = Mutator(model).propose(a_context())
    if isinstance(result, Proposal):
        ast.parse(result.genome.main)
        assert not contract_problems(result.genome)
        assert canonical_hash(result.genome) != canonical_hash(PARENT)
    else:
        assert len(model.asked) == 2


# --- what is said in words -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hypothesis", "gain", "suggestion"),
    [
        ("HYPOTHESIS: wider\nEXPECTED_GAIN: -1e-3\nSUGGESTION: S3", "wider", -1e-3, "S3"),
        (
            "**Hypothesis:** wider\n- **EXPECTED_GAIN:** 0.01\n* suggestion: S3.",
            "wider",
            0.01,
            "S3",
        ),
        ("HYPOTHESIS:\nEXPECTED GAIN: much\nSUGGESTION: S3 or S4", "(none given)", None, ""),
        ("a HYPOTHESIS: no\n", "(none given)", None, ""),
    ],
)
def test_what_an_answer_in_words_states_is_read_from_its_line(text, hypothesis, gain, suggestion):
    assert (hypothesis_in(text), gain_in(text), suggestion_in(text)) == (
        hypothesis,
        gain,
        suggestion,
    )


@pytest.mark.parametrize(
    "text",
    ["\n" * 200_000, "HYPOTHESIS" + ":" * 200_000, "SUGGESTION:" + "- " * 200_000, "*" * 200_000],
    ids=["empty lines", "colons", "dashes", "marks"],
)
def test_a_long_reply_that_states_nothing_is_read_in_one_pass(text):
    # Each of these took minutes, or hours, where its length was squared.
    assert hypothesis_in(text) == "(none given)"
    assert (gain_in(text), suggestion_in(text)) == (None, "")
