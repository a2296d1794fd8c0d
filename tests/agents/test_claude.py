"""Claude by the real SDK, over real HTTP, against the twin. Nothing is patched."""

import contextlib
import json
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agents import (
    CallFailure,
    Claude,
    ClaudeError,
    ClaudeSettings,
    Message,
    ModelError,
    Prompt,
    Reply,
    Tool,
    ToolResult,
    Usage,
)
from agents.assembly import Assembly
from agents.batching import Batch
from agents.claude import missing_key
from agents.messages_api import request_of
from agents.twin import Fault, FaultKind, PromptCache, Twin
from agents.twin.replies import events, message, written

KEY = "sk-planted-5f1c9a"
SYSTEM = ("The contract. " * 200, "The role. " * 100, "The lessons. " * 60)
ANSWER = Tool(
    "submit",
    "Hand in the answer.",
    {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
        "additionalProperties": False,
    },
)
TOOL_JSON = {"name": "submit", "input_schema": dict(ANSWER.parameters)}
LOOK = Tool("look", "Look something up.", ANSWER.parameters)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def a_claude(twin: Twin, **changes) -> Claude:
    settings = {"base_url": twin.url, "silence_seconds": 30.0, "retries": 2} | changes
    return Claude(ClaudeSettings(**settings), environ={"ANTHROPIC_API_KEY": KEY})


def a_prompt(text: str = "Say a word.", **changes) -> Prompt:
    return Prompt("mutator", SYSTEM, (Message("user", text),), **changes)


def submitting(_request) -> list[dict]:
    return [
        {"type": "text", "text": "Here it is."},
        {"type": "tool_use", "name": "submit", "input": {"word": "ab" * 200}},
    ]


def failure_of(model: Claude, prompt: Prompt) -> ModelError:
    with pytest.raises(ModelError) as caught:
        model.reply(prompt)
    return caught.value


# --- replies -------------------------------------------------------------------------------------


def test_text_and_usage_come_back_as_the_provider_billed_them():
    with Twin(lambda _: "A word.") as twin:
        reply = a_claude(twin).reply(a_prompt())
        row = twin.ledger()[0]
    assert (reply.text, reply.stop_reason) == ("A word.", "end_turn")
    assert (reply.usage, reply.request_id) == (row.usage, row.request_id)
    assert reply.model == "claude-opus-5-5"
    assert row.billed
    assert twin.asked[0]["stream"] is True


def test_the_answer_is_a_use_of_its_tool_under_a_strict_schema():
    with Twin(submitting) as twin:
        reply = a_claude(twin).reply(a_prompt(answer=ANSWER))
        asked = twin.asked[0]
    use = reply.use_of(ANSWER)
    assert use is not None
    assert use.arguments == {"word": "ab" * 200}
    assert reply.stop_reason == "tool_use"
    assert [tool["strict"] for tool in asked["tools"]] == [True]
    assert "tool_choice" not in asked  # models that always think refuse a forced tool


@pytest.mark.parametrize(
    ("tools", "choice"), [((), {"type": "tool", "name": "submit"}), ((LOOK,), {"type": "any"})]
)
def test_a_model_that_does_not_think_is_made_to_use_a_tool(tools, choice):
    with Twin(submitting) as twin:
        model = a_claude(twin, model="claude-sonnet-4-6", thinking="disabled")
        assert model.reply(a_prompt(tools=tools, answer=ANSWER)).use_of(ANSWER)
        assert twin.asked[0]["tool_choice"] == choice


def test_thinking_returns_unchanged_in_a_conversation_with_tools():
    def author(request):
        name = "look" if len(request["messages"]) == 1 else "submit"
        return [{"type": "tool_use", "name": name, "input": {"word": "x"}}]

    with Twin(author) as twin:
        model = a_claude(twin, thinking="adaptive", effort="low")
        question = Message("user", "Look first.")
        first = model.reply(Prompt("mutator", SYSTEM, (question,), (LOOK,), ANSWER))
        assert isinstance(first.native, list)
        assert first.native[0]["type"] == "thinking"
        result = Message("user", tool_results=(ToolResult(first.tool_uses[0].id, "a thing"),))
        turns = (question, first.message(), result)
        assert model.reply(Prompt("mutator", SYSTEM, turns, (LOOK,), ANSWER)).use_of(ANSWER)
        assert twin.asked[0]["output_config"] == {"effort": "low"}

        first.native[0]["signature"] = "forged"
        failure = failure_of(model, Prompt("mutator", SYSTEM, turns, (LOOK,), ANSWER))
    assert failure.kind is CallFailure.BAD_REQUEST
    assert "signature" in str(failure)


