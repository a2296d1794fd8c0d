"""The manual of a run: checked against it, in force until a valid edit of its file.

The file is the run's own ``program.md``. Every text that was ever in force is kept in the store
under its hash, which the commits of the variants proposed under it name (``Manual: <hash>``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evolution.config import FOLLOWING, OperatorSettings
from population import (
    Budget,
    BudgetKind,
    Contract,
    Genome,
    Json,
    Manual,
    ManualError,
    Metric,
    Store,
    frozen_mistake,
    rule_problems,
)
from population.errors import did_you_mean

#: Key of the trailer that names a manual in the message of a variant's commit.
TRAILER = "Manual"
#: So many digits of its hash name a manual to people.
HASH_DIGITS = 12
#: An operator that has no weight, for it is asked after a crash; a manual may name it.
REPAIRER = "repairer"
#: The store's fact that says which manual is in force, and what is wrong with its file.
IN_FORCE = "manual"


@dataclass(frozen=True, slots=True)
class ManualStanding:
    """Which manual is in force.

    Attributes:
        hash: SHA-256 of its text.
        since: When it came into force, in seconds since the epoch.
        problem: Why a later edit of the file is not in force, in three parts; None without one.
        path: The file; None if it was not asked for.
    """

    hash: str
    since: float
    problem: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """What became of the file of a manual.

    Attributes:
        old: Hash of the manual in force before.
        new: Hash of the one in force now; the same where the edit was refused, or taken back.
        problem: Why the edit was refused, in three parts; None if the file is in force.
    """

    old: str
    new: str
    problem: str | None

    @property
    def kind(self) -> str:
        """What the event log calls it."""
        if self.problem is not None:
            return "manual_refused"
        return "manual_changed" if self.old != self.new else "manual_restored"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a manual must fit.

    Attributes:
        metric: The run's.
        budget: Of one trial of the run.
        baseline: Genome the run starts from.
        weights: Operators that the settings turn on, with their weights.
        contract: What the task asks of genomes.
    """

    metric: Metric
    budget: Budget
    baseline: Genome
    weights: Mapping[str, float]
    contract: Contract = field(default_factory=Contract)


class Manuals:
    """The manual of an open run, and its file's latest state.

    Args:
        store: Of the run.
        path: Of its ``program.md``.
        circumstances: What a manual must fit.
        clock: Seconds since the epoch.

    Raises:
        ManualError: The run has no manual in force, and the file holds no valid one.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        circumstances: Circumstances,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._path = path
        self._circumstances = circumstances
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        kept = manual_in_force(store)
        if kept is None:  # a run of an earlier version
            kept = self._read_valid()
            keep_manual(store, kept, at=clock())
        standing = manual_standing(store)
        self.in_force: Manual = kept
        self._problem = standing.problem if standing is not None else None

    def look(self) -> Edit | None:
        """Read the file again if it changed; what came of it, or None if nothing did."""
        stamp = _stamp(self._path)
        if stamp is not None and stamp == self._stamp:
            return None
        self._stamp = stamp
        old, problem = self.in_force, None
        try:
            found = self._read_valid()
        except ManualError as error:
            found, problem = old, str(error)
        if found.hash == old.hash and problem == self._problem:
            return None
        self.in_force, self._problem = found, problem
        keep_manual(self._store, found, at=self._clock(), problem=problem)
        return Edit(old.hash, found.hash, problem)

    def _read_valid(self) -> Manual:
        manual = read_manual(self._path)
        check_manual(manual, self._circumstances, source=str(self._path))
        return manual


def read_manual(path: Path) -> Manual:
    """The manual in a file.

    Raises:
        ManualError: There is no such file, it is not text, or no manual.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManualError(
            f"{path} cannot be read: {error.strerror or error}. A run needs its manual. Put it "
            "back, or give yourself the right to read it."
        ) from None
    except UnicodeDecodeError as error:
        raise ManualError(
            f"{path} is not UTF-8 text: {error}. A manual is a text file. Save it as UTF-8."
        ) from None
    return Manual.parse(text, str(path))


def check_manual(manual: Manual, circumstances: Circumstances, *, source: str) -> None:
    """Refuse a manual that does not fit its run.

    Raises:
        ManualError: In three parts, with the line.
    """
    for key, complaint in (
        ("metric", _metric_mistake(manual, circumstances.metric)),
        ("direction", _direction_mistake(manual, circumstances.metric)),
        ("budget", _budget_mistake(manual, circumstances.budget)),
        ("operators", _operators_mistake(manual, circumstances.weights)),
        ("frozen", frozen_mistake(manual, circumstances.baseline)),
        ("imports", _imports_mistake(manual, circumstances)),
        ("limits", _limits_mistake(manual, circumstances)),
    ):
        if complaint is not None:
            stop = "" if complaint.endswith(("?", ".")) else "."
            raise ManualError(
                f"{source}, line {manual.line_of(key)}: {complaint}{stop} Mend the line and save "
                "the file."
            )


