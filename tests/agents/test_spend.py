"""Money: the limit is never passed, nothing is paid twice, and the books are the provider's."""

import contextlib
import dataclasses
import itertools
import json
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agents import (
    CallFailure,
    Message,
    ModelError,
    Price,
    PriceError,
    Prices,
    Purse,
    Reply,
    Tool,
    ToolResult,
    ToolUse,
    Usage,
    forecast,
    limit_of,
)
from agents.secrets import Secrets
from population import Call, CallState, CommissionState, RoleSpending, Spending, Store
from tests.agents.providers import PRICE, PRICES, Provider, ask
from tests.builders import NOW, a_run, a_variant

ROOT = Path(__file__).parents[2]
KEY = "sk-ant-0123456789abcdef"
ROOMY = 1000.0


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "run.db", a_run()) as store:
        yield store


def a_purse(store, *, limit_usd=ROOMY, environment=None, clock=None):
    ticks = itertools.count(NOW)
    return Purse(
        store,
        PRICES,
        limit_usd=limit_usd,
        clock=clock or (lambda: next(ticks)),
        environment=environment or {},
    )


def pledged(store):
    spending = store.spending()
    return spending.spent_usd + spending.reserved_usd


def test_a_reply_is_stored_whole_with_what_was_asked_and_its_true_cost(store):
    provider = Provider()
    tool = Tool("submit", "Hand it in.", {"type": "object"})
    prompt = ask(answer=tool)
    reply = a_purse(store).metered(provider).reply(prompt)
    (call,) = store.calls(with_texts=True)
    assert (reply.call, reply.cost_usd) == (call.id, PRICE.cost_usd(provider.ledger[0]))
    assert (call.state, call.cost_usd, call.reply) == (CallState.SETTLED, reply.cost_usd, "reply 1")
    assert (call.system, call.prompt) == (("contract", "role"), "Improve it.")
    assert json.loads(call.tools)[0]["name"] == "submit"
    assert (call.template, call.request_id, call.stop_reason) == ("t1", "req-1", "tool_use")
    assert call.tool_uses[0]["arguments"] == {"n": 1, "deep": {"a": [1]}}
    assert call.latency_seconds == 1.0


def test_a_call_is_reserved_on_disk_before_it_is_made(store, tmp_path):
    class Looking(Provider):
        def reply(self, prompt):
            with Store.open(tmp_path / "run.db", read_only=True) as other:
                self.seen = other.calls()
            return super().reply(prompt)

    provider = Looking()
    a_purse(store).metered(provider).reply(ask())
    (seen,) = provider.seen
    assert seen.state is CallState.RESERVED
    assert seen.reserved_usd == PRICE.worst_usd(ask())


def test_at_the_limit_nothing_is_sent(store):
    worst = PRICE.worst_usd(ask())
    provider = Provider()
    metered = a_purse(store, limit_usd=worst * 0.99).metered(provider)
    with pytest.raises(ModelError, match=r"may cost \$.*limit of \$.*Raise limit_usd") as refused:
        metered.reply(ask())
    assert refused.value.kind is CallFailure.OUT_OF_MONEY
    assert provider.asked == []
    assert store.calls() == []
    a_purse(store, limit_usd=worst).metered(provider).reply(ask())
    assert pledged(store) <= worst


def test_sixteen_calls_in_flight_never_pass_the_limit_and_the_books_agree_to_the_token(store):
    provider = Provider(seed=5)
    limit = PRICE.worst_usd(ask()) * 40
    purse = a_purse(store, limit_usd=limit, clock=lambda: NOW)
    metered = purse.metered(provider)

    def work(_thread):
        sums = []
        for _ in range(10):
            with contextlib.suppress(ModelError):  # from some call on: out of money
                metered.reply(ask())
            sums.append(pledged(store))
        return sums

    with ThreadPoolExecutor(16) as pool:
        sums = [each for thread in pool.map(work, range(16)) for each in thread]
    assert max(sums) <= limit
    assert 40 <= len(provider.ledger) < 160
    assert_same_books(store, provider)
    assert store.spending().reserved_usd == 0.0