def test_a_conversation_goes_on_in_plain_words_without_the_native_turn():
    with Twin(submitting) as twin:
        model = a_claude(twin)
        reply = model.reply(a_prompt(answer=ANSWER))
        plain = Message("assistant", reply.text, tool_uses=reply.tool_uses)
        told = Message(
            "user", "Again.", tool_results=(ToolResult(reply.tool_uses[0].id, "", True),)
        )
        turns = (Message("user", "Say a word."), plain, told)
        assert model.reply(Prompt("mutator", SYSTEM, turns, answer=ANSWER)).use_of(ANSWER)
    assert twin.asked[1]["messages"][2]["content"][0]["is_error"] is True


def test_a_refusal_a_cut_and_an_empty_reply_are_replies_and_the_conversation_can_go_on():
    faults = [FaultKind.REFUSAL, FaultKind.MAX_TOKENS, FaultKind.EMPTY]
    with Twin(submitting, faults=[f for fault in faults for f in (fault, None)]) as twin:
        model = a_claude(twin, thinking="adaptive")
        replies = []
        for number in range(3):
            question = Message("user", f"Question {number}.")
            replies.append(model.reply(Prompt("mutator", SYSTEM, (question,), answer=ANSWER)))
            turns = (question, replies[-1].message(), Message("user", "Once more."))
            assert model.reply(Prompt("mutator", SYSTEM, turns, answer=ANSWER)).use_of(ANSWER)
        rows = twin.ledger()
    assert [reply.stop_reason for reply in replies] == ["refusal", "max_tokens", "end_turn"]
    assert [reply.use_of(ANSWER) for reply in replies] == [None] * 3  # half an answer is none
    assert [row.usage for row in rows[::2]] == [reply.usage for reply in replies]
    assert all(row.billed for row in rows)


def test_a_reply_is_whole_when_it_says_so_whatever_comes_of_the_connection():
    with Twin(submitting, faults=[FaultKind.CUT_AT_END] * 2) as twin:
        model = a_claude(twin)
        replies = [model.reply(a_prompt(answer=ANSWER)) for _ in range(2)]
        rows = twin.ledger()
    assert all(reply.use_of(ANSWER) for reply in replies)
    assert [reply.usage for reply in replies] == [row.usage for row in rows]


# --- failures ------------------------------------------------------------------------------------

FAILURES = {
    Fault(FaultKind.RATE_LIMITED, 0.01): CallFailure.RATE_LIMITED,
    Fault(FaultKind.OVERLOADED, 0.01): CallFailure.OVERLOADED,
    Fault(FaultKind.OVERLOADED_LATE): CallFailure.OVERLOADED,
    Fault(FaultKind.SERVER, 0.01): CallFailure.SERVER,
    Fault(FaultKind.UNAUTHORISED): CallFailure.UNAUTHORISED,
    Fault(FaultKind.BAD_REQUEST): CallFailure.BAD_REQUEST,
    Fault(FaultKind.SLOW, 60): CallFailure.TIMED_OUT,
    Fault(FaultKind.SLOW_STREAM, 60): CallFailure.TIMED_OUT,
    Fault(FaultKind.GATEWAY): CallFailure.TIMED_OUT,
    Fault(FaultKind.DROPPED): CallFailure.CUT_OFF,
    Fault(FaultKind.CUT_OFF): CallFailure.CUT_OFF,
    Fault(FaultKind.BROKEN_OFF): CallFailure.CUT_OFF,
    Fault(FaultKind.MALFORMED): CallFailure.MALFORMED,
    Fault(FaultKind.MISSHAPEN): CallFailure.MALFORMED,
}