def budget_of(manual: Manual, kind: BudgetKind, configured: float, profile: float) -> float:
    """A trial's amount: the settings', else the manual's, else the profile's.

    Args:
        manual: Of the new run.
        kind: What the profile's budget counts.
        configured: ``[run] budget`` of the settings; 0 if they leave it open.
        profile: Amount of the profile.

    Raises:
        ManualError: The manual counts otherwise than the profile, or the settings disagree.
    """
    named = manual.budget
    if named is None:
        return configured or profile
    counted = "tokens" if kind is BudgetKind.TOKENS else "s"
    where = f"program.md, line {manual.line_of('budget')}"
    if named.unit != counted:
        raise ManualError(
            f"{where}: budget is {named}. The profile's budget counts {kind.value} in {counted}. "
            f"Write it in {counted}, or choose another profile."
        )
    if configured and configured != named.amount:
        raise ManualError(
            f"{where}: budget is {named}, but [run] budget of the settings is {configured:g}. A "
            "run has one budget. Set one of the two: `budget: profile`, or `budget = 0.0`."
        )
    return named.amount


def operator_weights(manual: Manual, weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of the operators that the manual allows."""
    allowed = manual.operators
    return {n: w for n, w in weights.items() if allowed is None or n in allowed}


def keep_manual(store: Store, manual: Manual, *, at: float, problem: str | None = None) -> None:
    """Keep the manual that is in force from now on, and what is wrong with its file."""
    if store.fact(_text_key(manual.hash)) is None:
        store.set_fact(_text_key(manual.hash), {"hash": manual.hash, "text": manual.text})
    known = manual_standing(store)
    since = known.since if known is not None and known.hash == manual.hash else at
    store.set_fact(IN_FORCE, {"hash": manual.hash, "since": since, "problem": problem})


def manual_standing(store: Store, path: Path | None = None) -> ManualStanding | None:
    """Which manual is in force; None in a run of a version that did not record it."""
    fact = store.fact(IN_FORCE)
    if not isinstance(fact, dict):
        return None
    problem = fact["problem"]
    return ManualStanding(
        hash=str(fact["hash"]),
        since=float(str(fact["since"])),
        problem=None if problem is None else str(problem),
        path=None if path is None else str(path),
    )


def manual_in_force(store: Store) -> Manual | None:
    """The manual in force as it was kept; None if none was."""
    standing = manual_standing(store)
    return None if standing is None else kept_manual(store, standing.hash)


def kept_manual(store: Store, start: str) -> Manual | None:
    """A manual that was once in force, by the first digits of its hash."""
    fact: Json = store.fact(_text_key(start))
    return Manual.parse(str(fact["text"])) if isinstance(fact, dict) else None


def _text_key(manual_hash: str) -> str:
    return f"{IN_FORCE} {manual_hash[:HASH_DIGITS]}"


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _metric_mistake(manual: Manual, metric: Metric) -> str | None:
    if manual.metric in (None, metric.name):
        return None
    return f"metric is {manual.metric}. The run's metric is {metric.name}"


def _direction_mistake(manual: Manual, metric: Metric) -> str | None:
    if manual.direction in (None, metric.direction):
        return None
    return f"direction is {manual.direction}. The run means to {metric.direction} {metric.name}"


def _budget_mistake(manual: Manual, budget: Budget) -> str | None:
    """A run has one budget, for life: scores of two cannot be compared."""
    named = manual.budget
    counted = "tokens" if budget.kind is BudgetKind.TOKENS else "s"
    if named is None or (named.amount, named.unit) == (budget.amount, counted):
        return None
    return f"budget is {named}. The run's is {budget.amount:g} {counted}, from its first trial on"


def _operators_mistake(manual: Manual, weights: Mapping[str, float]) -> str | None:
    known = (*OperatorSettings.names(), REPAIRER)
    for name in manual.operators or ():
        if name not in known:
            return f"operators names {name!r}, which is unknown. {did_you_mean(name, known)}"
    left = operator_weights(manual, weights)
    mutations = [name for name in weights if name not in FOLLOWING]
    if left and (not mutations or any(name in left for name in mutations)):
        return None
    on = ", ".join(weights) or "none"
    return (
        f"operators leaves {', '.join(left) or 'none'} of those that the settings turn on ({on}). "
        "A search needs one at least that makes something new"
    )


def _imports_mistake(manual: Manual, circumstances: Circumstances) -> str | None:
    baseline = circumstances.baseline
    found = rule_problems(manual, baseline, baseline, circumstances.contract)
    problems = [problem for problem in found if problem.rule == "imports"]
    if not problems:
        return None
    first = problems[0]
    return f"line {first.line} of the baseline breaks imports: {first.message}"


def _limits_mistake(manual: Manual, circumstances: Circumstances) -> str | None:
    if manual.limits.parameters_millions is None or not circumstances.contract.is_script:
        return None
    return (
        "limits.parameters_millions is set. What build_model() makes is counted, and a script of "
        "your own need not have one: leave it null"
    )
