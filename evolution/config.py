"""EvolutionConfig: the settings of a run, read from evolve.toml, checked once, frozen.

Every key with its default stands in the `evolve.toml` at the top of the repository; this module
owns types, ranges and the words of a refusal.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from evolution.agent_settings import AgentSettings
from evolution.cgroups import usable_cores
from evolution.niches import Descriptor
from evolution.task_settings import TaskSettings
from population.errors import EvolveError, did_you_mean

#: Shares of a budget at which a reading is taken; see `Site.snapshots`.
SNAPSHOTS = (0.1, 0.25, 0.5)

#: Operators that only unite what is there.
UNITING = ("merge", "guided", "crossover")
#: Those that cannot begin a search: they go by what others tried.
FOLLOWING = (*UNITING, "tuner")
#: Operators that ask a language model: they count only while ``[agents]`` names one.
MODEL_OPERATORS = ("mutator", "crossover", "minimizer")

_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Weight = Annotated[float, Field(ge=0.0)]


class ConfigError(EvolveError):
    """A setting that is unknown, mistyped, out of range or at odds with another."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class RunSettings(_Section):
    """Which sizes, data, training budget and seed; a budget of 0 is the profile's.

    ``knobs`` are sizes that the shipped genome takes in place of the profile's; one that was edited
    keeps its own.
    """

    profile: str = "cpu"
    knobs: Mapping[str, bool | int | float | str] = Field(default_factory=dict)
    budget: Annotated[float, Field(ge=0.0)] = 0.0
    rng_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: tuple[str, ...] = Field(default=(), strict=False)


class LimitSettings(_Section):
    """What ends the search; 0 is no limit."""

    trials: Annotated[int, Field(ge=0)] = 24
    hours: Annotated[float, Field(ge=0.0)] = 0.0
    device_hours: Annotated[float, Field(ge=0.0)] = 0.0

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if not (self.trials or self.hours or self.device_hours):
            raise ValueError(
                "trials, hours and device_hours are all 0, so that nothing would end the search: "
                "set at least one of them"
            )
        return self


class WorkerSettings(_Section):
    """How many trainings at once; 0 is one for each GPU, or for each core without one."""

    count: Annotated[int, Field(ge=0, le=1024)] = 0


class BaselineSettings(_Section):
    """Repeats of the baseline, which tell the noise."""

    repeats: Annotated[int, Field(ge=2, le=50)] = 3


class PopulationSettings(_Section):
    """Who may breed; ``seeds`` is a folder of hand-written variants, "" for none."""

    survivors: Annotated[int, Field(ge=3, le=10_000)] = 16
    tournament: Annotated[int, Field(ge=1, le=10_000)] = 16
    seeds: str = "seeds"
    niches: tuple[Annotated[Descriptor, Field(strict=False)], ...] = Field(default=(), strict=False)


class IslandSettings(_Section):
    """Demes that breed each with itself; a ``count`` of 0 is automatic."""

    count: Annotated[int, Field(ge=0, le=64)] = 0
    interval: Annotated[int, Field(ge=1, le=100_000)] = 10
    elites: Annotated[int, Field(ge=1, le=100)] = 2


class PlateauSettings(_Section):
    """When a search counts as flat, and whether it answers to that; a ``window`` of 0 is automatic.

    The window is counted in whole trainings; the gain that is progress, in σ.
    """

    window: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    gain: Annotated[float, Field(gt=0.0, le=100.0)] = 0.5
    responds: bool = False


class OperatorSettings(_Section):
    """How often each operator is asked, relative to the others.

    ``adaptive`` lets what their offspring bring move that, from these weights on.
    """

    adaptive: bool = True
    knob: _Weight = 0.35
    tuner: _Weight = 0.0
    structure: _Weight = 0.45
    merge: _Weight = 0.10
    guided: _Weight = 0.30
    literal: _Weight = 0.0
    mutator: _Weight = 1.0
    crossover: _Weight = 0.3
    minimizer: _Weight = 0.1

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of all operators that may have a weight."""
        return tuple(name for name in cls.model_fields if name != "adaptive")

    def weights(self, *, has_agents: bool = False) -> dict[str, float]:
        """Operators that are on, with their weights; those of a language model if there is one."""
        return {
            name: weight
            for name, weight in self
            if name in self.names() and weight > 0 and (has_agents or name not in MODEL_OPERATORS)
        }


class TunerSettings(_Section):
    """Which of Optuna's samplers sets the knobs."""

    sampler: Literal["tpe", "cmaes"] = "tpe"


