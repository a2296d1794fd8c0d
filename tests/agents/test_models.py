"""One contract for every model: the scripted twin and the real ones alike."""

import pytest

from agents import (
    Claude,
    ClaudeSettings,
    Message,
    Model,
    ModelError,
    Prompt,
    Reply,
    ScriptedModel,
    Usage,
)
from agents.breaker import Breaker
from agents.twin import Twin
from tests.agents.chat_server import ChatServer, saying


@pytest.fixture(scope="module")
def twin():
    with Twin(lambda _: "One.") as server:
        yield server


def a_claude(twin: Twin) -> Claude:
    return Claude(ClaudeSettings(base_url=twin.url), environ={"ANTHROPIC_API_KEY": "planted"})


def an_openai(server: ChatServer) -> Model:
    pytest.importorskip("openai")
    from agents import OpenAI, OpenAISettings

    return OpenAI(OpenAISettings("small-1", base_url=server.url), environ={})


MODELS = {
    "scripted": lambda _twin, _chats: ScriptedModel(["One.", "Two."]),
    "claude": lambda twin, _chats: a_claude(twin),
    "openai": lambda _twin, chats: an_openai(chats),
    "breaker": lambda twin, _chats: Breaker(a_claude(twin)),
}


@pytest.fixture(scope="module")
def chats():
    with ChatServer(saying("One.")) as server:
        yield server


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def make(request, twin, chats, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return lambda: request.param(twin, chats)


def a_prompt(*messages: Message, system: str = "Be brief.") -> Prompt:
    return Prompt("mutator", (system,), messages)


QUESTION = Message("user", "Say a word.")


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