def test_every_fault_of_the_twin_is_tried_here():
    values = {FaultKind.REFUSAL, FaultKind.MAX_TOKENS, FaultKind.EMPTY, FaultKind.CUT_AT_END}
    assert {fault.kind for fault in FAILURES} | values == set(FaultKind)


@pytest.mark.parametrize(("fault", "kind"), FAILURES.items(), ids=[f.kind for f in FAILURES])
def test_each_failure_has_its_class_and_what_may_be_billed_is_asked_once(fault, kind):
    patience = 1.0 if fault.kind in (FaultKind.SLOW, FaultKind.SLOW_STREAM) else 30.0
    with Twin(submitting, faults=lambda _: fault) as twin:
        failure = failure_of(a_claude(twin, silence_seconds=patience), a_prompt(answer=ANSWER))
        rows = twin.ledger()
    assert failure.kind is kind
    assert failure.usage is None  # what was billed is not known: it is charged at its worst
    assert sum(row.billed for row in rows) <= 1
    assert kind.may_be_billed or not any(row.billed for row in rows)
    repeated = fault.kind in (FaultKind.RATE_LIMITED, FaultKind.OVERLOADED, FaultKind.SERVER)
    assert len(rows) == (3 if repeated else 1)
    assert len(str(failure).split(". ")) >= 2
    assert KEY not in str(failure)


@pytest.mark.parametrize("kind", [k for k in FaultKind if k.status in (429, 500, 529)])
def test_unbilled_answers_are_asked_again_until_there_is_a_reply(kind):
    with Twin(submitting, faults=[Fault(kind, 0.01)] * 2) as twin:
        assert a_claude(twin).reply(a_prompt(answer=ANSWER)).use_of(ANSWER)
        rows = twin.ledger()
    assert [row.billed for row in rows] == [False, False, True]
    assert [row.retry for row in rows] == [0, 1, 2]
    assert len({row.body for row in rows}) == 1


def test_a_long_retry_after_is_not_waited_for_but_told():
    with Twin(submitting, faults=[Fault(FaultKind.RATE_LIMITED, 3_600)]) as twin:
        failure = failure_of(a_claude(twin, patience_seconds=5), a_prompt(answer=ANSWER))
        assert len(twin.ledger()) == 1
    assert failure.kind is CallFailure.RATE_LIMITED
    assert failure.retry_after == 3_600


def test_a_connection_that_is_refused_is_tried_again_and_then_the_model_is_unreachable():
    with Twin(submitting) as twin:
        model = a_claude(twin, retries=6)
        twin.go_away()
        assert failure_of(a_claude(twin, retries=0), a_prompt()).kind is CallFailure.UNREACHABLE
        back = threading.Timer(0.3, twin.come_back)
        back.start()
        assert model.reply(a_prompt(answer=ANSWER)).use_of(ANSWER)
        assert len(twin.ledger()) == 1


def test_a_reply_that_takes_too_long_as_a_whole_times_out_though_it_never_falls_silent():
    seconds = iter(range(0, 10_000, 10))
    with Twin(submitting) as twin:
        settings = ClaudeSettings(base_url=twin.url, reply_seconds=45)
        environ = {"ANTHROPIC_API_KEY": KEY}
        model = Claude(settings, environ=environ, clock=lambda: float(next(seconds)))
        failure = failure_of(model, a_prompt(answer=ANSWER))
        assert len(twin.ledger()) == 1
    assert failure.kind is CallFailure.TIMED_OUT
    assert "45 s" in str(failure)


@pytest.mark.parametrize("kind", [FaultKind.SLOW, FaultKind.SLOW_STREAM])
def test_closing_the_model_ends_the_calls_in_flight(kind):
    with Twin(submitting, faults=[Fault(kind, 60)]) as twin, ThreadPoolExecutor(1) as pool:
        model = a_claude(twin)
        future = pool.submit(failure_of, model, a_prompt(answer=ANSWER))
        while not twin.ledger():  # until the reply has been written, and billed
            assert not future.done()
        model.close()
        assert future.result().kind is CallFailure.CUT_OFF  # not TIMED_OUT: nobody waited for that
        assert failure_of(model, a_prompt()).kind is CallFailure.UNREACHABLE
        assert len(twin.ledger()) == 1


