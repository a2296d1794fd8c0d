"""ScriptTask: a script of the user's own as the task of a run.

Reads the genome and weighs the data in the project's folder, which is never written to. The data
stay in that folder: they must be as they were when the run goes on.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evolution.executors.script_site import ScriptSite
from evolution.executors.site import Scorer, TrialSite, Walls
from evolution.sandbox.spec import ScriptSpec
from evolution.task_settings import TaskSettings
from population import (
    Budget,
    BudgetKind,
    Contract,
    Direction,
    EvolveError,
    Genome,
    Metric,
    RunPaths,
)

#: Up to so much, data are copied for every trial, so that no script can change the user's own.
COPIED_BYTES = 64 * 2**20
_CHUNK = 1 << 20


class TaskError(EvolveError):
    """A script or its data cannot be used as they are."""


@dataclass(frozen=True, slots=True)
class ScriptTask:
    """A script, its command, its metric and its data.

    Attributes:
        settings: The section ``[task]``.
        project: Folder that holds genome and data.
        data_hash: Of names and contents of the data.
        data_bytes: Their size.
    """

    settings: TaskSettings
    project: Path
    data_hash: str
    data_bytes: int

    @classmethod
    def open(cls, settings: TaskSettings, project: Path) -> "ScriptTask":
        """The task of a project, its data read once.

        Raises:
            TaskError: Data are missing or unreadable, or there is no such program.
        """
        project = project.resolve()
        _check_program(settings, project)
        try:
            data_hash, data_bytes = _weighed(settings.data, project)
        except OSError as error:
            raise TaskError(
                f"{error.filename or project} cannot be read: {error.strerror or error}. "
                "The data under [task] are files and folders of the project that can be read. "
                "Put them there, or mend the list."
            ) from None
        return cls(settings, project, data_hash, data_bytes)

    @property
    def contract(self) -> Contract:
        """It must be Python."""
        return Contract(is_script=True)

    @property
    def metric(self) -> Metric:
        """As the settings name it."""
        return self.settings.as_metric()

    @property
    def budget(self) -> Budget:
        """The time limit."""
        return Budget(BudgetKind.WALL, self.settings.time_limit)

    @property
    def ruler_hash(self) -> str:
        """Of the settings: what is started, and how its output is read; not where it lies."""
        settings = self.settings.model_dump(mode="json", exclude={"folder"})
        text = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def genome(self) -> Genome:
        """The files of the project that a run starts from.

        Raises:
            TaskError: One of them is missing or no text.
        """
        return Genome({path: self._text(path) for path in self.settings.files}, self.settings.main)

    def site(
        self,
        paths: RunPaths,
        run_id: str,
        baseline: Genome,
        walls: Walls,
        scorer: Scorer,  # noqa: ARG002 - a script scores itself
    ) -> TrialSite:
        """Scripts that know nothing of us."""
        settings = self.settings
        script = ScriptSpec(
            metric=settings.metric,
            pattern=settings.pattern,
            pattern_use=settings.pattern_use,
            sign=-1.0 if self.metric.direction is Direction.MAXIMIZE else 1.0,
            data={name: str(self.project / name) for name in settings.data},
            is_linked=self.data_bytes > COPIED_BYTES,
        )
        return ScriptSite(
            run_id=run_id,
            scratch=paths.scratch,
            baseline=baseline,
            command=tuple(settings.words()),
            seed_variable=settings.seed_variable,
            script=script,
            logs=paths.logs,
            walls=walls,
        )

    def _text(self, path: str) -> str:
        try:
            return text_of(self.project / path)
        except OSError as error:
            found = f"{self.project / path} cannot be read: {error.strerror or error}"
        except UnicodeDecodeError as error:
            found = f"{self.project / path} is not UTF-8 text: {error}"
        raise TaskError(
            f"{found}. The files under [task] are the genome: text files in the project's folder. "
            "Mend the list or the file, and try again."
        )


def text_of(path: Path) -> str:
    """A genome's file as it is, line ends and all, without a byte order mark.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    return path.read_bytes().decode("utf-8-sig")


def _check_program(settings: TaskSettings, project: Path) -> None:
    """Refuse at once a command that cannot be started."""
    program = settings.words()[0]
    if shutil.which(program) is None:
        raise TaskError(
            f"The command {' '.join(settings.command)!r} begins with {program!r}, and there is no "
            f"such program for {project}. A program on the PATH, or by its whole path, is needed. "
            "Mend command under [task]."
        )


def _weighed(names: tuple[str, ...], project: Path) -> tuple[str, int]:
    """Hash and size of all data; links are followed."""
    digest, size = hashlib.sha256(), 0
    for name in sorted(names):
        for path in _files_below(project / name):
            digest.update(f"{path.relative_to(project).as_posix()!r}\n".encode())
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(hashlib.sha256(chunk).digest())
                    size += len(chunk)
    return digest.hexdigest(), size


def _files_below(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        path.stat()  # missing, or a link to nowhere: an OSError that names it
        yield path
        return
    for entry in sorted(path.iterdir()):
        yield from _files_below(entry)
