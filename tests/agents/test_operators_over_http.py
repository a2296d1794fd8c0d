"""Each operator that asks a model, against the twin, by the real SDK and over real HTTP."""

import dataclasses

import pytest

from agents import (
    Asking,
    Claude,
    ClaudeSettings,
    Desk,
    Minimizer,
    ModelCrossover,
    Mutator,
    Proposal,
    Repairer,
)
from agents.briefing import Briefing, FailedTry, Suggestion
from agents.twin import Author, Twin
from population import Genome, canonical_hash, code_size, contract_problems, set_knobs
from tests.agents.parents import TRAIN, a_context, a_parent

ENVIRON = {"ANTHROPIC_API_KEY": "sk-planted"}
FIRST = set_knobs(TRAIN, {"WARMDOWN": 0.6, "SOFTCAP": 20.0})
SECOND = set_knobs(TRAIN, {"MATRIX_LR": 0.05, "DEPTH": 3})
DIFF = "@@ -1 +1 @@\n-MATRIX_LR = 0.04\n+MATRIX_LR = 0.05\n"
LOOKS = Asking(tool_calls=3, desk=Desk(lookup=lambda name: f"{name} is fine", smoke=lambda _: "ok"))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def a_claude(twin, **changes) -> Claude:
    return Claude(ClaudeSettings(base_url=twin.url, retries=0, **changes), environ=ENVIRON)


def a_context_for(operator, rng_seed):
    texts = (FIRST, SECOND) if operator is ModelCrossover else (SECOND,)
    failure = FailedTry(a_parent(SECOND).variant.name, 3, "error", "it broke", DIFF)
    briefing = Briefing(failures=[failure], suggestions=[Suggestion("S2", "less is more")])
    base = Genome.single(TRAIN)
    return a_context(*texts, rng_seed=rng_seed, base=base, briefing=briefing)


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-haiku-5-5"])
@pytest.mark.parametrize("operator", [Mutator, ModelCrossover, Minimizer, Repairer])
def test_each_operator_gets_offspring_also_where_the_author_looks_and_slips(operator, model):
    author = Author(seed=2, curiosity=0.6, slips=0.4)
    thinking = "default" if "opus" in model else "disabled"  # so that the answer's tool is forced
    with Twin(author) as twin:
        asked = a_claude(twin, model=model, thinking=thinking)
        contexts = [a_context_for(operator, n) for n in range(5)]
        made = [operator(asked, LOOKS).propose(context) for context in contexts]
        requests = twin.asked
        assert twin.errors == []
    assert all(isinstance(one, Proposal) for one in made), made
    assert len({canonical_hash(one.genome) for one in made}) == len(made)
    for one, context in zip(made, contexts, strict=True):
        assert not contract_problems(one.genome)
        assert one.parents == tuple(parent.variant.sha for parent in context.parents)
        assert one.operator == operator.name
        assert one.hypothesis != "(none given)"
        if operator is Minimizer:
            assert code_size(one.genome) < code_size(context.parents[0].genome)
    assert len(requests) > len(made)  # looks and corrections
    assert len({str(request["tools"]) for request in requests}) == 1
    assert {tool["name"] for tool in requests[0]["tools"]} == {
        *("read_file", "lookup", "lint", "smoke_run", "submit_variant")
    }


def test_a_conversation_with_a_look_reads_what_was_said_from_the_cache():
    with Twin(Author(seed=5, curiosity=1.0)) as twin:
        assert isinstance(Mutator(a_claude(twin), LOOKS).propose(a_context()), Proposal)
        first, second = twin.ledger()
    assert second.cache_read_tokens == first.cache_write_tokens
    assert second.cache_read_tokens > 0.9 * (second.cache_read_tokens + second.cache_write_tokens)


def test_the_second_of_two_steps_reads_the_first_from_the_cache():
    with Twin(Author(seed=6, curiosity=0.0)) as twin:
        asking = dataclasses.replace(LOOKS, is_two_step=True)
        made = [Mutator(a_claude(twin), asking).propose(a_context(rng_seed=n)) for n in range(3)]
        rows, requests = twin.ledger(), list(twin.asked)
        assert twin.errors == []
    assert all(isinstance(one, Proposal) for one in made), made
    assert len(requests) == 6
    for ideas, code in zip(rows[::2], rows[1::2], strict=True):
        assert code.cache_read_tokens == ideas.cache_read_tokens + ideas.cache_write_tokens
    for request, one in zip(requests[1::2], made, strict=True):
        (chosen,) = (b["text"] for b in request["messages"][-1]["content"] if b["type"] == "text")
        assert "Of your ideas, this one was chosen" in chosen
        assert one.hypothesis.split()[0] in chosen  # the knob that it said it would set


def test_a_suggestion_that_is_taken_up_is_named():
    with Twin(Author(seed=7, curiosity=0.0)) as twin:
        proposal = Mutator(a_claude(twin)).propose(a_context_for(Mutator, 0))
    assert isinstance(proposal, Proposal)
    assert proposal.suggestion == "S2"
