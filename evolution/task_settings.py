"""TaskSettings: the section `[task]`, which makes a script of the user's own what a run evolves.

Owns types, ranges and the words of a refusal; `script_task` makes trials of it.
"""

import re
import shlex
import sys
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from population import Direction, Metric

#: What stands for the interpreter that runs evolve itself.
_PYTHON = ("python", "python3")
#: Names of files and folders that `[task]` takes: plain, and not hidden.
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_METRIC_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,63}", re.ASCII)


class TaskSettings(BaseModel):
    """The task of a run: the built-in language model, unless ``files`` name a script of one's own.

    Attributes:
        files: The genome's files, by path in the project's folder.
        folder: That folder, beside the settings; by default theirs.
        entry: The one that a trial starts; by default the first.
        command: How it is started, as words or as one line; by default ``python <entry>``.
        metric: Name of the number that the script prints.
        pattern: Regular expression that finds it in a line of output, in one group.
        pattern_use: ``only`` refuses a second, different value; ``last`` takes the last one.
        direction: Which way the metric is better.
        unit: Of the metric, for people.
        time_limit: Wall seconds of one trial, from start to end.
        data: Files and folders of the project that lie beside the script in every trial.
        seed_variable: Environment variable that carries a trial's seed.
        scoring: Who computes the score: the script itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    files: tuple[str, ...] = Field(default=(), strict=False)
    folder: str = ""
    entry: str = ""
    command: tuple[str, ...] = Field(default=(), strict=False)
    metric: str = ""
    pattern: str = ""
    pattern_use: Literal["only", "last"] = "only"
    direction: Literal["minimize", "maximize"] = "minimize"
    unit: Annotated[str, Field(max_length=16)] = ""
    time_limit: Annotated[float, Field(gt=0.0, le=30 * 86400.0)] = 60.0
    data: tuple[str, ...] = Field(default=(), strict=False)
    seed_variable: str = "EVORESEARCH_SEED"
    scoring: str = "reported"

    @property
    def is_script(self) -> bool:
        """True if the run evolves a script of the user's own."""
        return bool(self.files)

    @property
    def main(self) -> str:
        """Path of the file that a trial starts."""
        return self.entry or self.files[0]

    @property
    def title(self) -> str:
        """What runs are named after: the script, as far as a run can be called that."""
        stem = PurePosixPath(self.main).stem
        return re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:40] or "script"

    def words(self) -> list[str]:
        """The command as words; ``python`` is the interpreter that runs evolve."""
        words = self.command or ("python", self.main)
        return [sys.executable if words[0] in _PYTHON else words[0], *words[1:]]

    def as_metric(self) -> Metric:
        """The metric as the run keeps it."""
        return Metric(self.metric, Direction(self.direction), self.unit)

    @field_validator("files", "data")
    @classmethod
    def _are_inside(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not all(PART.fullmatch(part) for part in path.rstrip("/").split("/")):
                raise ValueError(
                    f"{path!r} is no path inside the project: paths are relative, made of letters, "
                    "digits, '_', '-', '.' and spaces, with no part that begins with a dot"
                )
        if len({path.rstrip("/") for path in paths}) != len(paths):
            raise ValueError("one path is named twice")
        return tuple(path.rstrip("/") for path in paths)

    @field_validator("command", mode="before")
    @classmethod
    def _is_split(cls, command: object) -> object:
        try:
            return shlex.split(command) if isinstance(command, str) else command
        except ValueError as error:
            raise ValueError(f"it cannot be split into words: {error}") from None

    @field_validator("command")
    @classmethod
    def _names_a_program(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if any("\0" in word for word in words) or (words and not words[0]):
            raise ValueError("its first word must be a program, and no word may hold a nul")
        return words

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from None
        if pattern and groups != 1:
            raise ValueError(
                f"it has {groups} groups, but exactly one must hold the number, as in "
                "'loss: (.+)'; write (?:...) for the others"
            )
        return pattern

    @field_validator("seed_variable")
    @classmethod
    def _is_variable(cls, name: str) -> str:
        if not _VARIABLE.fullmatch(name) or name in ("PATH", "HOME", "TMPDIR"):
            raise ValueError("a name for an environment variable is needed, such as SEED")
        return name

    @field_validator("scoring")
    @classmethod
    def _is_reported(cls, scoring: str) -> str:
        if scoring == "trusted":
            raise ValueError(
                "nothing can compute the score of a foreign script in its place: a script's score "
                "is always what it printed, so only 'reported' is possible here"
            )
        if scoring != "reported":
            raise ValueError("only 'reported' is possible: the script prints its own score")
        return scoring

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.is_script:
            lost = [
                name
                for name in ("entry", "command", "metric", "pattern", "data")
                if getattr(self, name)
            ]
            if lost:
                raise ValueError(
                    f"{lost[0]} is set, but files names no script that it could belong to: set "
                    'files = ["train.py"], or leave [task] out for the built-in task'
                )
            return self
        if not any(path.endswith(".py") for path in self.files):
            raise ValueError("none of the files is Python (.py), and operators change Python alone")
        if self.main not in self.files:
            raise ValueError(f"entry {self.entry!r} is not among the files: add it there")
        if not _METRIC_NAME.fullmatch(self.metric):
            raise ValueError(
                f"metric is {self.metric!r}, but the number that the script prints needs a name of "
                "letters, digits and _ . / -, such as val_loss"
            )
        clash = {a for a in self.data for b in self.files if a == b or b.startswith(f"{a}/")}
        if clash:
            raise ValueError(f"{min(clash)!r} is data and holds a file of the genome: choose one")
        return self
