"""The manual of a run: what it is checked against, and what an edit does to a live run."""

import dataclasses
import re

import numpy as np
import pytest

from agents import KnobEdit, Proposal
from evolution.config import OperatorSettings
from evolution.engine import Ending, EngineError
from evolution.events import read_events
from evolution.executors import Performance, ScriptedExecutor
from evolution.manuals import (
    Circumstances,
    Manuals,
    budget_of,
    check_manual,
    kept_manual,
    manual_standing,
)
from evolution.templates import template_path
from evolution.workspace import WorkspaceError, create_run, open_run
from population import (
    Branches,
    Budget,
    BudgetKind,
    Direction,
    Failure,
    FailureClass,
    Genome,
    Manual,
    ManualError,
    ManualLimits,
    Metric,
    NamedBudget,
    Origin,
    Outcome,
    Purpose,
    Store,
    TrialStatus,
    knobs,
    set_knobs,
)
from tests.evolution.runs import Twiddle, a_run, an_engine, settings, world

SHIPPED = template_path("program.md").read_text(encoding="utf-8")
TRAIN = template_path("train.py").read_text(encoding="utf-8")
WEIGHTS = OperatorSettings().weights()
FITS = Circumstances(Metric(), Budget(BudgetKind.TOKENS, 40_960), Genome.single(TRAIN), WEIGHTS)


def text_with(key, value):
    """The shipped manual with another value for a key."""
    text, count = re.subn(rf"^( *{key}:).*$", rf"\g<1> {value}", SHIPPED, flags=re.MULTILINE)
    assert count == 1
    return text


def a_run_with(folder, text, **changes):
    project = folder / "project"
    project.mkdir(parents=True)
    (project / "program.md").write_text(text, encoding="utf-8")
    return create_run(folder / "runs", settings(**changes), name="night", project=project)


def manual_trailer(branches, sha):
    return re.findall(r"^Manual: (\w+)$", branches.message(sha), re.MULTILINE)


# What a manual must fit


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "accuracy"}, "metric is accuracy. The run's metric is val_bpb"),
        ({"direction": Direction.MAXIMIZE}, "The run means to minimize val_bpb"),
        ({"budget": NamedBudget(9.0, "s")}, "budget is 9 s. The run's is 40960 tokens"),
        ({"operators": ("knobs",)}, "Did you mean 'knob'?"),
        ({"operators": ("merge",)}, "makes something new"),
        ({"frozen": ("MATRIX_LRS",)}, "Did you mean 'MATRIX_LR'?"),
        ({"imports": ("numpy",)}, "of the baseline breaks imports: imports torch"),
    ],
)
def test_a_manual_that_does_not_fit_its_run_is_refused(changes, words):
    manual = dataclasses.replace(Manual.parse(SHIPPED), **changes)
    with pytest.raises(ManualError, match=re.escape(words)) as caught:
        check_manual(manual, FITS, source="program.md")
    (key,) = changes
    assert f"line {manual.line_of(key)}: " in str(caught.value)
    assert str(caught.value).endswith("Mend the line and save the file.")


def test_a_manual_that_leaves_things_unsaid_fits_every_run():
    accuracy = dataclasses.replace(FITS, metric=Metric("accuracy", Direction.MAXIMIZE, ""))
    check_manual(Manual(operators=("knob", "merge")), accuracy, source="program.md")


@pytest.mark.parametrize(
    ("named", "configured", "amount"),
    [
        (None, 0.0, 9.0),
        (None, 5.0, 5.0),
        (NamedBudget(7.0, "s"), 0.0, 7.0),
        (NamedBudget(7.0, "s"), 7.0, 7.0),
    ],
)
def test_the_settings_budget_counts_then_the_manuals_then_the_profiles(named, configured, amount):
    assert budget_of(Manual(budget=named), BudgetKind.CPU, configured, 9.0) == amount


