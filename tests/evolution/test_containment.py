import pytest

from evolution.config import ConfigError, EvolutionConfig
from evolution.containment import ContainmentError, choose_level, remedy
from evolution.doctor.containment import containment_finding
from evolution.doctor.finding import Level as Standing
from evolution.sandbox.levels import Level, LevelReport

NOTHING = LevelReport(
    Level.BASIC, {Level.NAMESPACE: "no bwrap", Level.LANDLOCK: "the kernel\x1b[2J has none"}
)
LANDLOCK = LevelReport(Level.LANDLOCK, {Level.NAMESPACE: "no bwrap", Level.LANDLOCK: ""})
WHOLE = LevelReport(Level.NAMESPACE, {Level.NAMESPACE: "", Level.LANDLOCK: ""})


def settings(level="auto"):
    return EvolutionConfig.from_mapping({"sandbox": {"level": level}})


def chosen(report, level="auto", *, allow_unsafe=False):
    return choose_level(
        settings(level),
        allow_unsafe=allow_unsafe,
        find=lambda: report,
        reason_against=lambda asked: report.reasons.get(asked, ""),
    )


@pytest.mark.parametrize("report", [LANDLOCK, WHOLE])
def test_the_strongest_level_that_works_is_taken(report):
    assert chosen(report) is report.level
    assert chosen(report, allow_unsafe=True) is report.level


def test_a_weaker_box_may_be_asked_for():
    assert chosen(WHOLE, "landlock") is Level.LANDLOCK


def test_without_any_box_a_run_is_refused_with_reasons_and_a_way_on():
    with pytest.raises(ContainmentError) as refused:
        chosen(NOTHING)
    said = str(refused.value)
    assert "namespace: no bwrap; landlock: the kernel has none" in said
    assert remedy() in said
    assert "--allow-unsafe" in said
    assert refused.value.exit_code == 2
    assert chosen(NOTHING, allow_unsafe=True) is Level.BASIC


def test_asking_for_no_box_is_refused_too_unless_it_is_allowed():
    with pytest.raises(ContainmentError, match="no box at all"):
        chosen(WHOLE, "basic")
    assert chosen(WHOLE, "basic", allow_unsafe=True) is Level.BASIC


def test_a_level_asked_for_is_kept_or_refused_never_weakened():
    with pytest.raises(ContainmentError, match="'namespace', which does not work here: no bwrap"):
        chosen(LANDLOCK, "namespace", allow_unsafe=True)


@pytest.mark.parametrize(
    ("report", "level", "standing"),
    [
        (WHOLE, "auto", Standing.OK),
        (LANDLOCK, "auto", Standing.WARNING),
        (LANDLOCK, "landlock", Standing.WARNING),
        (LANDLOCK, "namespace", Standing.PROBLEM),
        (NOTHING, "auto", Standing.PROBLEM),
        (WHOLE, "basic", Standing.PROBLEM),
    ],
)
def test_the_doctor_says_what_a_run_would_get(report, level, standing):
    finding = containment_finding(report, settings(level))
    assert finding.level is standing
    assert finding.facts["level"] == report.level.value
    assert bool(finding.remedy) == (standing is not Standing.OK)


def test_scores_of_a_script_are_what_it_prints():
    task = {"files": ["fit.py"], "metric": "loss"}
    assert EvolutionConfig.from_mapping({"task": task}).scoring.mode == "reported"
    with pytest.raises(ConfigError, match="what it prints"):
        EvolutionConfig.from_mapping({"task": task, "scoring": {"mode": "trusted"}})
    assert EvolutionConfig.from_mapping({}).scoring.mode == "trusted"


def test_a_champion_is_never_audited_less_than_others():
    with pytest.raises(ConfigError, match="raise champion_probes"):
        EvolutionConfig.from_mapping({"scoring": {"probes": 5000}})
