"""The twin itself: its books, its cache, its strictness, its author, its own process."""

import difflib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from agents import Claude, ClaudeSettings, ModelCrossover, Mutator, Proposal
from agents.messages_api import request_of
from agents.model import CallFailure, Message, ModelError, Prompt, Tool
from agents.replacements import Block, apply_blocks
from agents.twin import Author, FaultKind, PromptCache, Twin, at_random, read_ledger
from agents.twin.cache import LOOKBACK, Split, blocks_of
from agents.twin.checks import request_problem
from agents.twin.edits import Replacement, replacements
from agents.twin.schemas import schema_problem, value_problem
from population import Genome, Manual, canonical_hash, code_size, contract_problems, fenced, knobs
from tests.agents.parents import TRAIN, a_context

ROOT = Path(__file__).parents[2]
LETTERS = ("a", "b", "c", "")
ENVIRON = {"ANTHROPIC_API_KEY": "sk-planted"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def a_claude(url: str, **changes) -> Claude:
    return Claude(ClaudeSettings(**({"base_url": url, "retries": 0} | changes)), environ=ENVIRON)


def text(said: str, *, point: bool = False) -> dict:
    block = {"type": "text", "text": said}
    return {**block, "cache_control": {"type": "ephemeral"}} if point else block


def a_request(*system: dict, turns: list[dict] | None = None, **changes) -> dict:
    turns = turns or [{"role": "user", "content": [text("Hello.")]}]
    return {"model": "m", "max_tokens": 100, "system": list(system), "messages": turns} | changes


# --- the cache -----------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_cache(min_tokens: int = 1) -> tuple[PromptCache, Clock]:
    clock = Clock()
    return PromptCache(min_tokens=min_tokens, clock=clock), clock


def used(cache: PromptCache, request: dict, model: str = "m") -> Split:
    return cache.use(model, blocks_of(request))


def test_what_lies_before_a_point_is_written_once_and_then_read():
    cache, _ = a_cache()
    request = a_request(text("a" * 400), text("b" * 400, point=True))
    first, second = used(cache, request), used(cache, request)
    assert first.read == 0
    assert first.written == second.read > 200
    assert (second.written, first.fresh) == (0, second.fresh)


def test_one_byte_that_differs_is_a_miss():
    cache, _ = a_cache()
    used(cache, a_request(text("the same words", point=True)))
    assert used(cache, a_request(text("the same word5", point=True))).read == 0
    assert used(cache, a_request(text("the same words", point=True), model="m")).read > 0
    assert used(cache, a_request(text("the same words", point=True)), model="other").read == 0


def test_tools_come_before_the_system_so_another_tool_is_a_miss():
    cache, _ = a_cache()
    system = text("the same words", point=True)
    one = {"name": "one", "input_schema": {"type": "object"}}
    used(cache, a_request(system, tools=[one]))
    assert used(cache, a_request(system, tools=[{**one, "name": "two"}])).read == 0
    assert used(cache, a_request(system, tools=[one])).read > 0


def test_a_prefix_is_forgotten_five_minutes_after_its_last_use():
    cache, clock = a_cache()
    request = a_request(text("the same words", point=True))
    used(cache, request)
    for _ in range(3):  # each use is the beginning of another five minutes
        clock.now += 299
        assert used(cache, request).read > 0
    clock.now += 300
    assert used(cache, request).read == 0


def test_a_short_prefix_is_not_kept():
    cache, _ = a_cache(min_tokens=100)
    request = a_request(text("a" * 100, point=True), text("b" * 1_000, point=True))
    first = used(cache, request)
    assert first.written == sum(block.tokens for block in blocks_of(request)[:2])
    assert used(cache, a_request(text("a" * 100, point=True))).read == 0


def test_the_longest_prefix_is_looked_for_within_reach_of_a_point_alone():
    for more, is_found in ((LOOKBACK - 1, True), (LOOKBACK, False)):
        cache, _ = a_cache()
        used(cache, a_request(text("the same words", point=True)))
        blocks = [text(f"block {number}") for number in range(more)]
        blocks[-1] |= text(blocks[-1]["text"], point=True)
        split = used(cache, a_request(text("the same words"), *blocks))
        assert bool(split.read) is is_found


def test_nothing_is_cached_without_a_point():
    cache, _ = a_cache()
    request = a_request(text("the same words"))
    used(cache, request)
    split = used(cache, request)
    assert (split.read, split.written) == (0, 0)
    assert split.fresh == sum(block.tokens for block in blocks_of(request))


# --- what is refused -----------------------------------------------------------------------------

STRICT = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "a thing"}
HELLO = {"role": "user", "content": [text("Hello.")]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 0.5}, "temperature: Extra inputs"),
        ({"messages": []}, "user role"),
        ({"messages": [{"role": "assistant", "content": "Hm."}]}, "user role"),
        ({"messages": [HELLO, {"role": "assistant", "content": "Hm."}]}, "prefill"),
        ({"messages": [{"role": "user", "content": []}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": " "}]}, "non-whitespace"),
        ({"messages": [HELLO, {"role": "assistant", "content": [USE]}, HELLO]}, "tool_result"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "tool_result"),
        ({"tool_choice": {"type": "any"}}, "while providing tools"),
        ({"tools": [{"name": "a b", "input_schema": STRICT}]}, "not a name"),
        ({"tools": [{"name": "a", "input_schema": STRICT}] * 2}, "unique"),
        ({"tools": [{"name": "a", "strict": True, "input_schema": {"type": "object"}}]}, "additio"),
        ({"system": [text(f"{n}", point=True) for n in range(5)]}, "at most 4"),
        (
            {"model": "claude-opus-5-5", "thinking": {"type": "disabled"}},
            "not supported for this model",
        ),
        ({"messages": "what?"}, "form of a request"),
    ],
)
def test_a_request_that_the_api_refuses_is_refused(changes, says):
    assert says in (request_problem(a_request() | changes) or "")


def test_a_proper_conversation_with_tools_is_taken():
    turns = [HELLO, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT]}]
    tool = {"name": "look", "strict": True, "input_schema": STRICT}
    assert request_problem(a_request(turns=turns, tools=[tool])) is None


