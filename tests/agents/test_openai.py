"""Chat completions by the real SDK, over real HTTP, against a server on this machine."""

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents import (
    CallFailure,
    Message,
    ModelError,
    OpenAISettings,
    Prompt,
    Tool,
    ToolResult,
    ToolUse,
    Usage,
)
from agents.answers import read_variant
from agents.chat_api import ChatAssembly, request_of
from agents.prices import most_input_tokens
from agents.replacements import Refused
from population import Genome
from tests.agents.chat_server import END, USAGE, ChatServer, Step, chunk, saying, using

pytest.importorskip("openai")

from agents.openai import OpenAI, OpenAIModelError, missing_key

KEY = "sk-planted-77d0c2"
SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}
ANSWER = Tool("submit", "Hand in the answer.", SCHEMA)
LOOK = Tool("look", "Look something up.", SCHEMA)
SYSTEM = ("The contract.", "The role.")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def an_openai(server: ChatServer, **changes) -> OpenAI:
    settings = {"model": "small-1", "base_url": server.url, "silence_seconds": 30.0} | changes
    return OpenAI(OpenAISettings(**settings), environ={"OPENAI_API_KEY": KEY})


def a_prompt(text: str = "Say a word.", **changes) -> Prompt:
    return Prompt("mutator", SYSTEM, (Message("user", text),), **changes)


def failure_of(model: OpenAI, prompt: Prompt) -> ModelError:
    with pytest.raises(ModelError) as caught:
        model.reply(prompt)
    return caught.value


# --- replies -------------------------------------------------------------------------------------


def test_text_and_usage_come_back_and_no_token_is_counted_twice():
    with ChatServer(saying("A word, streamed.")) as server:
        reply = an_openai(server).reply(a_prompt())
        asked, headers = server.asked[0], server.headers[0]
    assert (reply.text, reply.stop_reason) == ("A word, streamed.", "end_turn")
    assert reply.usage == Usage(30, 7, cached_input_tokens=60, cache_write_tokens=10)
    assert (reply.model, reply.request_id) == ("small-1-2026", "req-1")
    assert asked["stream"] is True
    assert asked["messages"][0] == {"role": "system", "content": "The contract.\n\nThe role."}
    assert headers["authorization"] == f"Bearer {KEY}"


def test_the_answer_is_a_forced_use_of_its_tool_under_a_strict_schema():
    with ChatServer(using("submit", '{"word": "abracadabra"}')) as server:
        reply = an_openai(server).reply(a_prompt(answer=ANSWER))
        asked = server.asked[0]
    assert reply.use_of(ANSWER) == ToolUse("call-9", "submit", {"word": "abracadabra"})
    assert reply.stop_reason == "tool_use"
    assert asked["tools"][0]["function"]["strict"] is True
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "submit"}}


def test_a_conversation_with_tools_goes_on_with_their_results():
    with ChatServer(using("look", '{"word": "x"}'), using("submit", '{"word": "y"}')) as server:
        model = an_openai(server)
        question = Message("user", "Look first.")
        first = model.reply(Prompt("mutator", SYSTEM, (question,), (LOOK,), ANSWER))
        told = Message("user", "Go on.", tool_results=(ToolResult("call-9", "gone", True),))
        turns = (question, first.message(), told)
        assert model.reply(Prompt("mutator", SYSTEM, turns, (LOOK,), ANSWER)).use_of(ANSWER)
        first_asked, then = server.asked
    assert first_asked["tool_choice"] == "required"
    _, _, assistant, result, said = then["messages"]
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"word": "x"}
    assert result == {"role": "tool", "tool_call_id": "call-9", "content": "Error: gone"}
    assert said == {"role": "user", "content": "Go on."}


def test_a_refusal_a_cut_and_an_empty_reply_are_replies():
    scripts = [
        saying("", "content_filter"),
        [chunk(refusal="I can not."), chunk("stop"), chunk(usage=USAGE), END],
        using("submit", '{"word": "ab', finish="length"),
        saying(""),
    ]
    with ChatServer(*scripts) as server:
        model = an_openai(server)
        replies = [model.reply(a_prompt(answer=ANSWER)) for _ in scripts]
        for reply in replies:  # the conversation can go on after each
            turns = (Message("user", "Q"), reply.message(), Message("user", "Once more."))
            assert model.reply(Prompt("mutator", SYSTEM, turns)) is not None
    reasons = [reply.stop_reason for reply in replies]
    assert reasons == ["refusal", "refusal", "max_tokens", "end_turn"]
    assert [reply.use_of(ANSWER) for reply in replies] == [None] * 4  # half an answer is none
    assert all(reply.usage.output_tokens == 7 for reply in replies)


def test_arguments_that_are_no_json_are_shown_to_their_author_and_used_by_nobody():
    with ChatServer(using("submit", '{"word": oops}')) as server:
        reply = an_openai(server).reply(a_prompt(answer=ANSWER))
    assert not reply.tool_uses
    assert reply.text == '{"word": oops}'