def assert_same_books(store, provider):
    (role,) = store.spending().roles
    fields = [f.name for f in dataclasses.fields(Usage)]
    for name in fields:
        assert getattr(role, name) == sum(getattr(usage, name) for usage in provider.ledger)
    dollars = sum(PRICE.cost_usd(usage) for usage in provider.ledger)
    assert role.spent_usd == pytest.approx(dollars, rel=1e-12)


SPENDING = """
import sys, time
from agents import ModelError, Purse
from pathlib import Path
from population import Store
from tests.agents.providers import PRICES, Provider, ask

path, books, limit, seed = sys.argv[1:]
with Store.open(path) as store:
    purse = Purse(store, PRICES, limit_usd=float(limit), clock=time.time, environment={})
    metered = purse.metered(Provider(books=Path(books), seed=int(seed)))
    try:
        while True:
            metered.reply(ask())
    except ModelError as error:
        sys.exit(str(error.kind) != "out_of_money")
"""


def test_several_processes_never_pass_the_limit(store, tmp_path):
    limit, books = PRICE.worst_usd(ask()) * 20, tmp_path / "books.jsonl"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDING, str(tmp_path / "run.db"), str(books), str(limit), n],
            cwd=ROOT,
        )
        for n in "123"
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    billed = [Usage(**json.loads(line)) for line in books.read_text().splitlines()]
    dollars = sum(map(PRICE.cost_usd, billed))
    assert len(billed) == len(store.calls()) >= 20
    assert store.spending().spent_usd == pytest.approx(dollars)
    assert limit - PRICE.worst_usd(ask()) < store.spending().spent_usd <= limit


KILLED = """
import os, signal, sys
from agents import Message, Purse
from pathlib import Path
from population import Store
from tests.agents.providers import PRICES, Provider, ask

class Doomed(Provider):
    def reply(self, prompt):
        reply = super().reply(prompt)  # it is in the provider's books now
        if len(self.asked) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return reply

store = Store.open(sys.argv[1])
commission = store.open_commission("mutator", parents=[], rng_seed=1, at=5.0)
purse = Purse(store, PRICES, limit_usd=float(sys.argv[3]), clock=lambda: 5.0, environment={})
metered = purse.metered(Doomed(books=Path(sys.argv[2])), commission.id)
for turn in range(4):
    metered.reply(ask(f"turn {turn}"))
"""


def test_a_process_killed_between_reply_and_settlement_is_charged_and_nothing_is_paid_twice(
    store, tmp_path
):
    books, limit = tmp_path / "books.jsonl", PRICE.worst_usd(ask("turn 0")) * 6
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run.db"), str(books), str(limit)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL

    states = [call.state for call in store.calls()]
    assert states == [CallState.SETTLED, CallState.SETTLED, CallState.RESERVED]
    assert store.abandon_calls(NOW) == [3]
    billed = [PRICE.cost_usd(Usage(**json.loads(line))) for line in books.read_text().splitlines()]
    assert len(billed) == 3
    assert sum(billed) <= pledged(store) <= limit
    assert store.calls()[2].cost_usd == PRICE.worst_usd(ask("turn 2"))

    # The next sitting takes the commission up again: two replies are there, two are to be paid.
    (commission,) = store.commissions(CommissionState.OPEN)
    spent = store.spending().spent_usd
    provider = Provider()
    metered = a_purse(store, limit_usd=limit).metered(provider, commission.id)
    again = [metered.reply(ask(f"turn {turn}")) for turn in range(2)]
    assert [reply.text for reply in again] == ["reply 1", "reply 2"]
    assert (provider.asked, store.spending().spent_usd) == ([], spent)
    assert [metered.reply(ask(f"turn {turn}")).text for turn in (2, 3)] == ["reply 1", "reply 2"]
    assert [call.ordinal for call in store.calls()] == [0, 1, 2, 3, 4]
    assert pledged(store) <= limit