@pytest.mark.parametrize(
    ("named", "configured", "words"),
    [
        (NamedBudget(7.0, "s"), 5.0, "A run has one budget"),
        (NamedBudget(7.0, "tokens"), 0.0, "counts cpu in s"),
    ],
)
def test_budgets_that_disagree_are_refused(named, configured, words):
    with pytest.raises(ManualError, match=words):
        budget_of(Manual(budget=named), BudgetKind.CPU, configured, 9.0)


# At the start of a run


def test_a_run_keeps_its_manual_and_says_so_in_the_baselines_commit(tmp_path):
    paths = a_run_with(tmp_path, text_with("budget", "20_000 tokens"))
    with open_run(paths) as workspace:
        standing = manual_standing(workspace.store, paths.program)
        manual = kept_manual(workspace.store, standing.hash)
        assert manual.text == paths.program.read_text(encoding="utf-8")
        assert standing.path == str(paths.program)
        assert workspace.budget == Budget(BudgetKind.TOKENS, 20_000)
        baseline = workspace.store.run().baseline
        assert manual_trailer(workspace.branches, baseline) == [manual.hash[:12]]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("no rules\n", ManualError),
        (text_with("metric", "accuracy"), ManualError),
        (text_with("frozen", "[NOTHING]"), ManualError),
        (text_with("imports", "[numpy]"), WorkspaceError),
    ],
)
def test_a_bad_manual_starts_no_run_and_leaves_nothing(tmp_path, text, error):
    with pytest.raises(error):
        a_run_with(tmp_path, text)
    assert not list(tmp_path.glob("runs/*"))


# In a live run


class Witness:
    """Proposes what `Twiddle` does, and notes which manual it was shown."""

    name = "knob"
    parent_count = 1

    def __init__(self):
        self.hashes = []

    def propose(self, context):
        self.hashes.append(context.manual.hash)
        return Twiddle().propose(context)


def test_a_valid_edit_counts_from_the_next_proposal_and_is_recorded(tmp_path):
    paths = a_run(tmp_path)
    changed = text_with("frozen", "[ROPE_BASE, MATRIX_LR]")
    operator = Witness()

    def edit(*_):
        if len(operator.hashes) == 2:
            paths.program.write_text(changed, encoding="utf-8")

    options = {"operators": {"knob": operator}, "after_turn": edit}
    with an_engine(paths, **options) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        old, new = Manual.parse(SHIPPED).hash, Manual.parse(changed).hash
        switch = operator.hashes.index(new)
        assert switch > 0
        assert set(operator.hashes[:switch]) == {old}
        assert set(operator.hashes[switch:]) == {new}
        (decision,) = workspace.store.decided("manual_changed")
        assert decision == {"old": old, "new": new}
        assert manual_standing(workspace.store).hash == new
        for variant in workspace.store.variants():
            (digits,) = manual_trailer(workspace.branches, variant.sha)
            assert kept_manual(workspace.store, digits).text in (SHIPPED, changed)
    (event,) = [e for e in read_events(paths.events) if e.kind == "manual_changed"]
    assert (event.payload["old"], event.payload["new"]) == (old, new)


def test_an_invalid_edit_leaves_the_last_valid_manual_in_force_and_is_told(tmp_path):
    paths = a_run(tmp_path)
    texts = {4: "---\nfrozn: [DEPTH]\n---\n", 10: SHIPPED}

    def edit(_, turn):
        if turn in texts:
            paths.program.write_text(texts[turn], encoding="utf-8")
        if turn == 9:
            standings.append(manual_standing(workspace.store))

    standings = []
    with an_engine(paths, after_turn=edit) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        assert manual_standing(workspace.store).problem is None
    assert standings[0].hash == Manual.parse(SHIPPED).hash
    assert "line 2" in standings[0].problem
    assert "Did you mean 'frozen'?" in standings[0].problem
    told = [e.kind for e in read_events(paths.events) if e.kind.startswith("manual")]
    assert told == ["manual_refused", "manual_restored"]