def test_what_had_come_of_a_reply_is_kept_with_its_failure():
    with Twin(submitting, faults=[FaultKind.CUT_OFF]) as twin:
        assert failure_of(a_claude(twin), a_prompt(answer=ANSWER)).text == "Here it is."


def test_a_conversation_that_ends_with_the_assistant_is_a_mistake_of_ours():
    with Twin() as twin, pytest.raises(ValueError, match="user"):
        a_claude(twin).reply(Prompt("mutator", SYSTEM, (Message("assistant", "Hm."),)))


@pytest.mark.parametrize(
    "data",
    [
        "[]",
        '{"type": "message_start", "message": {"usage": {"input_tokens": -1, "output_tokens": 0}}}',
        '{"type": "message_start", "message": {"usage": {"input_tokens": "1"}}}',
        '{"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta", "text": ""}}',
        '{"type": "content_block_start", "index": 1, "content_block": {"type": "text"}}',
        '{"type": "message_delta", "delta": {}}',
        "{",
    ],
)
def test_an_event_that_the_protocol_does_not_allow_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        Assembly().take(data)


def test_a_use_that_is_nested_without_end_is_refused():
    deep = "[" * 5_000 + "]" * 5_000
    with pytest.raises(ValueError, match="nested deeper"):
        Assembly().take(f'{{"type": "ping", "x": {deep}}}')
    asked = {"model": "claude-opus-5-5", "max_tokens": 999, "messages": [], "tools": [TOOL_JSON]}
    parts = written(submitting(asked), asked, "r1")
    usage = {"input_tokens": 1, "output_tokens": 2}
    stream = [data for _, data in events(parts, message(parts, asked, "r1", usage))]
    (place,) = {d["index"] for d in stream if d.get("content_block", {}).get("type") == "tool_use"}
    for depth in (60, 600, 5_000):
        nested = '{"word": ' + "[" * depth + "]" * depth + "}"
        delta = {"type": "input_json_delta", "partial_json": nested}
        assembly = Assembly()
        for data in stream:
            if data.get("index") != place or data["type"] != "content_block_delta":
                assembly.take(json.dumps(data))
            if data.get("index") == place and data["type"] == "content_block_start":
                told = {"type": "content_block_delta", "index": place, "delta": delta}
                assembly.take(json.dumps(told))
        with pytest.raises(ValueError, match="not whole"):
            assembly.reply("r1")


def mutilated(value: object, rng: random.Random) -> object:
    """``value`` with something in it lost, or in the place of something else."""
    if rng.random() < 0.004:
        return rng.choice([None, -1, "x", [], {}, True, 1.5, {"type": "text"}])
    if isinstance(value, dict):
        return {k: mutilated(v, rng) for k, v in value.items() if rng.random() > 0.002}
    return [mutilated(v, rng) for v in value] if isinstance(value, list) else value


def test_any_stream_gives_a_reply_or_is_refused():
    asked = {"model": "claude-opus-5-5", "max_tokens": 999, "messages": [], "tools": [TOOL_JSON]}
    parts = written(submitting(asked), asked, "r1")
    usage = {"input_tokens": 1, "output_tokens": 2}
    stream = [data for _, data in events(parts, message(parts, asked, "r1", usage))]
    outcomes = Counter()
    for seed in range(600):
        rng, assembly = random.Random(seed), Assembly()
        try:
            for event in stream:
                if rng.random() > 0.003:
                    assembly.take(json.dumps(mutilated(event, rng)))
            reply = assembly.reply("r1")
            assert isinstance(reply.text, str)
            assert all(isinstance(use.arguments, dict) for use in reply.tool_uses)
            outcomes["reply"] += 1
        except ValueError:
            assert isinstance(assembly.text, str)
            outcomes["refused"] += 1
    assert min(outcomes["reply"], outcomes["refused"]) > 20


# --- the cache -----------------------------------------------------------------------------------


