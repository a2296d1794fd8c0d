"""Models by the settings of a run: each kind behind its own door."""

import itertools
import sys

import pytest

from agents import Message, Prompt
from evolution.agent_settings import AgentSettings
from evolution.models import Models, ModelSettingsError, check_models
from evolution.operators import built_in
from evolution.sitting import staff_of
from population import CallState, EvolveError, Store
from tests.agents.chat_server import ChatServer, saying
from tests.evolution.runs import an_engine
from tests.evolution.staffs import block
from tests.evolution.test_commissions import asked_run, waiting

FREE = {"input": 0.0, "output": 0.0}
PROMPT = Prompt("mutator", ("Be brief.",), (Message("user", "Say a word."),))


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def openai_settings(url: str = "", **changes) -> AgentSettings:
    fields = {"model": "small-1", "prices": {"small-1": FREE}, "base_url": url} | changes
    return AgentSettings(kind="openai", limit_usd=1.0, **fields)


def test_every_role_of_an_openai_run_asks_the_server_of_the_settings():
    pytest.importorskip("openai")
    with ChatServer(saying("A word.")) as server:
        models = Models(openai_settings(server.url, effort="low"), clock=lambda: 0.0)
        assert models.of("mutator") is models.of("librarian")  # the small one by default, too
        assert models.of("mutator").reply(PROMPT).text == "A word."
        assert server.asked[0]["reasoning_effort"] == "low"
        models.close()


def test_a_model_of_an_openai_run_needs_a_name_a_key_and_a_price():
    pytest.importorskip("openai")
    assert check_models(openai_settings("http://127.0.0.1:1/v1")) == ["small-1"]
    with pytest.raises(EvolveError, match="Name one"):
        check_models(openai_settings("http://127.0.0.1:1/v1", model=""))
    with pytest.raises(EvolveError, match="export OPENAI_API_KEY"):
        check_models(openai_settings())
    with pytest.raises(EvolveError, match="no price"):
        check_models(openai_settings("http://127.0.0.1:1/v1", prices={}))


def test_a_run_on_a_server_of_chat_completions_is_booked_to_the_token(tmp_path):
    pytest.importorskip("openai")
    numbers = itertools.count(1)

    def author(request: dict) -> list:
        number = next(numbers)
        if "submit_reading" in str(request["tools"]):  # the critic, who is answered in words
            text = 'So it is: {"explanation": "It holds.", "suspects": []}'
        else:
            text = block(request["messages"][1]["content"], number)
        return saying(text, usage={"prompt_tokens": 1000 + number, "completion_tokens": number})

    paths = asked_run(tmp_path, agents__kind="openai", agents__model="small-1")
    with ChatServer(author) as server:
        settings = paths.settings.read_text().replace('base_url = ""', f'base_url = "{server.url}"')
        prices = "[agents.prices.small-1]\ninput = 1.0\noutput = 2.0\n"
        paths.settings.write_text(settings.replace("[stopping]", f"{prices}\n[stopping]"))
        options = {"after_turn": waiting, "operators": built_in(), "staff": staff_of}
        with an_engine(paths, **options) as (engine, _, _):
            engine.run()
        count = server.billed
    with Store.open(paths.database, read_only=True) as store:
        calls = store.calls()
        assert all(call.state is CallState.SETTLED for call in calls)
        assert sum(call.output_tokens for call in calls) == count * (count + 1) // 2
        tokens = sum(call.input_tokens + 2 * call.output_tokens for call in calls)
        assert store.spending().spent_usd == pytest.approx(tokens / 1e6)
        assert {v.operator for v in store.variants()} & {"mutator", "crossover"}


def test_without_its_package_an_openai_run_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "agents.openai", raising=False)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ModelSettingsError, match=r"evoresearch\[openai\]"):
        check_models(openai_settings("http://127.0.0.1:1/v1"))
