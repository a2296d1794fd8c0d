"""One contract for every model: the scripted twin and the real ones alike."""

import pytest

from agents import Message, Model, ModelError, Reply, ScriptedModel, Usage

MODELS = {"scripted": lambda: ScriptedModel(["One.", "Two."])}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
class TestEveryModel:
    def test_it_answers_a_question(self, make):
        model: Model = make()
        reply = model.reply(system="Be brief.", messages=[Message("user", "Say a word.")])
        assert isinstance(reply, Reply)
        assert reply.text
        assert reply.stop_reason
        assert reply.usage.cost_usd >= 0
        assert reply.usage.input_tokens >= 0

    def test_it_answers_again_when_the_conversation_goes_on(self, make):
        model: Model = make()
        messages = [Message("user", "Say a word.")]
        first = model.reply(system="", messages=messages)
        messages += [Message("assistant", first.text), Message("user", "And another.")]
        assert model.reply(system="", messages=messages).text

    def test_a_conversation_without_a_question_is_a_mistake_of_ours(self, make):
        with pytest.raises(ValueError, match="user"):
            make().reply(system="", messages=[])
        with pytest.raises(ValueError, match="user"):
            make().reply(system="", messages=[Message("assistant", "Hm.")])


def test_the_script_is_replayed_in_order_and_the_prompts_are_kept():
    priced = Reply("Two.", Usage(input_tokens=3, cost_usd=0.5), "max_tokens")
    model = ScriptedModel(["One.", priced])
    assert model.reply(system="S", messages=[Message("user", "Q")]) == Reply("One.")
    assert model.reply(system="S", messages=[Message("user", "R")]) is priced
    assert model.prompts == ["S\n\nQ", "S\n\nR"]


def test_a_script_that_has_ended_is_a_model_that_cannot_be_reached():
    model = ScriptedModel([])
    with pytest.raises(ModelError, match="Add replies"):
        model.reply(system="", messages=[Message("user", "Q")])
    assert len(model.prompts) == 1
