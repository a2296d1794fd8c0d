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
        kind: ``seed``, ``suggest``, ``pin``, …
        payload: What it needs, as JSON.
        created_at: Seconds since the epoch; None if unsaid.
    """

    id: int
    kind: str
    payload: Json
    created_at: float | None = None


class CommissionState(StrEnum):
    """What came of a commission."""

    OPEN = "open"
    BORN = "born"  # a variant was made of it
    REFUSED = "refused"  # nothing could be made of it
    DONE = "done"  # it was to make no variant, and is finished


@dataclass(frozen=True, slots=True)
class Commission:
    """Work given to an operator that asks a language model, so that a next sitting can finish it.

    Attributes:
        id: From 1.
        operator: Who has it.
        parents: Commits of the parents, in order; none for work that makes no variant.
        intent: What it is meant to be; empty if unsaid.
        rng_seed: All chance of the operator follows from it.
        at: When it was given, in seconds since the epoch.
        state: What came of it.
        variant: Commit of the variant that was made; None if none was.
        reason: Why nothing was made; empty if something was.
        suggestions: Numbers of the people's suggestions that it was offered.
    """

    id: int
    operator: str
    parents: tuple[str, ...]
    intent: str
    rng_seed: int
    at: float
    state: CommissionState = CommissionState.OPEN
    variant: str | None = None
    reason: str = ""
    suggestions: tuple[int, ...] = ()


class CallState(StrEnum):
    """Where a call stands."""

    RESERVED = "reserved"  # its worst case is set aside; the provider may be at work
    SETTLED = "settled"  # the reply is here, and paid
    FAILED = "failed"  # no reply came
    ABANDONED = "abandoned"  # the asking process died first: charged at its worst case


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a language model: what was asked, what came back, what it cost.

    Attributes:
        operator: Who asked.
        model: Which model answered.
        prompt: The last turn of the conversation: what was asked.
        reply: Everything it said; empty if the call failed.
        at: Seconds since the epoch.
        latency_seconds: From request to reply.
        input_tokens: As the provider counts them, cached ones apart.
        output_tokens: Likewise.
        cached_input_tokens: Likewise.
        cost_usd: Dollars; 0 while the call is reserved.
        stop_reason: As the provider names it.
        variant: Commit of the variant it led to; None if none did.
        trial: Trial it belongs to (a repair, an explanation); None if none.
        details: Further facts, as JSON: ``error`` says in words why a call failed.
        commission: Number of the commission it is part of; None if of none.
        ordinal: Its place among the calls of the commission, from 0.
        state: Where it stands.
        failure: Class of the failure; None if there was none.
        reserved_usd: The most it could cost, as reckoned before it was made.
        cache_write_tokens: Read, and written to the provider's cache.
        template: Hash of the prompt files that the prompt was made of.
        request_id: The provider's name for the call.
        tool_uses: Tools that the reply wants used: ``id``, ``name``, ``arguments`` of each.
        native: The reply in the provider's own form.
        system: Standing instructions, block by block; read only when asked for.
        earlier: Turns of the conversation before ``prompt``; read only when asked for.
        tools: The tools that were offered, as JSON; read only when asked for.
        id: Number of the call, from 1; None before it is stored.
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
    commission: int | None = None
    ordinal: int | None = None
    state: CallState = CallState.SETTLED
    failure: str | None = None
    reserved_usd: float = 0.0
    cache_write_tokens: int = 0
    template: str = ""
    request_id: str = ""
    tool_uses: Sequence[Json] = ()
    native: Json = None
    system: Sequence[str] = ()
    earlier: Sequence[str] = ()
    tools: str = ""
    id: int | None = None


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call came to; the fields are those of ``Call``."""

    reply: str = ""
    latency_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    stop_reason: str = ""
    request_id: str = ""
    tool_uses: Sequence[Json] = ()
    native: Json = None
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoleSpending:
    """What one role of one model has cost.

    Attributes:
        operator: The role.
        model: Who was asked.
        call_count: Calls, whatever became of them.
        failed_count: Those that gave no reply: failed or abandoned.
        input_tokens: Read at the full price.
        cached_input_tokens: Read from the provider's cache.
        cache_write_tokens: Read and written to it.
        output_tokens: Written.
        spent_usd: Dollars charged.
        reserved_usd: Dollars set aside for calls under way.
        variant_count: Variants that came of its calls.
        variants: Their commits.
    """

    operator: str
    model: str
    call_count: int
    failed_count: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    spent_usd: float
    reserved_usd: float
    variant_count: int
    variants: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Spending:
    """What the language models of a run have cost so far.

    Attributes:
        roles: One row for each role and model, the dearest first.
        variant_count: Variants that came of calls, each counted once.
        spent_usd: Dollars charged; worst cases of calls that may have been billed included.
        reserved_usd: Dollars set aside for calls under way.
    """

    roles: Sequence[RoleSpending] = ()
    variant_count: int = 0
    spent_usd: float = 0.0
    reserved_usd: float = 0.0

    @property
    def usd_by_operator(self) -> dict[str, float]:
        """Dollars charged to each operator that asked."""
        spent: dict[str, float] = {}
        for role in self.roles:
            spent[role.operator] = spent.get(role.operator, 0.0) + role.spent_usd
        return spent