def test_from_the_second_call_of_a_role_on_its_prefix_is_read_from_the_cache():
    with Twin(submitting) as twin:
        model = a_claude(twin)
        roles = ("mutator", "crossover")
        for number in range(5):
            for role in roles:
                system = (SYSTEM[0], f"You are the {role}. " * 60, SYSTEM[2])
                question = (Message("user", f"Question {number}: " + "data " * 500),)
                model.reply(Prompt(role, system, question, answer=ANSWER))
        rows = twin.ledger()
    assert len({row.prefix for row in rows}) == len(roles)
    for prefix in {row.prefix for row in rows}:
        later = [row for row in rows if row.prefix == prefix][1:]
        read = sum(row.cache_read_tokens for row in later)
        assert read / sum(row.prefix_tokens for row in later) >= 0.9
        assert all(row.cache_write_tokens == 0 for row in later)


def test_lessons_that_changed_leave_the_blocks_before_them_in_the_cache():
    with Twin(lambda _: "Yes.") as twin:
        model = a_claude(twin)
        model.reply(a_prompt())
        model.reply(Prompt("mutator", (*SYSTEM[:2], "New lessons. " * 60), a_prompt().messages))
        first, second = twin.ledger()
    assert second.cache_read_tokens / first.cache_write_tokens > 0.8
    assert second.cache_write_tokens > 0


def test_in_a_conversation_with_tools_each_turn_reads_the_one_before():
    def author(request):
        name = "look" if len(request["messages"]) < 5 else "submit"
        return [{"type": "tool_use", "name": name, "input": {"word": "x"}}]

    with Twin(author) as twin:
        model = a_claude(twin)
        turns = [Message("user", "Look around. " + "genome " * 1_000)]
        for _ in range(3):
            reply = model.reply(Prompt("mutator", SYSTEM, tuple(turns), (LOOK,), ANSWER))
            result = ToolResult(reply.tool_uses[0].id, "a thing")
            turns += [reply.message(), Message("user", tool_results=(result,))]
        first, *later = twin.ledger()
    assert first.input_tokens == 0
    for row in later:
        assert row.cache_read_tokens > 0.9 * (row.usage.cache_write_tokens + row.cache_read_tokens)


def test_a_request_never_has_more_points_of_caching_than_are_allowed():
    system = tuple(f"Block {number}. " * 50 for number in range(7))
    prompt = Prompt("mutator", system, (Message("user", "?"),), (LOOK,), ANSWER)
    request = request_of(prompt, ClaudeSettings())
    blocks = [*request["tools"], *request["system"], *request["messages"][0]["content"]]
    marked = [number for number, block in enumerate(blocks) if "cache_control" in block]
    assert marked == [6, 7, 8, 9]  # the last three of the system, and the question
    with Twin(submitting, cache=PromptCache(min_tokens=1)) as twin:
        assert a_claude(twin).reply(prompt).use_of(ANSWER)


# --- many at once --------------------------------------------------------------------------------


def test_sixteen_calls_in_flight_share_one_client_and_the_books_agree():
    barrier = threading.Barrier(16, timeout=30)

    def author(request):
        barrier.wait()  # all sixteen are with the author at once
        return request["messages"][0]["content"][0]["text"]

    with Twin(author) as twin:
        model = a_claude(twin)
        questions = [f"Question {number}." for number in range(48)]
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(lambda q: model.reply(a_prompt(q)), questions))
        rows = {row.request_id: row for row in twin.ledger()}
    assert [reply.text for reply in replies] == questions
    assert {reply.request_id: reply.usage for reply in replies} == {
        name: row.usage for name, row in rows.items()
    }


def test_under_a_storm_of_faults_nothing_billed_is_asked_twice():
    kinds = [k for k in FaultKind if k not in (FaultKind.SLOW, FaultKind.SLOW_STREAM)]
    with Twin(submitting, faults=lambda n: Fault(kinds[n % len(kinds)], 0.01)) as twin:
        model = a_claude(twin)

        def outcome(number: int) -> str:
            try:
                return model.reply(a_prompt(f"Question {number}.", answer=ANSWER)).stop_reason
            except ModelError as error:
                return error.kind

        with ThreadPoolExecutor(16) as pool:
            outcomes = Counter(pool.map(outcome, range(64)))
        billed = Counter(row.body for row in twin.ledger() if row.billed)
    assert outcomes.total() == 64
    assert len(outcomes) >= 8
    assert set(billed.values()) == {1}