def test_a_reply_given_again_is_the_reply_that_was_paid(store):
    commission = store.open_commission("mutator", parents=[], rng_seed=1, at=NOW).id
    purse = a_purse(store)
    paid = purse.metered(Provider(), commission).reply(ask())
    again = purse.metered(Provider(), commission).reply(ask())
    assert again == paid
    assert again.message() == paid.message()


def test_another_question_is_not_given_an_old_reply(store):
    commission = store.open_commission("mutator", parents=[], rng_seed=1, at=NOW).id
    purse = a_purse(store)
    first = purse.metered(Provider(), commission)
    first.reply(ask())
    first.reply(ask())
    provider = Provider()
    metered = purse.metered(provider, commission)
    metered.reply(ask(template="t2"))
    metered.reply(ask())
    assert len(provider.asked) == 2


IDEAS, CODE = (Tool(name, "Hand in.", {"type": "object"}) for name in ("ideas", "code"))


def test_a_paid_reply_stands_though_an_upgrade_has_edited_the_prompt_files(store):
    commission = store.open_commission("mutator", parents=[], rng_seed=1, at=NOW).id
    purse = a_purse(store)
    paid = purse.metered(Provider(), commission).reply(ask(answer=CODE, template="t1"))
    provider = Provider()
    again = purse.metered(provider, commission).reply(ask(answer=CODE, template="t2"))
    assert (again, provider.asked) == (paid, [])


def test_the_reply_of_one_step_is_not_taken_for_that_of_another(store):
    commission = store.open_commission("mutator", parents=[], rng_seed=1, at=NOW).id
    purse = a_purse(store)
    first = purse.metered(Provider(), commission)
    first.reply(ask(answer=IDEAS))
    first.reply(ask(answer=CODE))
    provider = Provider(["corrected"])
    metered = purse.metered(provider, commission)
    assert metered.reply(ask(answer=IDEAS)).text == "reply 1"
    assert metered.reply(ask(answer=IDEAS)).text == "corrected"  # not the stored code
    assert len(provider.asked) == 1


def test_a_closed_commission_leaves_nothing_set_aside(store):
    commission = store.open_commission("mutator", parents=[], rng_seed=1, at=NOW).id
    call = Call("mutator", "m", "p", "", NOW, commission=commission, reserved_usd=0.25)
    store.reserve_call(call, limit_usd=None)
    store.reserve_call(dataclasses.replace(call, commission=None), limit_usd=None)
    store.close_commission(commission, CommissionState.REFUSED, reason="no use")
    assert [one.state for one in store.calls()] == [CallState.ABANDONED, CallState.RESERVED]
    assert (store.spending().spent_usd, store.spending().reserved_usd) == (0.25, 0.25)


@pytest.mark.parametrize("kind", [kind for kind in CallFailure if kind.was_sent])
def test_a_failure_is_stored_with_its_class_and_charged_only_if_it_may_be_billed(store, kind):
    metered = a_purse(store).metered(Provider([ModelError("It broke.", kind, text="half a")]))
    with pytest.raises(ModelError, match="It broke"):
        metered.reply(ask())
    (call,) = store.calls()
    assert (call.state, call.failure, call.reply) == (CallState.FAILED, kind.value, "half a")
    assert call.details == {"error": "It broke."}
    assert call.cost_usd == (PRICE.worst_usd(ask()) if kind.may_be_billed else 0.0)
    assert store.spending().reserved_usd == 0.0


def test_a_failure_with_known_tokens_is_charged_at_those(store):
    usage = Usage(input_tokens=100, output_tokens=50)
    provider = Provider([ModelError("Cut.", CallFailure.CUT_OFF, usage=usage)])
    with pytest.raises(ModelError):
        a_purse(store).metered(provider).reply(ask())
    assert_same_books(store, provider)
    assert store.calls()[0].cost_usd == PRICE.cost_usd(usage)


