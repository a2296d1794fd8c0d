"""What the store keeps beside variants and trials: the run, requests, decisions, calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from population.trial import Outcome, Trial

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


class RunState(StrEnum):
    """Where a run stands."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One search, from ``evolve run`` to its end.

    Attributes:
        name: Name of the run.
        created_at: Seconds since the epoch.
        state: Where it stands.
        settings: The frozen settings, as JSON.
        ruler_hash: sha256 of the run's ``prepare.py``, or of the settings ``[task]``.
        data_hash: Hash of the prepared data.
        baseline: Commit of the baseline; None until it exists.
        rng_seed: All chance of the search follows from it.
    """

    name: str
    created_at: float
    state: RunState
    settings: Mapping[str, Json]
    ruler_hash: str
    data_hash: str
    baseline: str | None
    rng_seed: int

    @property
    def script_files(self) -> tuple[str, ...]:
        """The files of a script of the user's own; none where the built-in task is trained."""
        return script_files_of(self.settings)

    @property
    def trains(self) -> str:
        """What is trained, in two words: ``script fit.py`` or ``profile cpu``."""
        if self.script_files:
            return f"script {self.script_files[0]}"
        run = self.settings.get("run")
        return f"profile {run.get('profile', 'unknown') if isinstance(run, dict) else 'unknown'}"


def script_files_of(settings: Mapping[str, Json]) -> tuple[str, ...]:
    """The same of settings that no run has yet."""
    task = settings.get("task")
    files = task.get("files") if isinstance(task, dict) else None
    return tuple(map(str, files)) if isinstance(files, list) else ()


@dataclass(frozen=True, slots=True)
class Lease:
    """A running trial and who holds it."""

    trial: Trial
    slot: int
    supervisor_pid: int | None
    lease_until: float


@dataclass(frozen=True, slots=True)
class LateResult:
    """A result whose attempt had been given up: kept, and nothing else follows from it."""

    trial: int
    attempt: int
    received_at: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Request:
    """What another command asks of a live run; only the engine settles it.

    Attributes:
        id: Order of arrival, from 1.
        kind: ``seed``, ``pause``, …
        payload: What it needs, as JSON.
        created_at: Seconds since the epoch; None if unsaid.
    """

    id: int
    kind: str
    payload: Json
    created_at: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of the engine, with the state its random generator had afterwards."""

    id: int
    kind: str
    payload: Json
    rng_state: Json


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a language model: what was asked, what came back, what it cost.

    Attributes:
        operator: Who asked.
        model: Which model answered.
        prompt: Everything it was shown.
        reply: Everything it said; empty if the call failed.
        at: Seconds since the epoch.
        latency_seconds: From request to reply.
        input_tokens: As the provider counts them, cached ones apart.
        output_tokens: Likewise.
        cached_input_tokens: Likewise.
        cost_usd: Dollars.
        stop_reason: As the provider names it.
        variant: Commit of the variant it led to; None if none did.
        trial: Trial it belongs to (a repair, an explanation); None if none.
        details: Further facts, as JSON.
    """

    operator: str
    model: str
    prompt: str
    reply: str
    at: float
    latency_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_usd: float = 0.0
    stop_reason: str = ""
    variant: str | None = None
    trial: int | None = None
    details: Mapping[str, Json] = field(default_factory=dict)
