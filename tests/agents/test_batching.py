"""Batches of the Messages API, over real HTTP, against the twin: gathered, paid once, kept."""

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents import CallFailure, Claude, ClaudeSettings, Message, ModelError, Prices, Prompt, Purse
from agents.batching import Batch, Batched, Pace, Ticket
from agents.twin import Twin
from population import CallState, Store
from tests.builders import a_run

KEY = "sk-planted-77aa01"
QUICK = Pace(gather_seconds=0.3, first_look=0.02, longest_look=0.05)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def a_clerk(twin):
    settings = ClaudeSettings(model="claude-haiku-5-5", base_url=twin.url)
    return Claude(settings, environ={"ANTHROPIC_API_KEY": KEY})


def a_prompt(text="Say a word."):
    return Prompt("mutator", ("The contract. " * 100,), (Message("user", text),))


def echo(request):
    return request["messages"][0]["content"][0]["text"]


def unkept(_tickets):
    """Keep nothing."""


def ask_all(model, texts):
    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(lambda text: model.reply(a_prompt(text)), texts))


def test_prompts_that_come_together_are_one_batch_and_each_gets_its_own_reply():
    texts = [f"Question {number}." for number in range(12)]
    with Twin(echo, batch_polls=3) as twin:
        replies = ask_all(Batched(a_clerk(twin), pace=QUICK), texts)
        rows = twin.ledger()
    assert [reply.text for reply in replies] == texts
    assert len(rows) == 12
    assert {row.kind for row in rows} == {"batch"}
    assert len(twin.batches) == 1


def test_a_full_batch_does_not_wait_for_more():
    slow = Pace(largest=3, gather_seconds=60.0, first_look=0.02, longest_look=0.05)
    with Twin(echo) as twin:
        replies = ask_all(Batched(a_clerk(twin), pace=slow), ["a", "b", "c", "d", "e", "f"])
        assert len(twin.batches) == 2
    assert [reply.text for reply in replies] == ["a", "b", "c", "d", "e", "f"]


def test_a_provider_that_takes_no_batch_fails_all_of_it_and_nothing_is_billed():
    with Twin(echo) as twin:
        model = Batched(a_clerk(twin), pace=QUICK)
        twin.go_away()
        with pytest.raises(ModelError) as caught:
            model.reply(a_prompt())
    assert caught.value.kind is CallFailure.UNREACHABLE
    assert not twin.ledger()


def test_a_provider_that_cannot_be_asked_for_a_while_is_asked_again():
    with Twin(echo, batch_polls=1) as twin:
        model = Batched(a_clerk(twin), pace=QUICK)
        ticket = model.hand_in(a_prompt(), 1, unkept)
        twin.go_away()
        back = threading.Timer(1.0, twin.come_back)
        back.start()
        assert model.redeem(ticket).text == "Say a word."
        back.join()
        assert [row.billed for row in twin.ledger()] == [True]


def test_a_batch_that_the_provider_does_not_know_is_given_up():
    with Twin(echo) as twin, pytest.raises(ModelError) as caught:
        Batched(a_clerk(twin), pace=QUICK).redeem(Ticket(Batch("msgbatch_0", 2), 1))
    assert caught.value.kind is CallFailure.ABANDONED
    assert caught.value.kind.may_be_billed


def test_what_is_called_off_is_not_billed_and_nothing_more_is_handed_in():
    with Twin(echo, batch_polls=10_000) as twin:
        model = Batched(a_clerk(twin), pace=QUICK)
        ticket = model.hand_in(a_prompt(), 1, unkept)
        model.call_off()
        with pytest.raises(ModelError) as caught:
            model.redeem(ticket)
        assert not caught.value.kind.may_be_billed
        assert twin.ledger() == []
        with pytest.raises(ModelError) as refused:
            model.hand_in(a_prompt(), 1, unkept)
        assert not refused.value.kind.was_sent


class DeafClerk:
    """Takes a batch in that never ends by itself, and hears the first words to end it badly."""

    name = "deaf"

    def __init__(self, deaf_times):
        self.told, self._deaf_times = 0, deaf_times

    def batch(self, prompts):
        return Batch("b1", len(prompts))

    def collect(self, batch):
        if self.told <= self._deaf_times:
            return None
        return [ModelError("Cancelled.", CallFailure.SERVER)] * batch.size

    def cancel(self, _batch):
        self.told += 1
        if self.told <= self._deaf_times:
            raise ModelError("No key.", CallFailure.UNAUTHORISED)