class StoppingSettings(_Section):
    """When a hopeless trial is stopped at its snapshot."""

    enabled: bool = True
    fraction: float = 0.25
    p_better: _Share = 0.15
    exempt: _Share = 0.10

    @field_validator("fraction")
    @classmethod
    def _is_read(cls, fraction: float) -> float:
        if fraction not in SNAPSHOTS:
            raise ValueError("snapshots are taken at 0.1, 0.25 or 0.5 of the budget")
        return fraction


class VerdictSettings(_Section):
    """Champion against baseline: how many pairs, at which depths; and champions on the way."""

    pairs: Annotated[int, Field(ge=2, le=100)] = 3
    max_pairs: Annotated[int, Field(ge=2, le=100)] = 5
    depths: tuple[Annotated[float, Field(gt=0.0, le=16.0)], ...] = Field(
        default=(1.0, 1.5), strict=False
    )
    publication_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_pairs < self.pairs:
            raise ValueError(
                f"max_pairs is {self.max_pairs}, but pairs asks for at least {self.pairs}: "
                "raise max_pairs or lower pairs"
            )
        if not self.depths or self.depths[0] != 1.0:
            raise ValueError("depths must begin with 1.0, the home depth")
        if len(set(self.depths)) != len(self.depths):
            raise ValueError("depths names one depth twice")
        return self


class SandboxSettings(_Section):
    """What holds the trainers: which level, and how much they may write."""

    level: Literal["auto", "namespace", "landlock", "basic"] = "auto"
    scratch_mb: Annotated[int, Field(ge=16, le=1_048_576)] = 512


class ScoringSettings(_Section):
    """Who computes scores, and how closely they are audited."""

    mode: Literal["trusted", "reported"] = "trusted"
    probes: Annotated[int, Field(ge=100, le=100_000)] = 1000
    champion_probes: Annotated[int, Field(ge=100, le=100_000)] = 4000
    pairs: Annotated[int, Field(ge=8, le=10_000)] = 64

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.champion_probes < self.probes:
            raise ValueError(
                f"champion_probes is {self.champion_probes}, but every trial gets {self.probes} "
                "probes: raise champion_probes or lower probes"
            )
        return self


