"""One contract for every model: the scripted twin and the real ones alike."""

import pytest

from agents import Message, Model, ModelError, Prompt, Reply, ScriptedModel, Usage

MODELS = {"scripted": lambda: ScriptedModel(["One.", "Two."])}


def a_prompt(*messages: Message, system: str = "Be brief.") -> Prompt:
    return Prompt("mutator", (system,), messages)


QUESTION = Message("user", "Say a word.")


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
class TestEveryModel:
    def test_it_answers_a_question(self, make):
        model: Model = make()
        reply = model.reply(a_prompt(QUESTION))
        assert isinstance(reply, Reply)
        assert reply.text
        assert reply.stop_reason
        assert reply.usage.input_tokens >= 0
        assert model.name

    def test_it_answers_again_when_the_conversation_goes_on(self, make):
        model: Model = make()
        first = model.reply(a_prompt(QUESTION))
        again = a_prompt(QUESTION, first.message(), Message("user", "And another."))
        assert model.reply(again).text

    def test_a_conversation_without_a_question_is_a_mistake_of_ours(self, make):
        with pytest.raises(ValueError, match="user"):
            make().reply(a_prompt())
        with pytest.raises(ValueError, match="user"):
            make().reply(a_prompt(Message("assistant", "Hm.")))


def test_the_script_is_replayed_in_order_and_the_prompts_are_kept():
    counted = Reply("Two.", Usage(input_tokens=3), "max_tokens")
    model = ScriptedModel(["One.", counted])
    assert model.reply(a_prompt(Message("user", "Q"), system="S")) == Reply("One.")
    assert model.reply(a_prompt(Message("user", "R"), system="S")) is counted
    assert model.prompts == ["S\n\nQ", "S\n\nR"]


def test_a_script_that_has_ended_is_a_model_that_cannot_be_reached():
    model = ScriptedModel([])
    with pytest.raises(ModelError, match="Add replies"):
        model.reply(a_prompt(QUESTION))
    assert len(model.prompts) == 1