def test_strict_schemas_and_values_that_keep_them():
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "names": {"type": "array", "items": {}}},
        "required": ["n"],
        "additionalProperties": False,
    }
    schema["properties"]["names"]["items"] = {"type": "string"}
    assert schema_problem(schema) is None
    assert value_problem({"n": 1, "names": ["a"]}, schema) is None
    for wrong in ({}, {"n": "1"}, {"n": True}, {"n": 1, "x": 2}, {"n": 1, "names": [2]}, []):
        assert value_problem(wrong, schema)
    assert "minimum" in (schema_problem({"type": "integer", "minimum": 1}) or "")


def test_what_our_own_requests_look_like_is_taken():
    tool = Tool("submit", "d", STRICT)
    prompt = Prompt("mutator", ("a", "", "b"), (Message("user", "?"),), (), tool)
    assert request_problem(request_of(prompt, ClaudeSettings())) is None


# --- the books -----------------------------------------------------------------------------------


def test_each_row_is_on_the_disk_before_its_reply_is_sent(tmp_path):
    file = tmp_path / "ledger.jsonl"
    with Twin(lambda _: "Yes.", ledger=file) as twin:
        reply = a_claude(twin.url).reply(Prompt("m", ("s",), (Message("user", "?"),)))
        assert [row.request_id for row in read_ledger(file)] == [reply.request_id]
        assert read_ledger(file) == twin.ledger()
    with file.open("a", encoding="utf-8") as half:
        half.write('{"request_id": "x", "at"')  # a process that died within a line
    assert len(read_ledger(file)) == 1
    assert read_ledger(tmp_path / "none") == []


def test_a_reply_never_costs_more_than_was_asked_for():
    with Twin(lambda _: "word " * 5_000) as twin:
        prompt = Prompt("m", ("s",), (Message("user", "?"),), max_output_tokens=50)
        reply = a_claude(twin.url).reply(prompt)
    assert (reply.usage.output_tokens, reply.stop_reason) == (50, "max_tokens")
    assert len(reply.text) < 400


def test_faults_at_random_are_a_function_of_the_seed_and_keep_their_shares():
    shares = {FaultKind.SLOW: 0.2, FaultKind.SERVER: 0.1}
    faults = at_random(shares, seed=3)
    drawn = [fault.kind if (fault := faults(number)) else None for number in range(2_000)]
    again = at_random(shares, seed=3)
    assert drawn[:50] == [f.kind if (f := again(number)) else None for number in range(50)]
    assert 340 < drawn.count(FaultKind.SLOW) < 460
    assert 150 < drawn.count(FaultKind.SERVER) < 250
    with pytest.raises(ValueError, match="shares"):
        at_random({FaultKind.SLOW: 1.5})


def test_an_address_that_is_not_there_is_a_404_and_no_key_a_401():
    with Twin() as twin:
        for path, headers, status in (("/v2", {"x-api-key": "k"}, 404), ("/v2", {}, 401)):
            request = urllib.request.Request(f"{twin.url}{path}", b"{}", headers)
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request)
            assert caught.value.code == status
            caught.value.close()
        request = urllib.request.Request(
            f"{twin.url}/v1/messages/count_tokens",
            json.dumps(a_request()).encode(),
            {"x-api-key": "k"},
        )
        with urllib.request.urlopen(request) as answer:
            assert json.loads(answer.read())["input_tokens"] > 0
        assert twin.ledger() == []


