import os

from evolution import keys


def test_keys_are_out_of_the_environment_and_back_at_the_end(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted")
    with keys.hidden():
        assert "ANTHROPIC_API_KEY" not in os.environ
        assert keys.environment()["ANTHROPIC_API_KEY"] == "planted"
        with keys.shown():
            assert os.environ["ANTHROPIC_API_KEY"] == "planted"
        assert "ANTHROPIC_API_KEY" not in os.environ
    assert os.environ["ANTHROPIC_API_KEY"] == "planted"


def test_everything_else_stays(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    with keys.hidden():
        assert os.environ["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"


def test_a_key_that_a_setting_names_is_taken_out_too_and_given_back(monkeypatch):
    monkeypatch.setenv("AGENT_KEY", "planted")
    with keys.hidden():
        give_back = keys.hold("AGENT_KEY")
        keys.hold("AGENT_KEY")  # a second model has the same one
        assert "AGENT_KEY" not in os.environ
        assert keys.environment()["AGENT_KEY"] == "planted"
        with keys.shown():
            assert os.environ["AGENT_KEY"] == "planted"
        give_back()
        assert os.environ["AGENT_KEY"] == "planted"
        keys.hold("AGENT_KEY")  # and a run that never says that it is over
    assert os.environ["AGENT_KEY"] == "planted"
    assert "AGENT_KEY" not in keys._held