@pytest.mark.parametrize("spoil", ["unlink", "garbage"])
def test_a_file_that_is_gone_or_no_text_is_an_invalid_edit(tmp_path, spoil):
    paths = a_run(tmp_path)
    with open_run(paths) as workspace:
        manuals = Manuals(workspace.store, paths.program, FITS, clock=lambda: 1.0)
        assert manuals.look() is None
        if spoil == "unlink":
            paths.program.unlink()
        else:
            paths.program.write_bytes(b"\xff\xfe")
        edit = manuals.look()
        assert (edit.kind, edit.old) == ("manual_refused", edit.new)
        assert manuals.look() is None
        assert manuals.in_force.text == SHIPPED
        paths.program.write_text(SHIPPED, encoding="utf-8")
        assert manuals.look().kind == "manual_restored"


def test_an_edit_while_nobody_worked_counts_at_resume(tmp_path):
    paths = a_run(tmp_path)
    paths.program.write_text(text_with("operators", "[knob]"), encoding="utf-8")
    with open_run(paths) as workspace:
        manuals = Manuals(workspace.store, paths.program, FITS, clock=lambda: 1.0)
        assert manuals.in_force.text == SHIPPED
        assert manuals.look().kind == "manual_changed"
        assert manuals.in_force.operators == ("knob",)


def test_operators_that_the_manual_does_not_name_are_not_asked(tmp_path):
    paths = a_run_with(tmp_path, text_with("operators", "[knob]"), limits__trials=3)

    class Forbidden(Twiddle):
        name = "structure"

        def propose(self, _):
            raise AssertionError("asked all the same")

    operators = {"knob": Twiddle(), "structure": Forbidden()}
    with an_engine(paths, operators=operators) as (engine, _, _):
        assert engine.run() is Ending.FINISHED


def test_parents_that_break_a_new_rule_breed_no_more(tmp_path):
    paths = a_run(tmp_path, limits__trials=12)

    def edit(_, turn):
        if turn == 10:
            text = text_with("frozen", "[ROPE_BASE]")
            paths.program.write_text(text, encoding="utf-8")

    with an_engine(paths, operators={"knob": KnobEdit()}, after_turn=edit) as (engine, space, _):
        base = knobs(space.baseline.main)["ROPE_BASE"]
        text = set_knobs(space.baseline.main, {"ROPE_BASE": 2 * base})  # the best of this world
        space.store.add_request("seed", {"text": text, "idea": "a longer base"})
        assert engine.run() is Ending.FINISHED
        digits = Manual.parse(text_with("frozen", "[ROPE_BASE]")).hash[:12]
        after = [
            v for v in space.store.variants() if manual_trailer(space.branches, v.sha) == [digits]
        ]
        assert after
        for variant in after:
            assert knobs(space.branches.genome(variant.sha).main)["ROPE_BASE"] == base


def test_a_seed_that_breaks_a_rule_is_refused_by_its_name(tmp_path):
    paths = a_run_with(tmp_path, text_with("frozen", "[DEPTH]"), limits__trials=2)
    with an_engine(paths) as (engine, workspace, _):
        text = set_knobs(workspace.baseline.main, {"DEPTH": 3})
        workspace.store.add_request("seed", {"text": text, "idea": "deeper"})
        assert engine.run() is Ending.FINISHED
        assert not any(v.origin is Origin.SEED for v in workspace.store.variants())
    (answer,) = [e.payload["answer"] for e in read_events(paths.events) if e.kind == "request"]
    assert answer.startswith("refused: line ")
    assert "breaks frozen: DEPTH is frozen" in answer


# Limits


def rejected(job):
    """A world in which one knob makes the model too large."""
    if knobs(job.genome.main)["MATRIX_LR"] == 0.04:
        return world(job)
    message = "limits.parameters_millions of program.md: too many"
    return Outcome(TrialStatus.REJECTED, failure=Failure(FailureClass.CONTRACT, message))