def test_a_call_that_was_never_sent_leaves_no_row(store):
    metered = a_purse(store).metered(Provider([ModelError("Resting.", CallFailure.RESTING)]))
    with pytest.raises(ModelError) as refused:
        metered.reply(ask())
    assert refused.value.kind is CallFailure.RESTING
    assert (store.calls(), pledged(store)) == ([], 0.0)


def test_a_thread_that_breaks_off_is_charged_at_the_worst_case(store):
    metered = a_purse(store).metered(Provider([KeyboardInterrupt()]))
    with pytest.raises(KeyboardInterrupt):
        metered.reply(ask())
    (call,) = store.calls()
    assert (call.failure, call.cost_usd) == ("abandoned", PRICE.worst_usd(ask()))


def test_a_failure_that_may_be_billed_is_not_asked_again_by_the_next_sitting(store):
    commission = store.open_commission("mutator", parents=[], rng_seed=1, at=NOW).id
    script = [ModelError("Late.", CallFailure.TIMED_OUT), ModelError("Full.", CallFailure.SERVER)]
    first = a_purse(store).metered(Provider(script), commission)
    for _ in script:
        with pytest.raises(ModelError):
            first.reply(ask())
    provider = Provider()
    metered = a_purse(store).metered(provider, commission)
    with pytest.raises(ModelError, match=r"Late\. \(as in the sitting before\)") as told:
        metered.reply(ask())
    assert (told.value.kind, provider.asked) == (CallFailure.TIMED_OUT, [])
    assert metered.reply(ask()).text == "reply 1"  # the unbilled one may be asked anew


def test_keys_of_the_environment_reach_neither_provider_nor_store_nor_genome(store, tmp_path):
    environment = {"ANTHROPIC_API_KEY": KEY, "PATH": "/usr/bin", "OPENAI_API_KEY": "short"}
    leaky = Reply(f"echo {KEY}", native=[{"text": f"<{KEY}>", KEY: math_nan()}])
    broken = ModelError(f"401: key {KEY} is wrong", CallFailure.UNAUTHORISED, text=KEY)
    provider = Provider([leaky, broken])
    metered = a_purse(store, environment=environment).metered(provider)
    tool = Tool("submit", f"not {KEY}", {"default": KEY})
    prompt = ask(f"The output says {KEY}", system=(f"rules {KEY}",), tools=(tool,))
    reply = metered.reply(prompt)
    with pytest.raises(ModelError) as told:
        metered.reply(
            dataclasses.replace(prompt, messages=(*prompt.messages, Message("user", KEY)))
        )
    assert KEY not in repr(provider.asked)
    assert KEY not in repr(reply)
    assert reply.text == "echo [ANTHROPIC_API_KEY]"
    assert KEY not in repr((told.value.args, told.value.text, told.value.__cause__))
    assert "/usr/bin" not in repr(store.calls())
    store.close()
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()


def test_secrets_are_found_under_any_name_that_is_given_and_within_headers(store):
    pat, header, token = "ghp-0123456789", "header-0123456789", "token-0123456789"
    environment = {
        "GH_PAT": pat,
        "OPENAI_CUSTOM_HEADERS": f"X-Gateway: {header}\nAuthorization: Bearer {token}",
    }
    leaky = Reply(f"{pat} {header} {token}")
    assert Secrets(environment, ("GH_PAT",)).reply(leaky).text == (
        "[GH_PAT] [OPENAI_CUSTOM_HEADERS] [OPENAI_CUSTOM_HEADERS]"
    )
    assert pat in Secrets(environment).reply(leaky).text
    purse = Purse(
        store,
        PRICES,
        limit_usd=ROOMY,
        clock=lambda: NOW,
        environment=environment,
        secret_names=("GH_PAT",),
    )
    purse.metered(Provider([leaky])).reply(ask())
    (call,) = store.calls(with_texts=True)
    assert not any(secret in repr(call) for secret in (pat, header, token))


