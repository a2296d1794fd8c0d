"""Ideas before code: how they are read, ranked, and carried out."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import Asking, Intent, Mutator, Proposal, Refusal, Reply, ScriptedModel, ToolUse
from agents.briefing import Briefing, Effect
from agents.ideas import Idea, chosen, is_alike, known_ideas, read_ideas
from agents.intents import WEIGHTS, drawn_intent
from agents.replacements import Refused
from tests.agents.parents import a_context
from tests.agents.test_mutator import GOOD

IDEAS = [
    {"hypothesis": "drop the softcap", "expected_gain": 0.001, "intent": "speed"},
    {"hypothesis": "share the embedding", "expected_gain": 0.009, "intent": "explore"},
    {"hypothesis": "warm the rate up longer", "expected_gain": 0.004, "intent": "explore"},
]


def handed_in(ideas, **changes) -> Reply:
    use = ToolUse("i1", "submit_ideas", {"ideas": ideas})
    return Reply("", tool_uses=[use], stop_reason="tool_use", **changes)


# --- reading ---------------------------------------------------------------------------------


def test_ideas_are_read_with_what_they_say():
    assert read_ideas(handed_in(IDEAS), [])[1] == Idea("share the embedding", 0.009, Intent.EXPLORE)


WORDS = """Here they are:
IDEA: drop the softcap | GAIN: 0.001 | INTENT: speed
- **IDEA:** share the embedding | gain: 9e-3 | intent: Explore
IDEA: warm the rate up longer
IDEA: x | GAIN: a lot | INTENT: magic
IDEA: | GAIN: 1
"""


def test_ideas_in_words_are_read_line_by_line():
    assert read_ideas(Reply(WORDS), []) == [
        Idea("drop the softcap", 0.001, Intent.SPEED),
        Idea("share the embedding", 0.009, Intent.EXPLORE),
        Idea("warm the rate up longer"),
        Idea("x"),
    ]


def test_a_server_without_tools_makes_a_mutation_in_two_steps():
    model = ScriptedModel([WORDS, GOOD])
    proposal = Mutator(model, TWO_STEPS).propose(a_context(intent="speed"))
    assert isinstance(proposal, Proposal)
    assert "IDEA: what would be changed" in model.asked[0].messages[0].text
    assert all(str(intent) in model.asked[0].messages[0].text for intent in Intent)
    assert "drop the softcap" in model.asked[1].messages[-1].text


def test_what_is_known_or_said_twice_is_dropped():
    ideas = [*IDEAS, IDEAS[0] | {"hypothesis": "Drop the soft-cap, softcap."}]
    ideas.append(IDEAS[1] | {"hypothesis": "Share the Embedding!"})
    left = read_ideas(handed_in(ideas), ["warm the rate up, longer"])
    assert [idea.hypothesis for idea in left][:2] == ["drop the softcap", "share the embedding"]
    assert len(left) == 3


def test_if_every_idea_is_known_the_author_is_told_which():
    refused = read_ideas(handed_in(IDEAS[:1]), ["drop the softcap"])
    assert refused == Refused(
        "every idea is known already: “drop the softcap” is alike to “drop the softcap”"
    )


def test_other_numbers_are_another_idea_and_the_same_ones_are_not():
    assert is_alike("set MATRIX_LR to 0.05", "Set matrix_lr to 0.050")
    assert not is_alike("set MATRIX_LR to 0.05", "set MATRIX_LR to 0.06")
    assert is_alike("raise the matrix rate a little", "raise the matrix rate a little, by 10 %")
    assert not is_alike("drop the cap", "drop the cap and share the embedding with the head")


def test_history_and_work_under_way_are_what_is_known():
    context = a_context(
        history=["knob: DEPTH 2 → 3 → val_bpb 1.5", "structure: no cap → crashed: it → broke"],
        briefing=Briefing(under_way=["mutator: a wider head", "crossover is at work on g001-001"]),
    )
    assert known_ideas(context) == [
        "DEPTH 2 → 3",
        "no cap → crashed: it",
        "a wider head",
        "crossover is at work on g001-001",
    ]


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["ideas", "hypothesis", "expected_gain", "intent"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(HOSTILE)
def test_reading_ideas_is_total(ideas):
    found = read_ideas(handed_in(ideas), ["an idea"])
    assert isinstance(found, Refused) or all(isinstance(idea, Idea) for idea in found)


# --- ranking ---------------------------------------------------------------------------------


def test_the_best_of_the_wanted_kind_are_drawn_by_the_generator():
    ideas = [Idea(f"idea {n}", gain, Intent.SPEED) for n, gain in enumerate((1, 5, 3, 4, None))]
    ideas.append(Idea("of another kind", 9.0, Intent.EXPLORE))
    rng = np.random.default_rng(0)
    drawn = Counter(chosen(ideas, Intent.SPEED, rng).hypothesis for _ in range(600))
    assert set(drawn) == {"idea 1", "idea 3", "idea 2"}
    assert drawn["idea 1"] > drawn["idea 3"] > drawn["idea 2"] > 60
    assert chosen(ideas, Intent.BORROW, rng).hypothesis in ("of another kind", "idea 1", "idea 3")


# --- two steps -------------------------------------------------------------------------------

TWO_STEPS = Asking(is_two_step=True)


def test_ideas_come_first_and_code_for_one_of_them_after_in_one_conversation():
    ideas = handed_in(IDEAS, cost_usd=0.5, call=1)
    model = ScriptedModel([ideas, Reply(GOOD, cost_usd=0.25, call=2)])
    proposal = Mutator(model, TWO_STEPS).propose(a_context(intent="speed"))
    assert isinstance(proposal, Proposal)
    assert (proposal.calls, proposal.cost_usd) == ((1, 2), 0.75)
    assert proposal.trailers == {"Intent": "speed"}
    first, second = model.asked
    assert (first.answer.name, second.answer.name) == ("submit_ideas", "submit_variant")
    assert [tool.name for tool in first.all_tools] == [tool.name for tool in second.all_tools]
    assert second.messages[: len(first.messages)] == first.messages
    assert "drop the softcap" in second.messages[-1].text  # the only one of the wanted kind
    assert (first.template, first.system) == (second.template, second.system)


def test_each_step_may_be_corrected_once():
    model = ScriptedModel(["Hm.", handed_in(IDEAS), "Hm.", GOOD])
    assert isinstance(Mutator(model, TWO_STEPS).propose(a_context()), Proposal)
    assert "does not use submit_ideas" in model.asked[1].messages[-1].text
    assert "no use of submit_variant" in model.asked[3].messages[-1].text
    refusal = Mutator(ScriptedModel(["Hm.", "Hm."]), TWO_STEPS).propose(a_context())
    assert isinstance(refusal, Refusal)


def test_ideas_that_were_tried_are_handed_back():
    model = ScriptedModel([handed_in(IDEAS), handed_in(IDEAS)])
    context = a_context(history=[f"mutator: {idea['hypothesis']} → val_bpb 1.5" for idea in IDEAS])
    refusal = Mutator(model, TWO_STEPS).propose(context)
    assert "every idea is known already" in refusal.reason


def test_looks_of_both_steps_count_together():
    def look(n):
        use = ToolUse(f"l{n}", "read_file", {"path": "train.py", "first_line": n})
        return Reply("", tool_uses=[use], stop_reason="tool_use")

    model = ScriptedModel([look(1), look(2), handed_in(IDEAS), look(3), look(4), GOOD])
    asking = dataclasses.replace(TWO_STEPS, tool_calls=3)
    assert isinstance(Mutator(model, asking).propose(a_context()), Proposal)
    told = [prompt.messages[-1].tool_results[-1].text for prompt in model.asked[1:]]
    assert told[3].endswith("That was the last look: answer now.")
    assert told[4] == "no looks left: answer now"
    assert len({tuple(tool.name for tool in prompt.all_tools) for prompt in model.asked}) == 1


# --- intents ---------------------------------------------------------------------------------


def test_intents_are_drawn_by_their_weights():
    rng = np.random.default_rng(1)
    drawn = Counter(drawn_intent(rng) for _ in range(4000))
    for intent, weight in WEIGHTS.items():
        assert drawn[intent] / 4000 == pytest.approx(weight / sum(WEIGHTS.values()), abs=0.03)


def test_a_flat_search_draws_what_nobody_has_tried_more_often_than_anything_else():
    rng = np.random.default_rng(1)
    drawn = Counter(drawn_intent(rng, is_flat=True) for _ in range(2000))
    assert drawn.most_common(1)[0][0] is Intent.EXPLORE
    assert drawn[Intent.EXPLORE] / 2000 == pytest.approx(0.6 / 1.4, abs=0.04)
    assert set(drawn) == set(WEIGHTS)


@pytest.mark.parametrize("intent", list(Intent))
def test_an_intent_that_is_fixed_is_asked_for_and_kept_with_the_commit(intent):
    model = ScriptedModel([GOOD])
    borrowed = Briefing(borrowed=[Effect("g001-001", "knob", "an edit", 0.01, 0.001, "+a")])
    proposal = Mutator(model).propose(a_context(intent=str(intent), briefing=borrowed))
    assert proposal.trailers == {"Intent": str(intent)}
    assert f"Wanted: **{intent}**" in model.prompts[0]
    assert model.prompts[0].count("Wanted: **") == 1


def test_nothing_is_borrowed_where_there_is_nothing_to_borrow():
    seed = next(n for n in range(99) if drawn_intent(np.random.default_rng(n)) is Intent.BORROW)
    model = ScriptedModel([GOOD, GOOD])
    borrow = a_context(rng_seed=seed)
    assert Mutator(model).propose(borrow).trailers == {"Intent": "exploit"}
    no_room = Briefing(borrowed=[Effect("g001-001", "knob", "x" * 200, 0.01, 0.001, "+a" * 900)])
    context = a_context(rng_seed=seed, briefing=no_room)
    Mutator(model, Asking(context_tokens=80)).propose(context)
    assert "Wanted: **exploit**" in model.prompts[1]


def test_an_intent_that_is_fixed_stands_though_nothing_is_left_to_borrow():
    model = ScriptedModel([GOOD])
    assert Mutator(model).propose(a_context(intent="borrow")).trailers == {"Intent": "borrow"}


def test_ideas_are_judged_by_what_was_known_when_they_were_asked_for():
    tried = [f"mutator: {idea['hypothesis']} → val_bpb 1.5" for idea in IDEAS]
    model = ScriptedModel([handed_in(IDEAS), GOOD])
    context = a_context(history=tried, known=["something else"])
    assert isinstance(Mutator(model, TWO_STEPS).propose(context), Proposal)
    assert known_ideas(context) == ["something else"]


def test_the_same_commission_gives_the_same_prompts():
    for asking in (Asking(), TWO_STEPS, Asking(tool_calls=4)):
        asked = []
        for _ in range(2):
            model = ScriptedModel([handed_in(IDEAS), GOOD] if asking.is_two_step else [GOOD])
            Mutator(model, asking).propose(a_context(rng_seed=5))
            asked.append(model.asked)
        assert asked[0] == asked[1]
    wanted = set()
    for rng_seed in range(30):
        model = ScriptedModel([GOOD])
        wanted.add(Mutator(model).propose(a_context(rng_seed=rng_seed)).trailers["Intent"])
    assert len(wanted) >= 4
