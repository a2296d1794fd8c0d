"""AgentSettings: the section `[agents]`, which lets language models propose beside the built-ins.

Owns types, ranges and the words of a refusal; `models` makes a model of it. A key has no setting:
it comes from the environment, and is never kept.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: What each kind is, for people.
KINDS = ("off", "claude", "openai", "command")
#: Roles that the small model plays unless ``roles`` says otherwise.
SMALL_ROLES = frozenset({"repairer", "minimizer", "librarian"})


class AgentSettings(BaseModel):
    """Who the language model is, what it may cost, and how it is asked.

    Attributes:
        kind: ``off``, or what answers: Anthropic's Messages API, an OpenAI-compatible server, a
            coding agent's command line.
        model: For ideas and criticism; "" for the kind's own default.
        small_model: For repairs, deletions and summaries; "" for the kind's own default.
        roles: A model for each role that shall have another, e.g. ``{crossover = "…"}``.
        limit_usd: Hard limit on dollars, all sittings together.
        in_flight: Proposals that are made or wait at once; 0 is one for each worker.
        thinking: Whether a model thinks: ``default`` is its own way.
        effort: How much a model that thinks shall think; "" for its own.
        two_step: Ideas first, ranked, and code for the best one after.
        tool_calls: Looks a model may take (files, lineage, lint, smoke run) before it answers.
        context_tokens: Room for what the run knows, beside the genome.
        max_output_tokens: Where a reply is cut off.
        timeout_seconds: Of one call.
        batches: Ask by Message Batches: half the price, and replies within a day.
        repair: One attempt at each variant whose genome crashed.
        critic: A reading of the champion's edits after each verdict.
        critic_reads: A reading of every proposal before it is trained, which may reject it; one
            call more for each proposal.
        ideas: Folder of people's ideas for the mutator, beside the settings; "" for none.
        lessons_every: Finished trials between two distillations of lessons; 0 for none.
        provider: Who serves Claude: Anthropic, or a cloud with its own credentials.
        region: Of ``bedrock`` and ``vertex``; "" for what their environment says.
        project: Of ``vertex``; likewise.
        base_url: Of the server; "" for the environment's or the provider's own.
        headers: Further HTTP headers; not for keys.
        command: The coding agent's command line, as words; of kind ``command``.
        command_key: Name of the environment's variable that holds its key; "" for none.
        command_network: Whether its box has the network.
        command_shows: Further files and folders that it may read.
        prices: Dollars per million tokens, by model, in place of the shipped list's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    kind: Literal["off", "claude", "openai", "command"] = "off"
    model: str = ""
    small_model: str = ""
    roles: Mapping[str, str] = Field(default_factory=dict)
    limit_usd: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    in_flight: Annotated[int, Field(ge=0, le=64)] = 0
    thinking: Literal["default", "adaptive", "between_tools", "disabled"] = "default"
    effort: Literal["", "low", "medium", "high", "xhigh", "max"] = ""
    two_step: bool = False
    tool_calls: Annotated[int, Field(ge=0, le=32)] = 4
    context_tokens: Annotated[int, Field(ge=500, le=500_000)] = 12_000
    max_output_tokens: Annotated[int, Field(ge=256, le=128_000)] = 16_000
    timeout_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] = 300.0
    batches: bool = False
    repair: bool = True
    critic: bool = True
    critic_reads: bool = False
    ideas: str = "ideas"
    lessons_every: Annotated[int, Field(ge=0)] = 12
    provider: Literal["anthropic", "bedrock", "vertex"] = "anthropic"
    region: str = ""
    project: str = ""
    base_url: str = ""
    headers: Mapping[str, str] = Field(default_factory=dict)
    command: tuple[str, ...] = Field(default=(), strict=False)
    command_key: Annotated[str, Field(pattern=r"^([A-Z][A-Z0-9_]*)?$")] = ""
    command_network: bool = False
    command_shows: tuple[str, ...] = Field(default=(), strict=False)
    prices: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.is_on:
            return self
        if self.limit_usd <= 0:
            raise ValueError(
                f"kind is {self.kind!r}, but limit_usd is 0, so that no call may be made: say how "
                "many dollars the run may spend, e.g. limit_usd = 10.0"
            )
        if (self.kind == "command") != bool(self.command):
            raise ValueError("command and kind = 'command' belong together: set both, or neither")
        if self.batches and (self.kind, self.provider) != ("claude", "anthropic"):
            raise ValueError(
                f"batches is true, but {self.provider if self.kind == 'claude' else self.kind} has "
                "no Message Batches: take kind = 'claude' with provider = 'anthropic', or leave "
                "batches out"
            )
        secret = next((name for name in self.headers if _is_secret(name)), None)
        if secret is not None:
            raise ValueError(
                f"headers has {secret!r}, which carries a key, and settings are kept beside the "
                "run: leave it out and put the key into the environment"
            )
        return self

    @property
    def is_on(self) -> bool:
        """True if a language model may be asked at all."""
        return self.kind != "off"

    @property
    def may_look(self) -> bool:
        """True if a model may look at something before it answers.

        A coding agent's command line looks for itself; by batches each look would take as long as
        an answer.
        """
        return bool(self.tool_calls) and self.kind != "command" and not self.batches

    def model_of(self, role: str, default: str = "", small_default: str = "") -> str:
        """Which model plays ``role``."""
        if role in self.roles:
            return self.roles[role]
        if role in SMALL_ROLES:
            return self.small_model or small_default
        return self.model or default


def _is_secret(header: str) -> bool:
    words = ("authorization", "key", "token", "secret", "cookie")
    return any(word in header.lower() for word in words)