def math_nan():
    return float("nan")


def test_a_reply_that_no_database_takes_is_kept_readable(store):
    reply = a_purse(store).metered(Provider(["lone \ud800 and \0 nul"])).reply(ask())
    assert reply.text == store.calls()[0].reply == "lone ? and ? nul"


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "reply",
    [
        Reply("", tool_uses=(ToolUse("1", "submit", {"edits": nested(5_000)}),)),
        Reply("", native=nested(5_000)),
        Reply("", tool_uses=(ToolUse("1", "submit", None),)),
    ],
    ids=["deep arguments", "deep turn", "no arguments"],
)
def test_a_reply_that_cannot_be_kept_is_a_failure_that_is_paid_and_leaves_nothing_reserved(
    store, reply
):
    provider = Provider([reply])
    with pytest.raises(ModelError, match="cannot be kept") as caught:
        a_purse(store).metered(provider).reply(ask())
    assert caught.value.kind is CallFailure.MALFORMED
    (call,) = store.calls()
    assert (call.state, call.failure) == (CallState.FAILED, "malformed")
    assert call.cost_usd == PRICE.cost_usd(provider.ledger[0])
    assert store.spending().reserved_usd == 0.0


def test_every_text_of_a_reply_can_be_kept_whatever_it_holds(store):
    odd = "a\ud800b"
    use = ToolUse(odd, odd, {odd: odd})
    given = Reply(odd, stop_reason=odd, tool_uses=(use,), model=odd, request_id=odd, native=odd)
    metered = a_purse(store).metered(Provider([given]))
    reply = metered.reply(ask())
    assert reply.tool_uses == (ToolUse("a?b", "a?b", {"a?b": "a?b"}),)
    assert (reply.stop_reason, reply.model, reply.request_id) == ("a?b",) * 3
    (call,) = store.calls()
    assert (call.state, call.stop_reason, call.request_id) == (CallState.SETTLED, "a?b", "a?b")
    told = Message("user", "Go on.", tool_results=(ToolResult(odd, "done"),))
    turns = (*ask().messages, Reply("", tool_uses=(use,)).message(), told)
    assert metered.reply(ask(messages=turns)).text == "reply 2"


def test_a_model_without_a_price_is_refused_before_it_is_asked(store):
    provider = Provider()
    provider.name = "claude-unheard-of"
    with pytest.raises(PriceError, match=r"no price in the list of 2026-11-24.*\[agents.prices\]"):
        a_purse(store).metered(provider)


def test_a_conversation_stores_its_turns_once(store, tmp_path):
    metered = a_purse(store).metered(Provider())
    messages = [Message("user", "a long question " * 50)]
    for _ in range(4):
        reply = metered.reply(ask(messages=tuple(messages)))
        messages += [reply.message(), Message("user", "and then?")]
    last = store.calls(with_texts=True)[-1]
    assert last.earlier[0].startswith("user: a long question")
    assert last.earlier[1].startswith("assistant: reply 1")
    database = sqlite3.connect(tmp_path / "run.db")
    assert database.execute(
        "SELECT count(*) FROM texts WHERE text LIKE '%long question%'"
    ).fetchone() == (1,)
    database.close()


# Prices


def test_the_dearest_reading_and_the_longest_reply_are_the_worst_case():
    prompt = ask("å" * 100)
    worst = PRICE.worst_usd(prompt)
    assert worst > (200 * 3.75 + 500 * 15.0) / 1e6
    assert dataclasses.replace(PRICE, cache_read=30.0).worst_usd(prompt) > worst


