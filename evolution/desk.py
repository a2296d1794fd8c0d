"""The desk: what a run can tell models that look something up before they answer.

Asked from the threads that carry commissions out: reads the store, which gives each thread its own
transaction, and git by a process of its own. Nothing here touches the engine's belief.
"""

from collections.abc import Callable

from agents import Desk
from agents.figures import shown_fitness
from evolution.workspace import Workspace
from population import (
    Branches,
    Genome,
    Metric,
    Store,
    StoreError,
    Trial,
    Variant,
    one_line,
    plain,
)

_DIFF_CHARACTERS = 8_000
_SAID_CHARACTERS = 2_000
_MOST_TRIALS = 8


def desk_of(workspace: Workspace, smoke: Callable[[Genome], str] | None = None) -> Desk:
    """The desk of an open run.

    Args:
        workspace: Of the run.
        smoke: Trains a genome for a moment and says what came of it; None if there is none.
    """
    ruler = workspace.paths.ruler
    files = {ruler.name: ruler.read_text(encoding="utf-8")} if ruler.is_file() else {}
    return Desk(Lookup(workspace.store, workspace.branches), smoke, files)


class Lookup:
    """Tells of one variant what the run knows; safe for several threads.

    Gains with their errors stand in briefings, for they need the belief; here are the scores.
    """

    def __init__(self, store: Store, branches: Branches) -> None:
        self._store = store
        self._branches = branches

    def __call__(self, variant: str) -> str:
        """What is known of a variant, by its name or its commit; total over any text."""
        try:
            found = self._store.variant(variant)
        except StoreError as error:
            return one_line(str(error))
        metric = self._store.metric()
        parents = [self._store.variant(sha) for sha in found.parents]
        lines = [
            f"{found.name}, made by {found.operator}: {one_line(found.hypothesis)}",
            *self._scores([found, *parents], metric),
            *self._ends(found, metric),
        ]
        return "\n".join([*lines, *self._diff(found, parents)])

    def _scores(self, variants: list[Variant], metric: Metric) -> list[str]:
        fitnesses = self._store.fitnesses()
        titles = ["score", *(f"score of its parent {parent.name}" for parent in variants[1:])]
        return [
            f"{title}: {shown_fitness(fitnesses.get(variant.sha), metric)}"
            for title, variant in zip(titles, variants, strict=True)
        ]

    def _ends(self, variant: Variant, metric: Metric) -> list[str]:
        trials = self._store.trials(variant=variant.sha)[:_MOST_TRIALS]
        return [self._end(self._store.trial(trial.id), metric) for trial in trials]

    @staticmethod
    def _end(trial: Trial, metric: Metric) -> str:
        head = f"trial {trial.id}: {trial.status.value}"
        outcome = trial.outcome
        if outcome is None:
            return head
        if outcome.failure is not None:
            said = plain(f"{outcome.failure.message}\n{outcome.failure.log_tail}", _SAID_CHARACTERS)
            return f"{head}, {outcome.failure.kind.value}: {said.strip()}"
        if outcome.val_bpb is None:
            return head
        return f"{head}, {one_line(metric.name)} {metric.shown(outcome.val_bpb):.6g}"

    def _diff(self, variant: Variant, parents: list[Variant]) -> list[str]:
        if not parents:
            return ["It is the baseline."]
        diff = plain(self._branches.diff(parents[0].sha, variant.sha), _DIFF_CHARACTERS)
        return [f"What it changed in {parents[0].name}:", diff]