def test_while_it_is_away_nobody_answers_and_then_it_is_back_at_the_same_address():
    with Twin(lambda _: "Yes.") as twin:
        model, prompt = a_claude(twin.url), Prompt("m", ("s",), (Message("user", "?"),))
        assert model.reply(prompt).text == "Yes."
        twin.go_away()
        with pytest.raises(ModelError) as caught:
            model.reply(prompt)
        assert caught.value.kind is CallFailure.UNREACHABLE
        twin.come_back()
        assert model.reply(prompt).text == "Yes."


# --- the author ----------------------------------------------------------------------------------


def test_a_mutator_gets_valid_offspring_that_are_new_each_time():
    manual = Manual.parse((ROOT / "program.md").read_text(encoding="utf-8"))
    with Twin(Author(seed=1)) as twin:
        mutator = Mutator(a_claude(twin.url))
        made = [mutator.propose(a_context(rng_seed=0, manual=manual)) for _ in range(8)]
        assert twin.errors == []
    assert all(isinstance(one, Proposal) for one in made), made
    genomes = [one.genome for one in made if isinstance(one, Proposal)]
    assert len({canonical_hash(genome) for genome in genomes}) == len(made)
    assert not any(contract_problems(genome) for genome in genomes)


def test_a_slip_is_told_to_the_author_and_mended_at_the_second_attempt():
    with Twin(Author(seed=1, slips=1)) as twin:
        made = Mutator(a_claude(twin.url)).propose(a_context())
        turns = [len(request["messages"]) for request in twin.asked]
    assert isinstance(made, Proposal)
    assert turns == [1, 3]


def test_a_crossover_gets_something_of_both_parents():
    second = TRAIN.replace("DEPTH = 2", "DEPTH = 3").replace("MATRIX_LR = 0.04", "MATRIX_LR = 0.05")
    second = second.replace("SOFTCAP = 15.0", "SOFTCAP = 20.0")
    first = TRAIN.replace("WARMDOWN = 0.5", "WARMDOWN = 0.6")
    with Twin(Author(seed=1)) as twin:
        made = ModelCrossover(a_claude(twin.url)).propose(a_context(first, second))
    assert isinstance(made, Proposal)
    one, other, child = knobs(first), knobs(second), knobs(made.genome.main)
    assert child not in (one, other)
    assert all(child[name] in (one[name], other[name]) for name in one)


def submitted(twin_author: Author, request: dict) -> dict:
    """What the author hands in, whatever it looks up first."""
    return next(block["input"] for block in twin_author(request) if block["type"] == "tool_use")


def vars_of(one: Replacement) -> dict:
    return {"path": one.path, "search": one.search, "replace": one.replace}


def asked(role: str, question: str, *tools: str) -> dict:
    given = [{"name": name, "input_schema": {"type": "object"}} for name in tools]
    turns = [{"role": "user", "content": question}]
    return a_request(text(f"# Your role: {role}"), turns=turns, tools=given)


def shown_as(path: str, source: str, kind: str = "python") -> str:
    return f"`{path}`:\n\n{fenced(source, kind, limit=None)}"


def applied(genome: Genome, answer: dict) -> Genome:
    blocks = [
        Block(tuple(e["search"].split("\n")), tuple(e["replace"].split("\n")), e["path"])
        for e in answer["edits"]
    ]
    made = apply_blocks(genome, blocks)
    assert isinstance(made, Genome), made
    for file in answer["files"]:
        made = made.with_file(file["path"], file["text"])
    return made


def test_the_answers_tool_is_given_edits_that_apply():
    author, genome = Author(seed=2, curiosity=0), Genome.single(TRAIN)
    question = f"The genome:\n\n{shown_as('train.py', TRAIN)}\n\nS4: try a larger head.\n"
    answer = submitted(author, asked("mutation", question, "submit_variant"))
    assert canonical_hash(applied(genome, answer)) != canonical_hash(genome)
    assert answer["suggestion"] == "S4"
    assert answer["expected_gain"] > 0


def test_a_minimizer_gets_less_code():
    question = shown_as("train.py", TRAIN)
    answer = submitted(Author(3, curiosity=0), asked("minimizer", question, "submit_variant"))
    genome = Genome.single(TRAIN)
    assert code_size(applied(genome, answer)) < code_size(genome)


def test_a_repairer_takes_back_what_failed():
    failed = TRAIN.replace("DEPTH = 2", "DEPTH = oops")
    lines = TRAIN.splitlines(keepends=True), failed.splitlines(keepends=True)
    diff = "".join(difflib.unified_diff(*lines, "a/train.py", "b/train.py"))
    question = f"{shown_as('train.py', failed)}\n\n{fenced(diff, 'diff')}\nNameError: oops"
    answer = submitted(Author(4, curiosity=0), asked("repair", question, "submit_variant"))
    made = applied(Genome.single(failed), answer)
    assert "oops" not in made.main
    assert contract_problems(made) == []