def test_limits_reach_the_workers_but_for_verdict_trials(tmp_path):
    text = text_with("parameters_millions", "3").replace("memory_mb: null", "memory_mb: 900")
    paths = a_run_with(tmp_path, text, limits__trials=2)
    executor = ScriptedExecutor(world, slot_count=2)
    with an_engine(paths, executor) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        purposes = {t.id: t.purpose for t in workspace.store.trials()}
    for job in executor.jobs:
        is_verdict = purposes[job.trial_id] is Purpose.VERDICT
        assert job.limits == (ManualLimits() if is_verdict else ManualLimits(3.0, 900.0))
    assert Purpose.VERDICT in purposes.values()


def test_a_rejected_trial_is_told_costs_no_trial_and_is_not_tried_again(tmp_path):
    paths = a_run(tmp_path, limits__trials=4)
    with an_engine(paths, ScriptedExecutor(rejected, slot_count=1)) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        trials = workspace.store.trials(purpose=Purpose.SCREEN)
        turned_away = [t for t in trials if t.status is TrialStatus.REJECTED]
        assert turned_away
        assert len(trials) - len(turned_away) == 4
        assert all(t.attempt == 1 for t in turned_away)
    told = [e.payload for e in read_events(paths.events) if e.kind == "trial_finished"]
    reasons = [t["failure"] for t in told if t["status"] == "rejected"]
    assert set(reasons) == {"limits.parameters_millions of program.md: too many"}


def test_a_baseline_over_a_limit_ends_the_run_with_the_rules_name(tmp_path):
    def script(_):
        message = "limits.parameters_millions of program.md: too many"
        return Outcome(TrialStatus.REJECTED, failure=Failure(FailureClass.CONTRACT, message))

    executor = ScriptedExecutor(script, slot_count=1)
    with an_engine(a_run(tmp_path), executor) as (engine, _, _):  # noqa: SIM117
        with pytest.raises(EngineError, match=r"limits\.parameters_millions"):
            engine.run()


# Simplicity


class Padding:
    """Adds much code or little, by turns, at no change of the score."""

    name = "structure"
    parent_count = 1

    def propose(self, context):
        parent = context.parents[0]
        number = len(context.seen)
        extra = (
            f"\nUNUSED_{number} = '{'x' * 3000}'\n" if number % 2 else f"\nUNUSED_{number} = 1\n"
        )
        text = parent.genome.main + extra
        genome = parent.genome.with_main(text)
        return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, f"{number}")


def even(job):
    """A world in which every genome is worth the same, but for the seed's noise."""
    chance = np.random.default_rng(job.conditions.rng_seed)
    score = 2.0 + 0.003 * float(chance.standard_normal())
    return Performance(Outcome(TrialStatus.COMPLETE, val_bpb=score, total_seconds=1.0))


def test_where_code_is_worth_much_the_shorter_variants_breed(tmp_path):
    text = text_with("simplicity_weight", "10")
    paths = a_run_with(tmp_path, text, limits__trials=14)
    with an_engine(
        paths, ScriptedExecutor(even, slot_count=1), operators={"structure": Padding()}
    ) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        variants = {v.sha: v for v in workspace.store.variants()}
        sizes = {sha: len(workspace.branches.genome(sha).main) for sha in variants}
        bred = [sizes[v.parents[0]] for v in variants.values() if v.parents][6:]
        assert max(bred) < len(workspace.baseline.main) + 2000
        fitnesses = workspace.store.fitnesses()
        assert all(abs(f.mean - 2.0) < 0.02 for f in fitnesses.values() if f.is_scored)


def test_the_manual_of_each_variant_can_be_read_back(tmp_path):
    paths = a_run(tmp_path, limits__trials=2)
    with an_engine(paths) as (engine, _, _):
        engine.run()
    with (
        Store.open(paths.database, read_only=True) as store,
        Branches.open(paths.repository) as git,
    ):
        for variant in store.variants():
            (digits,) = manual_trailer(git, variant.sha)
            assert kept_manual(store, digits).text == SHIPPED