# --- keys, platforms, settings -------------------------------------------------------------------


def test_the_key_comes_from_the_environment_and_goes_to_the_server_alone():
    with Twin(lambda _: "Yes.", key=KEY) as twin:
        assert a_claude(twin).reply(a_prompt()).text == "Yes."
        settings = ClaudeSettings(base_url=twin.url)
        token = Claude(settings, environ={"ANTHROPIC_AUTH_TOKEN": KEY})
        assert token.reply(a_prompt()).text == "Yes."
        wrong = Claude(settings, environ={"ANTHROPIC_API_KEY": "sk-another"})
        assert failure_of(wrong, a_prompt()).kind is CallFailure.UNAUTHORISED
        assert KEY not in repr(list(twin.asked))


def test_a_server_that_repeats_the_key_does_not_put_it_into_our_books():
    def author(_request):
        raise ValueError(f"Incorrect key provided: {KEY}")

    with Twin(author) as twin:
        failure = failure_of(a_claude(twin, retries=0), a_prompt())
    assert failure.kind is CallFailure.SERVER
    assert KEY not in str(failure)
    assert "(key)" in str(failure)
    assert len(twin.errors) == 1


def test_without_a_key_one_is_asked_for():
    with pytest.raises(ClaudeError, match="export ANTHROPIC_API_KEY"):
        Claude(ClaudeSettings(), environ={})
    assert missing_key(ClaudeSettings(), {"ANTHROPIC_AUTH_TOKEN": "t"}) is None
    assert missing_key(ClaudeSettings(platform="bedrock"), {}) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"platform": "bedrok"}, "Did you mean 'bedrock'"),
        ({"thinking": "enabled"}, "no kind of thinking"),
        ({"headers": {"X-Api-Key": "s"}}, "ANTHROPIC_CUSTOM_HEADERS"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(changes, says):
    with pytest.raises(ClaudeError, match=says):
        Claude(ClaudeSettings(**changes), environ={"ANTHROPIC_API_KEY": KEY})


def test_headers_of_the_settings_reach_the_server():
    seen = []

    class Watching(Twin):
        def create(self, body, headers):
            seen.append(headers)
            return super().create(body, headers)

    with Watching(lambda _: "Yes.") as twin:
        a_claude(twin, headers={"X-Team": "night"}).reply(a_prompt())
    assert seen[0]["x-team"] == "night"


def test_bedrock_is_asked_with_its_own_key(monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "aws-planted-key")
    with Twin(submitting, key="aws-planted-key") as twin:
        settings = ClaudeSettings(
            model="anthropic.claude-opus-5",
            platform="bedrock",
            region="eu-west-1",
            base_url=f"{twin.url}/anthropic",
        )
        reply = Claude(settings, environ={}).reply(a_prompt(answer=ANSWER))
    assert reply.use_of(ANSWER)
    assert reply.model == "anthropic.claude-opus-5"


def test_vertex_is_asked_at_its_own_address(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Authorization: Bearer google-planted-key")
    with Twin(submitting, key="google-planted-key") as twin:
        settings = ClaudeSettings(
            model="claude-opus-5",
            platform="vertex",
            region="europe-west1",
            project="night",
            base_url=f"{twin.url}/v1",
        )
        model = Claude(settings, environ={})
        reply = model.reply(a_prompt(answer=ANSWER))
        with pytest.raises(ModelError, match="no Message Batches"):
            model.batch([a_prompt()])
    assert reply.use_of(ANSWER)
    assert twin.ledger()[0].model == "claude-opus-5"


def test_a_platform_whose_credentials_are_not_to_be_had_is_a_failure_with_a_class(monkeypatch):
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_AWS_API_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with Twin() as twin:
        settings = ClaudeSettings(platform="bedrock", region="eu-west-1", base_url=twin.url)
        failure = failure_of(Claude(settings, environ={}), a_prompt())
        assert twin.ledger() == []
    assert failure.kind is CallFailure.UNAUTHORISED


def test_bedrock_without_a_region_says_where_to_set_one(monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "ANTHROPIC_BEDROCK_MANTLE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ClaudeError, match="Set region"):
        Claude(ClaudeSettings(platform="bedrock"), environ={})


# --- batches -------------------------------------------------------------------------------------


def test_a_batch_is_answered_in_order_when_it_has_ended_and_each_prompt_is_billed_once():
    with Twin(lambda request: request["messages"][0]["content"][0]["text"]) as twin:
        model = a_claude(twin)
        batch = model.batch([a_prompt(f"Question {number}.") for number in range(3)])
        assert model.collect(batch) is None
        replies = model.collect(batch)
        assert model.collect(batch) == replies
        rows = twin.ledger()
    assert replies is not None
    assert [r.text for r in replies if isinstance(r, Reply)] == [f"Question {n}." for n in range(3)]
    assert [r.usage for r in replies if isinstance(r, Reply)] == [row.usage for row in rows]
    assert [row.kind for row in rows] == ["batch"] * 3


def test_a_prompt_of_a_batch_that_failed_is_a_failure_in_its_place():
    with Twin(lambda _: "Yes.") as twin:
        model = a_claude(twin)
        good, bad = a_prompt(), Prompt("mutator", (), (Message("user", "?"),), (LOOK, LOOK))
        batch = model.batch([bad, good])
        model.collect(batch)
        replies = model.collect(batch)
    assert replies is not None
    failed, answered = replies
    assert isinstance(failed, ModelError)
    assert failed.kind is CallFailure.BAD_REQUEST
    assert isinstance(answered, Reply)
    assert answered.usage != Usage()


ODD_LINES = (
    b"{",
    b"[]",
    b'{"custom_id": "prompt-0"}',
    b'{"custom_id": "prompt-0", "result": []}',
    b'{"custom_id": "prompt-0", "result": {"type": "succeeded"}}',
    b'{"custom_id": "prompt-0", "result": {"type": "succeeded", "message": "x"}}',
    b'{"custom_id": "prompt-0", "result": {"type": "errored", "error": null}}',
    b'{"custom_id": "prompt-0", "result": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
)


@pytest.mark.parametrize("odd", ODD_LINES, ids=range(len(ODD_LINES)))
def test_a_line_of_another_shape_costs_a_batch_that_one_result(odd):
    good = {
        "model": "m",
        "content": [{"type": "text", "text": "Yes."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    line = {"custom_id": "prompt-1", "result": {"type": "succeeded", "message": good}}
    with answering(odd + b"\n" + json.dumps(line).encode() + b"\n") as url:
        settings = ClaudeSettings(base_url=url, retries=0)
        model = Claude(settings, environ={"ANTHROPIC_API_KEY": KEY})
        replies = model.collect(Batch("batch-1", 2))
    assert replies is not None
    failed, answered = replies
    assert isinstance(failed, ModelError)
    assert failed.kind is CallFailure.MALFORMED
    assert isinstance(answered, Reply)
    assert answered.text == "Yes."


def test_a_batch_whose_state_has_another_shape_is_malformed():
    with answering(b"", state=b'["ended"]') as url:
        settings = ClaudeSettings(base_url=url, retries=0)
        model = Claude(settings, environ={"ANTHROPIC_API_KEY": KEY})
        with pytest.raises(ModelError) as caught:
            model.collect(Batch("batch-1", 2))
    assert caught.value.kind is CallFailure.MALFORMED


@contextlib.contextmanager
def answering(results: bytes, state: bytes = b""):
    """A server that has one batch, which has ended."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = f"http://127.0.0.1:{server.server_address[1]}/results"
            ended = json.dumps({"processing_status": "ended", "results_url": address}).encode()
            body = results if self.path == "/results" else state or ended
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_batch_that_nobody_knows_is_an_error():
    with Twin() as twin:
        model = a_claude(twin)
        batch = model.batch([a_prompt()])
    with Twin() as other, pytest.raises(ModelError) as caught:
        a_claude(other).collect(batch)
    assert caught.value.kind is CallFailure.BAD_REQUEST