def test_a_long_prompt_has_its_own_price():
    long = Price(input=6.0, output=30.0, cache_read=0.6, cache_write=7.5)
    price = dataclasses.replace(PRICE, above_tokens=1000, long=long)
    assert price.cost_usd(Usage(900, 10, 100)) == PRICE.cost_usd(Usage(900, 10, 100))
    assert price.cost_usd(Usage(900, 10, 101)) == long.cost_usd(Usage(900, 10, 101))
    assert price.worst_usd(ask()) == long.worst_usd(ask())


def test_the_standard_list_has_a_date_a_source_and_prices_in_order():
    prices = Prices.standard()
    assert prices.as_of.isoformat() == "2026-10-24"
    assert prices.source.startswith("https://")
    for price in prices.models.values():
        assert 0 < price.cache_read < price.input < price.cache_write < price.output
    assert prices.of("claude-opus-4-5-20251101") == prices.of("claude-opus-4-5")


def test_settings_put_a_price_in_the_place_of_the_lists():
    own = Prices.standard().changed({"claude-opus-5": {"input": 1, "output": 2}})
    assert own.of("claude-opus-5") == Price(1.0, 2.0, 1.0, 1.0)
    assert own.of("claude-opus-4-8") == Prices.standard().of("claude-opus-4-8")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (3, "a table of"),
        ({"input": 3.0}, "output = None"),
        ({"input": "3", "output": 1}, "input = '3'"),
        ({"input": -1, "output": 1}, "input = -1"),
        ({"input": float("nan"), "output": 1}, "input = nan"),
        ({"input": 1, "output": 1, "inptu": 2}, "has inptu"),
        ({"input": 1, "output": 1, "long": {"input": 1, "output": 2}}, "above_tokens"),
    ],
)
def test_a_price_that_is_none_is_an_error(entry, problem):
    with pytest.raises(PriceError, match=problem):
        Prices.standard().changed({"mine": entry})


@pytest.mark.parametrize("text", ["as_of = ", "as_of = 'today'\n[models]", "[models]"])
def test_a_price_list_needs_its_form(text):
    with pytest.raises(PriceError, match="price list"):
        Prices.read(text)


# Forecast


def spending_of(**changes):
    return Spending(**({"spent_usd": 2.0, "reserved_usd": 0.5, "variant_count": 4} | changes))


def test_a_forecast_follows_the_pace_of_the_run():
    found = forecast(spending_of(), limit_usd=10.0, elapsed_seconds=3600)
    assert (found.usd_per_variant, found.usd_per_hour) == (0.5, 2.0)
    assert found.seconds_left == pytest.approx(7.5 / 2.0 * 3600)


def test_a_forecast_is_silent_about_what_it_cannot_know():
    nothing = forecast(Spending(), limit_usd=10.0, elapsed_seconds=0.0)
    assert (nothing.usd_per_variant, nothing.usd_per_hour, nothing.seconds_left) == (None,) * 3
    assert forecast(spending_of(), limit_usd=None, elapsed_seconds=60).seconds_left is None
    assert forecast(spending_of(), limit_usd=2.5, elapsed_seconds=60).seconds_left == 0.0


def test_a_limit_that_was_changed_since_stands_before_the_settings(store):
    record = dataclasses.replace(store.run(), settings={"agents": {"limit_usd": 10}})
    assert limit_of(store, record) == 10.0
    store.set_fact("limit_usd", 25.5)
    assert limit_of(store, record) == 25.5
    assert limit_of(store, dataclasses.replace(record, settings={})) == 25.5


def test_spending_names_the_variants_of_each_role(store):
    store.add_variant(a_variant())
    commission = store.open_commission("mutator", parents=[], rng_seed=1, at=NOW).id
    a_purse(store).metered(Provider(), commission).reply(ask())
    store.close_commission(commission, CommissionState.BORN, variant=a_variant().sha)
    (role,) = store.spending().roles
    assert isinstance(role, RoleSpending)
    assert (role.variants, role.variant_count) == ((a_variant().sha,), 1)