def test_ideas_are_followed_when_the_code_is_asked_for():
    author, genome = Author(5, curiosity=0), Genome.single(TRAIN)
    shown = shown_as("train.py", TRAIN)
    ideas = submitted(author, asked("mutation", shown, "submit_ideas"))["ideas"]
    assert len(ideas) == 3
    name = ideas[0]["hypothesis"].split()[1]
    question = f"{shown}\n\nThe idea: {ideas[0]['hypothesis']}."
    answer = submitted(author, asked("mutation", question, "submit_variant"))
    before, after = knobs(TRAIN), knobs(applied(genome, answer).main)
    assert {key for key in before if before[key] != after[key]} == {name}


def test_lessons_name_trials_that_were_shown_and_readings_lines_that_were_changed():
    lessons = submitted(Author(6), asked("librarian", "Trial 12 … trials 7 …", "submit_lessons"))
    assert lessons["lessons"][0]["evidence"] == [7, 12]
    diff = fenced("--- a\n+++ b\n@@ -1 +1 @@\n-x = 1\n+x = 2\n", "diff")
    reading = submitted(Author(6), asked("critic", diff, "submit_reading"))
    assert [suspect["edit"] for suspect in reading["suspects"]] == ["x = 2"]


def test_inner_tools_are_used_once_in_a_while_and_then_the_answer_comes():
    author, shown = Author(7, curiosity=1), shown_as("train.py", TRAIN)
    for tool in ("read_file", "lookup", "lint", "smoke_run"):
        request = asked("mutation", shown, tool, "submit_variant")
        use = author(request)[-1]
        assert use["name"] == tool
        turns = [
            *request["messages"],
            {"role": "assistant", "content": [{**use, "id": "t1"}]},
            {"role": "user", "content": [RESULT]},
        ]
        answer = author({**request, "messages": turns})[-1]
        assert answer["name"] == "submit_variant"


def test_a_script_of_someones_own_is_changed_by_its_numbers():
    script = (
        "import sys\n\nrate = 0.1\nfor step in range(100):\n    rate = rate * 0.99\nprint(rate)\n"
    )
    answer = submitted(
        Author(8, curiosity=0), asked("mutation", shown_as("train.py", script), "submit_variant")
    )
    genome = Genome.single(script)
    assert applied(genome, answer).main != script


def test_asked_the_same_by_two_authors_of_one_seed_the_answer_is_the_same():
    request = asked("mutation", shown_as("train.py", TRAIN), "submit_variant")
    one, other = Author(9), Author(9)
    assert one(request) == other(request)
    assert one(request) != other({**request, "messages": [HELLO]})


def test_edits_lead_from_one_text_to_any_other():
    rng = random.Random(1)
    for _ in range(500):
        texts = [
            "".join(f"{rng.choice(LETTERS)}\n" for _ in range(rng.randint(2, 12))) for _ in "ab"
        ]
        if all(source.strip() for source in texts):
            before, after = (Genome.single(source) for source in texts)
            edits = [vars_of(one) for one in replacements(before, after)]
            assert applied(before, {"edits": edits, "files": []}).main == after.main


def test_sixteen_threads_never_get_the_same_idea():
    author = Author(10, curiosity=0)
    script = "".join(f"{name} = {value!r}\n" for name, value in knobs(TRAIN).items())
    request = asked("mutation", shown_as("train.py", script), "submit_variant")
    answers: list[dict] = []
    threads = [
        threading.Thread(target=lambda: answers.append(submitted(author, request)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    genome = Genome.single(script)
    made = [canonical_hash(applied(genome, answer)) for answer in answers if answer["edits"]]
    assert len(set(made)) == len(made) >= 12


# --- a process of its own ------------------------------------------------------------------------


def test_as_a_process_it_serves_and_keeps_its_books_when_it_is_killed(tmp_path):
    file = tmp_path / "ledger.jsonl"
    command = [sys.executable, "-m", "agents.twin", "--ledger", str(file), "--seed", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        made = Mutator(a_claude(url)).propose(a_context())
        os.kill(process.pid, signal.SIGKILL)
    assert isinstance(made, Proposal)
    rows = read_ledger(file)
    assert [row.billed for row in rows] == [True]


def test_as_a_process_it_ends_quietly_and_refuses_faults_that_it_does_not_know():
    command = [sys.executable, "-m", "agents.twin", "--faults"]
    with subprocess.Popen(
        [*command, "slow=0.1,cut_off=0.2"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    done = subprocess.run(
        [*command, "sloow"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no fault 'sloow'" in done.stderr