@pytest.mark.parametrize("depth", [60, 600, 5_000])
def test_arguments_that_are_nested_without_end_are_used_by_nobody(depth):
    assembly = ChatAssembly()
    arguments = '{"word": ' + "[" * depth + "]" * depth + "}"
    for part in using("submit", arguments)[:-1]:
        assembly.take(part)
    reply = assembly.reply(a_prompt(answer=ANSWER), "r")
    assert reply.tool_uses == []
    assert isinstance(read_variant(reply, Genome({"train.py": "A = 1\n"})), Refused)


def test_a_server_that_does_not_count_is_taken_to_have_done_all_that_was_allowed():
    prompt = a_prompt(max_output_tokens=321)
    with ChatServer(saying("A word.", usage=None), Step(saying("B.", usage=None)[:-1])) as server:
        model = an_openai(server)
        usages = [model.reply(prompt).usage for _ in range(2)]
    assert usages == [Usage(most_input_tokens(prompt), 321)] * 2


def test_a_reply_whose_connection_breaks_before_the_count_is_whole():
    with ChatServer(Step(saying("A word.")[:-2], drops=True)) as server:
        reply = an_openai(server).reply(a_prompt(max_output_tokens=50))
    assert (reply.text, reply.usage.output_tokens) == ("A word.", 50)


def test_thinking_that_only_the_total_counts_is_paid_as_output():
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}
    with ChatServer(saying("A.", usage=usage)) as server:
        assert an_openai(server).reply(a_prompt()).usage == Usage(10, 30)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("http://127.0.0.1:8000/v1", "max_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
    ],
)
def test_each_server_is_told_the_limit_by_the_name_that_it_knows(address, name):
    request = request_of(a_prompt(max_output_tokens=9), OpenAISettings("m"), address)
    assert request[name] == 9
    assert len({"max_tokens", "max_completion_tokens"} & set(request)) == 1


# --- failures ------------------------------------------------------------------------------------

HALF = saying("A word that is cut off.")[:4]
FAILURES = {
    "429": (Step(status=429, headers={"retry-after": "0.01"}), CallFailure.RATE_LIMITED, 3),
    "500": (Step(status=500, headers={"retry-after": "0.01"}), CallFailure.SERVER, 3),
    "529": (Step(status=529, headers={"retry-after": "0.01"}), CallFailure.OVERLOADED, 3),
    "504": (Step(status=504), CallFailure.TIMED_OUT, 1),
    "400": (Step(status=400), CallFailure.BAD_REQUEST, 1),
    "401": (Step(status=401), CallFailure.UNAUTHORISED, 1),
    "silent": (Step(HALF, silence_after=0), CallFailure.TIMED_OUT, 1),
    "falls silent": (Step(HALF, silence_after=2), CallFailure.TIMED_OUT, 1),
    "dropped": (Step(drops=True), CallFailure.CUT_OFF, 1),
    "cut off": (Step(HALF, drops=True), CallFailure.CUT_OFF, 1),
    "ends early": (Step(HALF), CallFailure.CUT_OFF, 1),
    "nothing": (Step([END]), CallFailure.MALFORMED, 1),
    "no json": (Step([*HALF, "{"]), CallFailure.MALFORMED, 1),
    "misshapen": (Step([{"choices": 3}]), CallFailure.MALFORMED, 1),
    "counts wrongly": (
        Step(saying("A.", usage={**USAGE, "prompt_tokens": 1})),
        CallFailure.MALFORMED,
        1,
    ),
    "error first": (Step([{"error": {"message": "busy", "code": 429}}]), "rate_limited", 1),
    "error within": (Step([*HALF, {"error": {"message": "oops"}}]), CallFailure.CUT_OFF, 1),
}


@pytest.mark.parametrize(("step", "kind", "sent"), FAILURES.values(), ids=FAILURES)
def test_each_failure_has_its_class_and_what_may_be_billed_is_asked_once(step, kind, sent):
    patience = 0.5 if step.silence_after is not None else 30.0
    with ChatServer(step) as server:
        failure = failure_of(an_openai(server, silence_seconds=patience), a_prompt(answer=ANSWER))
        assert (failure.kind, len(server.asked)) == (kind, sent)
    assert server.billed <= 1
    assert failure.usage is None  # what was billed is not known: it is charged at its worst
    assert len(str(failure).split(". ")) >= 2


def test_an_answer_that_was_not_billed_is_asked_again_until_there_is_a_reply():
    busy = Step(status=429, headers={"retry-after": "0.01"})
    with ChatServer(busy, busy, saying("A word.")) as server:
        assert an_openai(server).reply(a_prompt()).text == "A word."
        assert (len(server.asked), server.billed) == (3, 1)


