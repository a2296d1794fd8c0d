"""Task: what a run trains and by what it is measured; how its trials are laid out.

Two kinds. The built-in task is a language model under the ruler, with a profile's sizes, data and
budget; `script_task` makes the other, a script of the user's own. A workspace holds one, and nobody
else asks which.
"""

from dataclasses import dataclass
from typing import Protocol

from evolution.executors import Site
from evolution.executors.site import Scorer, TrialSite, Walls
from evolution.profiles import Profile
from evolution.ruler import PreparedData, Ruler
from population import Budget, Contract, Genome, Metric, RunPaths


class Task(Protocol):
    """What a run trains."""

    @property
    def contract(self) -> Contract:
        """What genomes must keep."""
        ...

    @property
    def metric(self) -> Metric:
        """What scores are called, and which way they are better."""
        ...

    @property
    def budget(self) -> Budget:
        """What one trial may spend, in a run that begins now."""
        ...

    @property
    def ruler_hash(self) -> str:
        """Hash of what measures."""
        ...

    @property
    def data_hash(self) -> str:
        """Hash of what is learnt from."""
        ...

    def site(
        self, paths: RunPaths, run_id: str, baseline: Genome, walls: Walls, scorer: Scorer
    ) -> TrialSite:
        """Where and how the trials of a run take place."""
        ...


@dataclass(frozen=True, slots=True)
class LanguageModelTask:
    """The built-in task.

    Attributes:
        profile: Sizes and data.
        ruler: The run's own.
        data: As the ruler prepared them.
        amount: Of the budget, if the settings name one; 0 is the profile's.
    """

    profile: Profile
    ruler: Ruler
    data: PreparedData
    amount: float = 0.0

    @property
    def contract(self) -> Contract:
        """That of ``train.py``."""
        return Contract()

    @property
    def metric(self) -> Metric:
        """Bits per byte."""
        return Metric()

    @property
    def budget(self) -> Budget:
        """The settings' budget, or else the one that the run's own ruler gives the profile."""
        budget = self.ruler.budget_of(self.profile.name)
        return Budget(budget.kind, self.amount or budget.amount)

    @property
    def ruler_hash(self) -> str:
        """Of ``prepare.py``."""
        return self.ruler.hash

    @property
    def data_hash(self) -> str:
        """As the ruler made it."""
        return self.data.data_hash

    def site(
        self, paths: RunPaths, run_id: str, baseline: Genome, walls: Walls, scorer: Scorer
    ) -> TrialSite:
        """Trainers under the ruler's protocol."""
        return Site(
            run_id=run_id,
            scratch=paths.scratch,
            ruler=paths.ruler,
            ruler_hash=self.ruler.hash,
            data=self.data.path,
            baseline=baseline,
            logs=paths.logs,
            preload=("torch",),
            walls=walls,
            scorer=scorer,
        )
