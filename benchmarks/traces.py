"""Traces: what models were asked and said, kept so that our reading of it can be tried again.

A file has one JSON object a line: where it comes from, texts that several lines share, and one line
for each proposal: role, seed, parents, and every call with prompt, reply and usage. The operators
themselves read the replies, at the recording and at each replay.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents import (
    Asking,
    CallFailure,
    Context,
    Message,
    Minimizer,
    Model,
    ModelCrossover,
    ModelError,
    Mutator,
    Parent,
    Prices,
    Prompt,
    Proposal,
    Refusal,
    Reply,
    ToolUse,
    Usage,
)
from agents.secrets import Secrets
from population import EvolveError, Genome, Origin, Variant, canonical_hash

OPERATORS = {"mutator": Mutator, "crossover": ModelCrossover, "minimizer": Minimizer}
#: How they ask here, where there is no run to look variants up in.
ASKING = Asking(tool_calls=4)
_LOOKS = ("read_file", "lookup", "lint", "smoke_run")  # tools on the way to an answer
_SHARED_CHARACTERS = 400  # a shorter text is kept where it stands


class TraceError(EvolveError):
    """A file holds no traces."""


@dataclass(frozen=True)
class Spoken:
    """One call: its prompt, and the reply or the class of the failure.

    ``unknown_usd`` is the worst case of a failure whose bill nobody knows.
    """

    model: str
    prompt: tuple[str, ...]
    reply: Reply
    failure: CallFailure | None = None
    unknown_usd: float = 0.0

    @property
    def is_answer(self) -> bool:
        """False for a failure, and for a reply that only looks something up."""
        uses = self.reply.tool_uses
        return self.failure is None and not (uses and all(use.name in _LOOKS for use in uses))


@dataclass
class Trace:
    """One proposal: who was asked for it, of which parents, and all that was said."""

    role: str
    seed: int
    parents: tuple[str, ...]
    calls: list[Spoken] = field(default_factory=list)


class Recording:
    """``model``, with every call written into ``trace`` and no more spent than ``limit_usd``."""

    def __init__(self, model: Model, trace: Trace, *, left_usd: float, prices: Prices) -> None:
        self.name = model.name
        self.left_usd = left_usd
        self.is_out = False
        self._model = model
        self._trace = trace
        self._price = prices.of(model.name)
        self._secrets = Secrets(os.environ)

    def reply(self, prompt: Prompt) -> Reply:
        """Ask, if the worst case fits into what is left.

        Raises:
            ModelError: It does not, or no reply could be had.
        """
        prompt = self._secrets.prompt(prompt)
        worst = self._price.worst_usd(prompt)
        if worst > self.left_usd:
            self.is_out = True
            raise ModelError(
                f"A call may cost ${worst:.4f}, but ${self.left_usd:.4f} is left. "
                "Raise --limit-usd.",
                CallFailure.OUT_OF_MONEY,
            )
        try:
            reply = self._secrets.reply(self._model.reply(prompt))
        except ModelError as error:
            nothing = Reply("", error.usage or Usage(), stop_reason="", model=self.name)
            is_unknown = error.kind.may_be_billed and error.usage is None
            self._keep(prompt, nothing, error.kind, worst if is_unknown else 0.0)
            raise
        self._keep(prompt, reply, None)
        return reply

    def _keep(
        self,
        prompt: Prompt,
        reply: Reply,
        failure: CallFailure | None,
        unknown_usd: float = 0.0,
    ) -> None:
        said = (*prompt.system, *map(_turn, prompt.messages))
        self._trace.calls.append(Spoken(self.name, said, reply, failure, unknown_usd))
        self.left_usd -= self._price.cost_usd(reply.usage) + unknown_usd


class Replaying:
    """Gives the replies of a trace again, in order, whatever it is asked."""

    def __init__(self, trace: Trace) -> None:
        self.name = trace.calls[0].model if trace.calls else "nobody"
        self.used = 0
        self._calls = trace.calls

    def reply(self, prompt: Prompt) -> Reply:  # noqa: ARG002 - the answer was given long ago
        """The next reply.

        Raises:
            ModelError: There was none, or the trace has ended.
        """
        if self.used == len(self._calls):
            raise ModelError("The trace has ended.", CallFailure.CUT_OFF)
        spoken = self._calls[self.used]
        self.used += 1
        if spoken.failure is not None:
            raise ModelError("as it was recorded", spoken.failure)
        return spoken.reply


def proposed(trace: Trace, model: Model, seen: frozenset[str]) -> Proposal | Refusal:
    """What the operator of ``trace`` makes of its parents by asking ``model``."""
    parents = [Genome.single(text) for text in trace.parents]
    context = Context(
        parents=[_parent(genome, i) for i, genome in enumerate(parents[:2])],
        baseline=parents[-1],
        base=parents[-1] if len(parents) > 2 else None,
        seen=seen,
        rng=np.random.default_rng(trace.seed),
    )
    return OPERATORS[trace.role](model, ASKING).propose(context)


def write_traces(path: Path, traces: Sequence[Trace], *, source: str) -> None:
    """Keep ``traces``; a text of some length is written once."""
    genomes = {text.strip(): None for trace in traces for text in trace.parents}
    known: set[str] = set()
    lines: list[dict[str, Any]] = [{"source": source}]

    def kept(text: str) -> Any:  # noqa: ANN401 - JSON
        if len(text) < _SHARED_CHARACTERS:
            return text
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        if name not in known:
            known.add(name)
            lines.append({"text": name, "is": text})
        return {"ref": name}

    for trace in traces:
        calls = [
            {
                "model": call.model,
                "prompt": [[kept(part) for part in _split(text, genomes)] for text in call.prompt],
                "reply": kept(call.reply.text),
                "tool_uses": [dataclasses.asdict(use) for use in call.reply.tool_uses],
                "stop_reason": call.reply.stop_reason,
                "usage": dataclasses.asdict(call.reply.usage),
                "failure": call.failure,
                "unknown_usd": call.unknown_usd,
            }
            for call in trace.calls
        ]
        parents = [kept(text) for text in trace.parents]
        lines.append({"role": trace.role, "seed": trace.seed, "parents": parents, "calls": calls})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def read_traces(path: Path) -> tuple[str, list[Trace]]:
    """Where the traces of a file come from, and the traces.

    Raises:
        TraceError: It holds none.
    """
    source, texts, traces = path.stem, {}, []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if "text" in row:
                texts[row["text"]] = row["is"]
            elif "source" in row:
                source = row["source"]
            else:
                traces.append(_trace(row, texts))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TraceError(
            f"{path} could not be read as traces ({type(error).__name__}: {error}), but a replay "
            "needs a file that this benchmark wrote. Make one with --live 40 --keep FILE."
        ) from error
    if not traces:
        raise TraceError(
            f"{path} holds no trace, but a replay needs one. Make some with --live 40 --keep FILE."
        )
    return source, traces


def _parent(genome: Genome, number: int) -> Parent:
    genome_hash = canonical_hash(genome)
    sha = hashlib.sha1(genome_hash.encode(), usedforsecurity=False).hexdigest()
    variant = Variant(
        sha, f"g000-{number:03d}", 0, (), Origin.SEED, "seed", "a parent", genome_hash, 0.0
    )
    return Parent(variant, genome)


def _turn(message: Message) -> str:
    """A turn as people read it; what was used in it stands with the reply."""
    results = (result.text for result in message.tool_results)
    return f"{message.role}: " + "\n\n".join(filter(None, (*results, message.text)))


def _split(text: str, genomes: Mapping[str, None]) -> Iterator[str]:
    """``text`` in pieces: genomes, and what is between them."""
    found = min((g for g in genomes if g in text), key=text.index, default=None)
    if not found:
        yield text
        return
    before, _, after = text.partition(found)
    yield from filter(None, (before, found))
    if after:
        yield from _split(after, genomes)


def _trace(row: Mapping[str, Any], texts: Mapping[str, str]) -> Trace:
    def whole(kept: Any) -> str:  # noqa: ANN401 - JSON
        return kept if isinstance(kept, str) else texts[kept["ref"]]

    calls = [
        Spoken(
            call["model"],
            tuple("".join(map(whole, parts)) for parts in call["prompt"]),
            Reply(
                whole(call["reply"]),
                usage=Usage(**call["usage"]),
                stop_reason=call["stop_reason"],
                tool_uses=tuple(ToolUse(**use) for use in call["tool_uses"]),
                model=call["model"],
            ),
            CallFailure(call["failure"]) if call["failure"] else None,
            call["unknown_usd"],
        )
        for call in row["calls"]
    ]
    if row["role"] not in OPERATORS:
        raise KeyError(row["role"])
    return Trace(row["role"], row["seed"], tuple(map(whole, row["parents"])), calls)