class EvolutionConfig(_Section):
    """The settings of one run.

    Raises:
        ConfigError: From `load` and `from_mapping`, in three parts.
    """

    run: RunSettings = RunSettings()
    task: TaskSettings = TaskSettings()
    limits: LimitSettings = LimitSettings()
    workers: WorkerSettings = WorkerSettings()
    baseline: BaselineSettings = BaselineSettings()
    population: PopulationSettings = PopulationSettings()
    islands: IslandSettings = IslandSettings()
    plateau: PlateauSettings = PlateauSettings()
    operators: OperatorSettings = OperatorSettings()
    tuner: TunerSettings = TunerSettings()
    agents: AgentSettings = AgentSettings()
    stopping: StoppingSettings = StoppingSettings()
    verdict: VerdictSettings = VerdictSettings()
    sandbox: SandboxSettings = SandboxSettings()
    scoring: ScoringSettings = ScoringSettings()

    @model_validator(mode="before")
    @classmethod
    def _script_defaults(cls, settings: object) -> object:
        """A script has no depth to change, rarely ALL_CAPS knobs, and a score of its own."""
        if not isinstance(settings, Mapping):
            return settings
        task = settings.get("task")
        if not isinstance(task, Mapping) or not task.get("files"):
            return settings
        return _laid_over(settings, _SCRIPT_DEFAULTS)

    @model_validator(mode="after")
    def _something_new_can_arise(self) -> Self:
        weights = self.operator_weights()
        if any(name not in FOLLOWING for name in weights):
            return self
        raise ValueError(
            "operators: knob, structure and literal are all 0, and no language model is asked for "
            "a mutation, so that nothing new could arise: set at least one of them above 0, or "
            "[agents] kind"
        )

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if not self.task.is_script:
            return self
        if self.verdict.depths != (1.0,):
            raise ValueError(
                "[verdict] depths has a depth beside 1.0, but a script of one's own has no depth "
                "that could be changed: leave depths out"
            )
        if self.scoring.mode == "trusted":
            raise ValueError(
                "[scoring] mode is 'trusted', but the score of a script of one's own is what it "
                "prints: leave mode out"
            )
        if self.run.data or self.run.budget:
            name = "data" if self.run.data else "budget"
            raise ValueError(
                f"[run] {name} belongs to the built-in task, but [task] names a script: set "
                f"[task] {'data' if name == 'data' else 'time_limit'} instead"
            )
        return self

    @classmethod
    def load(cls, path: Path, overrides: Mapping[str, Any] | None = None) -> "EvolutionConfig":
        """Read a TOML file, lay dotted ``overrides`` such as ``limits.trials`` over it, check."""
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                f"There is no settings file {path}. A run needs one. "
                "Write it with `evolve init`, or name yours with --config."
            ) from None
        except PermissionError:
            raise ConfigError(
                f"{path} may not be read. A run needs its settings. Give yourself the right to, or "
                "name another file with --config."
            ) from None
        except IsADirectoryError:
            raise ConfigError(
                f"{path} is a folder. A TOML file of settings is needed. Name the file in it."
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path} is not valid TOML: {error}. Settings are lines such as `trials = 24` "
                "under a heading such as `[limits]`. Mend the line and try again."
            ) from None
        run = settings.get("run")
        if isinstance(run, dict) and isinstance(run.get("data"), list):  # beside the settings
            run["data"] = [
                str((path.parent / Path(name).expanduser()).resolve())
                if isinstance(name, str)
                else name
                for name in run["data"]
            ]
        task = settings.get("task")
        if isinstance(task, dict) and isinstance(task.get("folder"), str) and task["folder"]:
            task["folder"] = str((path.parent / Path(task["folder"]).expanduser()).resolve())
        return cls.from_mapping(settings, overrides, source=str(path))

    @classmethod
    def from_mapping(
        cls,
        settings: Mapping[str, Any],
        overrides: Mapping[str, Any] | None = None,
        source: str = "settings",
    ) -> "EvolutionConfig":
        """Check settings that are already read."""
        merged: dict[str, Any] = {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in settings.items()
        }
        for dotted, value in (overrides or {}).items():
            section, _, key = dotted.partition(".")
            if isinstance(merged.setdefault(section, {}), dict):  # else the check below says so
                merged[section][key] = value
        try:
            return cls.model_validate(merged)
        except ValidationError as error:
            raise ConfigError(_explain(error, source)) from None

    def operator_weights(self) -> dict[str, float]:
        """How often each operator is asked, relative to the others; those at 0 are left out."""
        return self.operators.weights(has_agents=self.agents.is_on)

    def worker_count(self, gpu_count: int = 0) -> int:
        """Trainings at once on this machine."""
        if self.workers.count:
            return self.workers.count
        return gpu_count or len(usable_cores())

    def as_toml(self) -> str:
        """The settings as TOML, to freeze them beside the run."""
        import tomlkit

        return tomlkit.dumps(self.model_dump(mode="json"))


#: What a script of the user's own has in place of the defaults.
_SCRIPT_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    # Structural edits know models and trainers; in foreign code they would change data and metric.
    "operators": {"literal": 0.6, "knob": 0.2, "structure": 0.0, "merge": 0.1, "guided": 0.3},
    "verdict": {"depths": [1.0]},
    # It has no model that could be scored in its place.
    "scoring": {"mode": "reported"},
}


def _laid_over(
    settings: Mapping[str, Any], defaults: Mapping[str, Mapping[str, object]]
) -> dict[str, Any]:
    """``settings`` with ``defaults`` where they say nothing."""
    laid = dict(settings)
    for section, values in defaults.items():
        given = settings.get(section, {})
        if isinstance(given, Mapping):  # else the check says so
            laid[section] = {**values, **given}
    return laid


def _explain(error: ValidationError, source: str) -> str:
    """The first complaint of pydantic, in our three parts."""
    complaint = error.errors(include_url=False)[0]
    path = [str(part) for part in complaint["loc"]]
    where = ".".join(path) or "the settings"
    count = error.error_count()
    more = f" ({count - 1} more after this one)" if count > 1 else ""
    if complaint["type"] == "extra_forbidden":
        hint = did_you_mean(path[-1], _known_keys(path[:-1]))
        return f"{source} has an unknown setting {where!r}{more}. {hint} Mend it and try again."
    found = complaint.get("input")
    shown = "" if isinstance(found, Mapping) else f" is {found!r}"
    reason = complaint["msg"].removeprefix("Value error, ")
    return f"{source}: {where}{shown}{more}. {reason}. Mend the setting and try again."


def _known_keys(path: list[str]) -> list[str]:
    model: type[BaseModel] = EvolutionConfig
    for part in path:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