def test_a_batch_is_told_to_end_until_the_provider_has_heard():
    clerk = DeafClerk(deaf_times=3)
    model = Batched(clerk, pace=QUICK)
    ticket = model.hand_in(a_prompt(), 1, unkept)
    model.call_off()
    with pytest.raises(ModelError, match="Cancelled"):
        model.redeem(ticket)
    assert clerk.told == 4


def test_a_batch_that_cannot_be_ended_is_not_waited_for_but_kept():
    pace = dataclasses.replace(QUICK, called_off_seconds=0.3)
    model = Batched(DeafClerk(deaf_times=10_000), pace=pace)
    ticket = model.hand_in(a_prompt(), 1, unkept)
    model.call_off()
    with pytest.raises(ModelError) as caught:
        model.redeem(ticket)
    assert caught.value.kind is CallFailure.UNDER_WAY


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "run.db", a_run()) as store:
        yield store


def a_purse(store, limit=1.0):
    return Purse(store, Prices.standard(), limit_usd=limit, clock=time.time, environment={})


def test_a_batch_costs_half_and_a_reply_is_booked_to_the_token(store):
    with Twin(echo) as twin:
        reply = a_purse(store).metered(Batched(a_clerk(twin), pace=QUICK)).reply(a_prompt())
        row = twin.ledger()[0]
    full = Prices.standard().of("claude-haiku-5-5").cost_usd(row.usage)
    assert reply.cost_usd == pytest.approx(full / 2)
    (call,) = store.calls()
    assert call.state is CallState.SETTLED
    assert call.cost_usd == pytest.approx(full / 2)
    assert (call.input_tokens, call.output_tokens) == (row.input_tokens, row.output_tokens)
    assert str(call.details["batch"]).startswith("msgbatch_")


def test_a_sitting_that_ends_leaves_its_batch_to_the_next_which_pays_no_second_time(store):
    commission = store.open_commission(operator="mutator", parents=(), rng_seed=1, at=time.time())
    with Twin(echo, batch_polls=10_000) as twin:
        first = Batched(a_clerk(twin), pace=QUICK)
        asked = a_purse(store).metered(first, commission=commission.id)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(asked.reply, a_prompt())
            while not any(call.details for call in store.calls()):
                time.sleep(0.01)
            first.close()
            with pytest.raises(ModelError) as caught:
                waiting.result()
        assert caught.value.kind is CallFailure.UNDER_WAY
        (call,) = store.calls()
        assert call.state is CallState.RESERVED
        assert store.abandon_calls(at=time.time() + 1, without="batch") == []
        twin.batches.finish()
        second = a_purse(store).metered(
            Batched(a_clerk(twin), pace=QUICK), commission=commission.id
        )
        assert second.reply(a_prompt("Put otherwise, for the run has gone on.")).text == (
            "Say a word."
        )
        (call,) = store.calls()
        assert call.state is CallState.SETTLED
        assert store.spending().reserved_usd == 0
        assert len(twin.ledger()) == 1


def test_what_was_handed_in_and_is_asked_for_no_more_is_charged(store):
    commission = store.open_commission(operator="mutator", parents=(), rng_seed=1, at=time.time())
    with Twin(echo, batch_polls=10_000) as twin:
        first = Batched(a_clerk(twin), pace=QUICK)
        asked = a_purse(store).metered(first, commission=commission.id)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(asked.reply, a_prompt())
            while not any(call.details for call in store.calls()):
                time.sleep(0.01)
            first.close()
            assert isinstance(waiting.exception(), ModelError)
        twin.batches.finish()
        twin.batches.polls = 0
        again = a_purse(store).metered(Batched(a_clerk(twin), pace=QUICK), commission.id)
        assert again.reply(dataclasses.replace(a_prompt("Other."), template="new")).text == "Other."
    states = [call.state for call in store.calls()]
    assert states == [CallState.ABANDONED, CallState.SETTLED]
    assert store.spending().reserved_usd == 0
