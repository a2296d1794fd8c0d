"""The circuit breaker, on a clock of its own."""

import threading

import pytest

from agents import CallFailure, Message, ModelError, Prompt, Reply, ScriptedModel
from agents.breaker import Breaker

PROMPT = Prompt("mutator", ("Be brief.",), (Message("user", "Say a word."),))
FINE = Reply("Word.")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def failed(kind: CallFailure = CallFailure.OVERLOADED, after: float | None = None) -> ModelError:
    return ModelError("planted", kind, retry_after=after)


def a_breaker(*script, **changes) -> tuple[Breaker, ScriptedModel, Clock]:
    model, clock = ScriptedModel(script), Clock()
    return Breaker(model, **({"failures": 3, "clock": clock} | changes)), model, clock


def outcome(breaker: Breaker) -> str:
    try:
        return breaker.reply(PROMPT).text
    except ModelError as error:
        return error.kind


def test_failures_in_a_row_open_it_and_then_nobody_is_asked():
    breaker, model, _ = a_breaker(*[failed()] * 3, FINE)
    assert [outcome(breaker) for _ in range(5)] == ["overloaded"] * 3 + ["resting"] * 2
    assert len(model.asked) == 3
    assert breaker.rest_seconds == 30
    assert breaker.name == "scripted"


def test_a_reply_between_failures_begins_the_count_anew():
    breaker, model, _ = a_breaker(failed(), failed(), FINE, failed(), failed(), FINE)
    for _ in range(6):
        outcome(breaker)
    assert len(model.asked) == 6
    assert breaker.rest_seconds == 0


def test_after_the_pause_one_call_tries_and_its_reply_closes_the_breaker():
    breaker, _, clock = a_breaker(*[failed()] * 3, FINE, FINE)
    for _ in range(3):
        outcome(breaker)
    clock.now += 29
    assert outcome(breaker) == "resting"
    clock.now += 1
    assert [outcome(breaker), outcome(breaker)] == ["Word.", "Word."]


def test_pauses_double_until_the_longest_and_an_hour_without_the_model_costs_few_tries():
    breaker, model, clock = a_breaker(*[failed(CallFailure.UNREACHABLE)] * 99, longest_seconds=600)
    end = clock.now + 3_600
    while clock.now < end:
        outcome(breaker)
        clock.now += 5
    assert len(model.asked) == 3 + 9  # after 30, 60, 120, 240, 480 s, then every 600
    assert 0 < breaker.rest_seconds <= 600


def test_after_it_has_closed_the_first_pause_is_short_again():
    breaker, _, clock = a_breaker(*[failed()] * 3, failed(), FINE, *[failed()] * 3)
    for pause in (0, 0, 0, 30, 60, 0, 0, 0):
        clock.now += pause
        outcome(breaker)
    assert breaker.rest_seconds == 30


def test_what_the_provider_asks_for_is_kept_even_if_it_is_longer_than_the_longest():
    breaker, model, clock = a_breaker(failed(CallFailure.RATE_LIMITED, after=5_000), FINE)
    assert outcome(breaker) == "rate_limited"
    clock.now += 4_999
    with pytest.raises(ModelError) as caught:
        breaker.reply(PROMPT)
    assert caught.value.kind is CallFailure.RESTING
    assert caught.value.retry_after == pytest.approx(1)
    clock.now += 1
    assert outcome(breaker) == "Word."
    assert len(model.asked) == 2


def test_a_short_wait_that_the_provider_asks_for_stays_short():
    breaker, _, clock = a_breaker(failed(CallFailure.RATE_LIMITED, after=2), FINE)
    assert outcome(breaker) == "rate_limited"
    clock.now += 1
    assert outcome(breaker) == "resting"
    clock.now += 1
    assert outcome(breaker) == "Word."


def test_a_wrong_key_opens_it_at_once():
    breaker, _, _ = a_breaker(failed(CallFailure.UNAUTHORISED), FINE)
    assert [outcome(breaker), outcome(breaker)] == ["unauthorised", "resting"]


def test_a_run_without_money_says_nothing_about_the_model():
    breaker, model, _ = a_breaker(*[failed(CallFailure.OUT_OF_MONEY)] * 9, FINE)
    assert [outcome(breaker) for _ in range(9)] == ["out_of_money"] * 9
    assert outcome(breaker) == "Word."
    assert len(model.asked) == 10


class Waiting:
    """A model that answers when it is told to, and fails before."""

    name = "waiting"

    def __init__(self) -> None:
        self.is_down = True
        self.asked = 0
        self.begun, self.go_on = threading.Event(), threading.Event()

    def reply(self, _prompt: Prompt) -> Reply:
        self.asked += 1
        if self.is_down:
            raise failed()
        self.begun.set()
        assert self.go_on.wait(10)
        return FINE


def test_of_sixteen_threads_one_tries_and_the_rest_are_refused_meanwhile():
    model, clock = Waiting(), Clock()
    breaker = Breaker(model, failures=1, clock=clock)
    assert outcome(breaker) == "overloaded"
    clock.now += 30
    model.is_down = False
    found: list[str] = []
    first = threading.Thread(target=lambda: found.append(outcome(breaker)))
    first.start()
    assert model.begun.wait(10)
    rest = [threading.Thread(target=lambda: found.append(outcome(breaker))) for _ in range(15)]
    for thread in rest:
        thread.start()
    for thread in rest:
        thread.join()
    model.go_on.set()
    first.join()
    assert sorted(found) == ["Word."] + ["resting"] * 15
    assert model.asked == 2


def test_a_trial_that_was_never_sent_leaves_the_door_to_the_next():
    breaker, _, clock = a_breaker(failed(), failed(CallFailure.OUT_OF_MONEY), FINE, failures=1)
    assert outcome(breaker) == "overloaded"
    clock.now += 30
    assert [outcome(breaker), outcome(breaker)] == ["out_of_money", "Word."]


class Gated:
    """A model each of whose calls fails when its gate is opened."""

    name = "gated"

    def __init__(self, calls: int) -> None:
        self.gates = [threading.Event() for _ in range(calls)]
        self.in_flight = threading.Semaphore(0)
        self.numbers = iter(range(calls))

    def reply(self, _prompt: Prompt) -> Reply:
        gate = self.gates[next(self.numbers)]
        self.in_flight.release()
        assert gate.wait(10)
        raise failed()


def test_a_call_that_began_before_it_opened_does_not_lengthen_the_pause():
    model, clock = Gated(2), Clock()
    breaker = Breaker(model, failures=1, clock=clock)
    threads = [threading.Thread(target=outcome, args=(breaker,)) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert model.in_flight.acquire(timeout=10)
    rests = []
    for gate, thread in zip(model.gates, threads, strict=True):
        gate.set()
        thread.join()
        clock.now += 20
        rests.append(breaker.rest_seconds)
    assert rests == [10, 0]
