"""The executor protocol: jobs in, events out. The engine never waits inside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from population import (
    Calibration,
    Conditions,
    CurvePoint,
    Genome,
    ManualLimits,
    Outcome,
    Snapshot,
)


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to run one attempt at a trial.

    Attributes:
        trial_id: Number of the trial.
        attempt: Which attempt, from 1.
        label: Variant name, for people.
        genome: The files to train.
        conditions: Under which.
        token_budget: If not None, train for exactly these tokens whatever the budget says
            (a verdict run at equal tokens, or a ``cpu`` budget whose price is known).
        calibrate: True to measure the genome's cost first; a ``cpu`` budget then buys tokens.
        known_calibrations: Earlier calibrations of this genome on this device class, to pool.
        limits: On parameters and memory, beside those of the machine.
        is_confirmation: True where the run confirms a champion, and is audited more closely.
    """

    trial_id: int
    attempt: int
    label: str
    genome: Genome
    conditions: Conditions
    token_budget: int | None = None
    calibrate: bool = False
    known_calibrations: tuple[Calibration, ...] = ()
    limits: ManualLimits = field(default_factory=ManualLimits)
    is_confirmation: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The trainer process exists. ``supervisor_pid`` owns its tree; ``slot`` is the worker."""

    trial_id: int
    attempt: int
    slot: int
    supervisor_pid: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """A point of the training curve arrived. For display."""

    trial_id: int
    attempt: int
    point: CurvePoint


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """A reading inside the run arrived: the engine may stop the trial."""

    trial_id: int
    attempt: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Finished:
    """The attempt is over and its process tree is gone."""

    trial_id: int
    attempt: int
    outcome: Outcome


Event = Started | Reported | SnapshotTaken | Finished


class Executor(Protocol):
    """Runs jobs on slots; ``executors.scripted`` is the twin that trains nothing."""

    @property
    def slot_count(self) -> int:
        """How many jobs may run at once."""
        ...

    def free_slots(self) -> int:
        """How many more jobs may be submitted now."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job. Call only while ``free_slots()`` is positive."""
        ...

    def poll(self, timeout_seconds: float) -> list[Event]:
        """What has happened since the last call; waits at most ``timeout_seconds`` for news."""
        ...

    def stop(self, trial_id: int, reason: str) -> None:
        """Kill a running job's tree; its ``Finished`` says ``stopped_early``."""
        ...

    def progress(self) -> Mapping[int, float]:
        """Share of the budget used, 0 to 1, for each running trial id."""
        ...

    def calibrate_baseline(self, device_class: str) -> Calibration:
        """Measure the baseline against itself, which may take some seconds: gives the yardstick."""
        ...

    def set_yardstick(self, seconds: float) -> None:
        """CPU-seconds per token of the baseline, in which the run's ``cpu`` budgets count."""
        ...

    def sweep_orphans(self) -> list[int]:
        """Kill what an earlier engine of this run left behind; the process ids."""
        ...

    def close(self) -> None:
        """Kill everything that still runs, and release what is held."""
        ...
