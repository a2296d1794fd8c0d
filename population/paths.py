"""RunPaths: every path a run reads or writes. Knows names, makes nothing but folders."""

import re
from dataclasses import dataclass
from pathlib import Path

from population.errors import EvolveError

# The name is part of a branch, a folder and a marker in the environment: letters all three take.
_RUN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-])){0,63}", re.ASCII)


class RunNameError(EvolveError):
    """A run cannot be called that."""


def check_run_name(name: str) -> str:
    """Return ``name`` if a run can be called that.

    Raises:
        RunNameError: It cannot; the text says why.
    """
    if _RUN_NAME.fullmatch(name) and not name.endswith(".lock"):
        return name
    raise RunNameError(
        f"The run name is {name[:80]!r}, but it becomes a folder and a branch: it needs 1 to 64 "
        "letters, digits, '-', '_' or single '.', a letter or digit first, and no '.lock' at the "
        "end. Choose such a name, e.g. night-1."
    )


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run, all under ``root``."""

    root: Path

    @classmethod
    def of(cls, runs: Path, name: str) -> "RunPaths":
        """The paths of the run ``name`` among ``runs``.

        Raises:
            RunNameError: No run can be called that.
        """
        return cls(runs / check_run_name(name))

    @property
    def name(self) -> str:
        """Name of the run: its folder's."""
        return self.root.resolve().name

    @property
    def database(self) -> Path:
        """The store's database."""
        return self.root / "run.db"

    @property
    def repository(self) -> Path:
        """The bare repository that holds every variant."""
        return self.root / "population.git"

    @property
    def events(self) -> Path:
        """The story of the run, append-only."""
        return self.root / "events.jsonl"

    @property
    def logs(self) -> Path:
        """Folder of the trainers' output."""
        return self.root / "logs"

    @property
    def settings(self) -> Path:
        """The settings, frozen at the start."""
        return self.root / "config.toml"

    @property
    def ruler(self) -> Path:
        """The run's own ``prepare.py``."""
        return self.root / "prepare.py"

    @property
    def program(self) -> Path:
        """The run's own ``program.md``."""
        return self.root / "program.md"

    @property
    def lessons(self) -> Path:
        """The run's page of lessons."""
        return self.root / "lessons.md"

    @property
    def ideas(self) -> Path:
        """Folder of people's ideas, one a file; anyone may drop one while the run is live."""
        return self.root / "ideas"

    @property
    def lock(self) -> Path:
        """Held by the one engine of the run."""
        return self.root / "run.lock"

    @property
    def scratch(self) -> Path:
        """Folder of the running trials; whatever is in it may be deleted."""
        return self.root / "scratch"

    @property
    def figures(self) -> Path:
        """Folder of the pictures."""
        return self.root / "figures"

    def make_folders(self) -> None:
        """Make ``root`` and the folders in it, those that are missing."""
        for folder in (self.root, self.logs, self.scratch, self.figures):
            folder.mkdir(parents=True, exist_ok=True)
