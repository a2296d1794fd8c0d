"""What exists: variants, trials, fitness, verdicts, and the database and git behind them.

Imports no other layer. This page is a table of contents: names resolve when first used, so that
importing ``population`` loads neither the database nor git.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from population.assurance import Assurance
    from population.branches import Branches
    from population.code_size import code_size
    from population.contract import Contract
    from population.critique import Critique, Judgement, Suspect, VerdictReading
    from population.errors import EvolveError
    from population.fitness import Fitness, gain_over_parent
    from population.genome import (
        MAIN,
        Genome,
        GenomeError,
        KnobValue,
        Problem,
        canonical_hash,
        contract_problems,
        knobs,
        literal_value,
        rewritten,
        set_knobs,
    )
    from population.lesson import Claim, Lesson, LessonState
    from population.lineage import Lineage, LineageError, generation_of
    from population.manual import Manual, ManualError, ManualLimits, NamedBudget
    from population.merging import Merged, merge_files
    from population.messages import commit_message
    from population.metric import Direction, Metric
    from population.patches import Patch, Series, export_patches
    from population.paths import RunNameError, RunPaths, check_run_name
    from population.people import (
        Mark,
        Marked,
        Suggestion,
        SuggestionState,
        suggestion_label,
        suggestion_number,
        suggestion_text,
    )
    from population.plumbing import BranchesError, GitMissingError
    from population.records import (
        Call,
        CallResult,
        CallState,
        Commission,
        CommissionState,
        Json,
        LateResult,
        Lease,
        Request,
        RoleSpending,
        RunRecord,
        RunState,
        Spending,
    )
    from population.rules import frozen_knobs, frozen_lines, frozen_mistake, rule_problems
    from population.store import (
        DiskFullError,
        LockedError,
        SchemaError,
        Store,
        StoreError,
    )
    from population.summary import Summary, read_summary
    from population.trial import (
        Budget,
        BudgetKind,
        Calibration,
        Conditions,
        CurvePoint,
        Failure,
        FailureClass,
        Outcome,
        Purpose,
        Scoring,
        Snapshot,
        Trial,
        TrialStatus,
    )
    from population.untrusted import fenced, one_line, plain
    from population.variant import Origin, Variant
    from population.verdict import (
        FreshGain,
        Publication,
        Ruling,
        RungVerdict,
        SealedGain,
        Verdict,
        last_published,
    )

_HOMES = {
    "assurance": "Assurance",
    "branches": "Branches",
    "code_size": "code_size",
    "contract": "Contract",
    "critique": "Critique Judgement Suspect VerdictReading",
    "errors": "EvolveError",
    "fitness": "Fitness gain_over_parent",
    "genome": (
        "MAIN Genome GenomeError KnobValue Problem canonical_hash contract_problems knobs "
        "literal_value rewritten set_knobs"
    ),
    "lesson": "Claim Lesson LessonState",
    "lineage": "Lineage LineageError generation_of",
    "manual": "Manual ManualError ManualLimits NamedBudget",
    "merging": "Merged merge_files",
    "messages": "commit_message",
    "metric": "Direction Metric",
    "patches": "Patch Series export_patches",
    "paths": "RunNameError RunPaths check_run_name",
    "people": (
        "Mark Marked Suggestion SuggestionState suggestion_label suggestion_number suggestion_text"
    ),
    "plumbing": "BranchesError GitMissingError",
    "records": (
        "Call CallResult CallState Commission CommissionState Json LateResult Lease "
        "Request RoleSpending RunRecord RunState Spending"
    ),
    "rules": "frozen_knobs frozen_lines frozen_mistake rule_problems",
    "store": "DiskFullError LockedError SchemaError Store StoreError",
    "summary": "Summary read_summary",
    "trial": (
        "Budget BudgetKind Calibration Conditions CurvePoint Failure FailureClass Outcome Purpose "
        "Scoring Snapshot Trial TrialStatus"
    ),
    "untrusted": "fenced one_line plain",
    "variant": "Origin Variant",
    "verdict": "FreshGain Publication Ruling RungVerdict SealedGain Verdict last_published",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "MAIN",
    "Assurance",
    "Branches",
    "BranchesError",
    "Budget",
    "BudgetKind",
    "Calibration",
    "Call",
    "CallResult",
    "CallState",
    "Claim",
    "Commission",
    "CommissionState",
    "Conditions",
    "Contract",
    "Critique",
    "CurvePoint",
    "Direction",
    "DiskFullError",
    "EvolveError",
    "Failure",
    "FailureClass",
    "Fitness",
    "FreshGain",
    "Genome",
    "GenomeError",
    "GitMissingError",
    "Json",
    "Judgement",
    "KnobValue",
    "LateResult",
    "Lease",
    "Lesson",
    "LessonState",
    "Lineage",
    "LineageError",
    "LockedError",
    "Manual",
    "ManualError",
    "ManualLimits",
    "Mark",
    "Marked",
    "Merged",
    "Metric",
    "NamedBudget",
    "Origin",
    "Outcome",
    "Patch",
    "Problem",
    "Publication",
    "Purpose",
    "Request",
    "RoleSpending",
    "Ruling",
    "RunNameError",
    "RunPaths",
    "RunRecord",
    "RunState",
    "RungVerdict",
    "SchemaError",
    "Scoring",
    "SealedGain",
    "Series",
    "Snapshot",
    "Spending",
    "Store",
    "StoreError",
    "Suggestion",
    "SuggestionState",
    "Summary",
    "Suspect",
    "Trial",
    "TrialStatus",
    "Variant",
    "Verdict",
    "VerdictReading",
    "canonical_hash",
    "check_run_name",
    "code_size",
    "commit_message",
    "contract_problems",
    "export_patches",
    "fenced",
    "frozen_knobs",
    "frozen_lines",
    "frozen_mistake",
    "gain_over_parent",
    "generation_of",
    "knobs",
    "last_published",
    "literal_value",
    "merge_files",
    "one_line",
    "plain",
    "read_summary",
    "rewritten",
    "rule_problems",
    "set_knobs",
    "suggestion_label",
    "suggestion_number",
    "suggestion_text",
]


def __getattr__(name: str) -> object:
    """Load the module that owns ``name``, once."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'population' has no attribute {name!r}")
    value: object = getattr(import_module(f"population.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