def test_a_long_retry_after_is_not_waited_for_but_told():
    with ChatServer(Step(status=429, headers={"retry-after": "3600"})) as server:
        failure = failure_of(an_openai(server, patience_seconds=5), a_prompt())
        assert len(server.asked) == 1
    assert (failure.kind, failure.retry_after) == (CallFailure.RATE_LIMITED, 3600)


def test_an_account_without_credit_is_not_taken_for_one_in_a_hurry():
    broke = {"message": "You exceeded your quota.", "code": "insufficient_quota"}
    step = Step(status=429, headers={"retry-after": "0.01"}, error=broke)
    with ChatServer(step) as server:
        assert failure_of(an_openai(server), a_prompt()).kind is CallFailure.UNAUTHORISED


def test_a_server_that_is_not_there_is_unreachable():
    with ChatServer(saying("A.")) as server:
        pass
    assert failure_of(an_openai(server, retries=0), a_prompt()).kind is CallFailure.UNREACHABLE


def test_a_reply_that_takes_too_long_as_a_whole_times_out_though_it_never_falls_silent():
    seconds = iter(range(0, 10_000, 10))
    with ChatServer(saying("A word. " * 20)) as server:
        settings = OpenAISettings("small-1", base_url=server.url, reply_seconds=45)
        model = OpenAI(settings, environ={}, clock=lambda: float(next(seconds)))
        failure = failure_of(model, a_prompt())
        assert len(server.asked) == 1
    assert failure.kind is CallFailure.TIMED_OUT
    assert "45 s" in str(failure)


def test_closing_the_model_ends_the_calls_in_flight():
    with ChatServer(Step(HALF, silence_after=2)) as server, ThreadPoolExecutor(1) as pool:
        model = an_openai(server)
        future = pool.submit(failure_of, model, a_prompt())
        while not server.asked:
            assert not future.done()
        model.close()
        assert future.result().kind is CallFailure.CUT_OFF
        assert failure_of(model, a_prompt()).kind is CallFailure.UNREACHABLE
        assert len(server.asked) == 1


def test_what_had_come_of_a_reply_is_kept_with_its_failure():
    with ChatServer(Step(HALF, drops=True)) as server:
        assert "A word that is cut off.".startswith(failure_of(an_openai(server), a_prompt()).text)


def test_a_key_that_a_server_repeats_is_not_shown():
    step = Step(status=401, error={"message": f"the key {KEY} is wrong"})
    with ChatServer(step) as server:
        failure = failure_of(an_openai(server), a_prompt())
    assert KEY not in str(failure)
    assert "(key)" in str(failure)


def test_any_stream_gives_a_reply_or_is_refused():
    stream = [part for part in using("submit", '{"word": "abracadabra"}') if part != END]
    outcomes = Counter()
    for seed in range(600):
        rng, assembly = random.Random(seed), ChatAssembly()
        try:
            for part in stream:
                assembly.take(mutilated(part, rng))
            reply = assembly.reply(a_prompt(), "r")
            assert isinstance(reply.text, str)
            assert all(isinstance(use.arguments, dict) for use in reply.tool_uses)
            assert min(reply.usage.input_tokens, reply.usage.output_tokens) >= 0
            outcomes["reply"] += 1
        except ValueError:
            assert isinstance(assembly.text, str)
            outcomes["refused"] += 1
    assert min(outcomes["reply"], outcomes["refused"]) > 20


def mutilated(value: object, rng: random.Random) -> object:
    """``value`` with something in it lost, or in the place of something else."""
    if rng.random() < 0.004:
        return rng.choice([None, -1, "x", [], {}, True, 1.5, [{}]])
    if isinstance(value, dict):
        return {k: mutilated(v, rng) for k, v in value.items() if rng.random() > 0.002}
    return [mutilated(v, rng) for v in value] if isinstance(value, list) else value


# --- settings ------------------------------------------------------------------------------------


def test_a_key_is_needed_for_openai_and_not_for_a_server_of_ones_own():
    assert "export OPENAI_API_KEY" in (missing_key(OpenAISettings("m"), {}) or "")
    assert missing_key(OpenAISettings("m"), {"OPENAI_API_KEY": "k"}) is None
    assert missing_key(OpenAISettings("m"), {"OPENAI_BASE_URL": "http://localhost/v1"}) is None
    with ChatServer(saying("A.")) as server:
        OpenAI(OpenAISettings("m"), environ={"OPENAI_BASE_URL": server.url}).reply(a_prompt())
        assert KEY not in server.headers[0]["authorization"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (OpenAISettings(""), "Name one"),
        (OpenAISettings("m", headers={"Authorization": "Bearer x"}), "OPENAI_CUSTOM_HEADERS"),
        (OpenAISettings("m", base_url="nowhere"), "base_url"),
    ],
)
def test_settings_that_name_no_model_no_server_or_a_key_are_refused(settings, words):
    with pytest.raises(OpenAIModelError, match=words):
        OpenAI(settings, environ={"OPENAI_API_KEY": KEY})
