"""How good are the replies of language models, and how well do real edits merge?

*Replay.* Recorded prompts and replies go through the operators again: how many replies make a
variant at once, how many after a correction, tokens, share read from the cache, dollars. The set
that comes along was made by the twin: it judges our reading of replies, and no model.

*Branch.* A git branch of someone's research, one commit for each kept change: what share of the
edits merges alone and in pairs, before and after merging knobs by name.

*Live.* With a key, ``--live N`` asks for N proposals, within ``--limit-usd``, and reports the same.

    python -m benchmarks.agents
    python -m benchmarks.agents --branch ~/autoresearch autoresearch/mar5 --json edits.json
    python -m benchmarks.agents --live 40 --limit-usd 2 --keep mine.jsonl

Shares come with 95 % intervals (Wilson). As a module, because this file is called as a package is.
"""

if __name__ == "agents":
    raise ImportError(
        "benchmarks/agents.py was imported in place of the package agents, because the folder "
        "benchmarks is on the path. Start benchmarks as modules: python -m benchmarks.budget"
    )

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents import CallFailure, Model, Price, Prices, Proposal
from benchmarks.edit_stream import Count, merging, read_stream
from benchmarks.traces import (
    Recording,
    Replaying,
    Trace,
    proposed,
    read_traces,
    write_traces,
)
from evolution.agent_settings import AgentSettings
from evolution.models import Models
from evolution.templates import seed_paths, template_path
from population import EvolveError, canonical_hash

SHIPPED = Path(__file__).with_name("traces") / "twin.jsonl"
_CROSSOVER_EVERY = 4  # of live proposals
_MINIMIZER_EVERY = 7
_LIVE_SEEDS = 3  # hand-written variants beside the baseline that serve as parents
_Z = 1.959964  # of a normal distribution, 95 %

Figures = dict[str, Any]


def share(count: int, total: int) -> Figures:
    """A share with its 95 % interval; None where there is nothing to share."""
    if total == 0:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    p, z2 = count / total, _Z * _Z
    middle = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    low, high = max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))
    return {"count": count, "of": total, "share": p, "low": low, "high": high}


def replay(traces: Sequence[Trace], prices: Prices) -> Figures:
    """Let the operators read every trace again; the figures of all, and of each role.

    Raises:
        PriceError: A model of a trace has no price.
    """
    seen: set[str] = set()
    attempts: dict[str, list[tuple[int, bool]]] = {}
    for trace in traces:
        model = Replaying(trace)
        result = proposed(trace, model, frozenset(seen))
        answers = sum(call.is_answer for call in trace.calls[: model.used])
        attempts.setdefault(trace.role, []).append((answers, isinstance(result, Proposal)))
        if isinstance(result, Proposal):
            seen.add(canonical_hash(result.genome))
    everything = [attempt for role in attempts.values() for attempt in role]
    return {
        **_shares(everything),
        "roles": {role: _shares(found) for role, found in attempts.items()},
        "tokens": _tokens(traces, prices),
    }


def live(count: int, model: Model, *, limit_usd: float, prices: Prices, seed: int) -> list[Trace]:
    """Ask ``model`` for ``count`` proposals on the shipped genome and its hand-written variants."""
    baseline, *others = [
        path.read_text(encoding="utf-8")
        for path in (template_path("train.py"), *seed_paths()[:_LIVE_SEEDS])
    ]
    seen: set[str] = set()
    traces: list[Trace] = []
    left = limit_usd
    for number in range(count):
        one, other = others[number % len(others)], others[(number + 1) % len(others)]
        if number % _CROSSOVER_EVERY == _CROSSOVER_EVERY - 1:
            trace = Trace("crossover", seed + number, (one, other, baseline))
        else:
            parent = baseline if number % 2 == 0 else one
            role = "mutator" if (number + 1) % _MINIMIZER_EVERY else "minimizer"
            trace = Trace(role, seed + number, (parent, baseline)[: 1 + (parent != baseline)])
        asked = Recording(model, trace, left_usd=left, prices=prices)
        result = proposed(trace, asked, frozenset(seen))
        left = asked.left_usd
        if trace.calls:
            traces.append(trace)
        if isinstance(result, Proposal):
            seen.add(canonical_hash(result.genome))
        outcome = "born" if isinstance(result, Proposal) else result.reason[:120]
        say(f"{number + 1}/{count} {trace.role}: {outcome}; ${left:.4f} left")
        if asked.is_out:
            break
    return traces


def branch(repository: Path, ref: str, path: str, *, most_pairs: int, seed: int) -> Figures:
    """How a stream of edits merges, as texts and with knobs by name."""
    stream = read_stream(repository, ref, path=path)
    found: Figures = {"edits": len(stream.edits)}
    for name, by_name in (("text", False), ("by_name", True)):
        result = merging(stream, by_name=by_name, most_pairs=most_pairs, seed=seed)
        found[name] = {
            field.name: _share_of(getattr(result, field.name))
            for field in dataclasses.fields(result)
        }
    return found


def _share_of(count: Count) -> Figures:
    return share(count.merged, count.tried)


def _shares(attempts: Sequence[tuple[int, bool]]) -> Figures:
    """Shares of proposals, each the number of its answers and whether it made a variant."""
    answered = [(answers, born) for answers, born in attempts if answers]
    corrected = [born for answers, born in answered if answers > 1]
    at_once = sum(born for answers, born in answered if answers == 1)
    replies = sum(answers for answers, _ in answered)
    born = sum(born for _, born in answered)
    return {
        "proposals": len(attempts),
        "replies": replies,
        "valid_replies": share(born, replies),
        "valid_at_once": share(at_once, len(answered)),
        "repaired": share(sum(corrected), len(corrected)),
        "born": share(born, len(attempts)),
    }


def _tokens(traces: Sequence[Trace], prices: Prices) -> Figures:
    calls = [call for trace in traces for call in trace.calls]
    usages = [call.reply.usage for call in calls]
    kinds = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
    totals = {kind: sum(getattr(usage, kind) for usage in usages) for kind in kinds}
    read = sum(totals[kind] for kind in kinds[:3])
    price: dict[str, Price] = {name: prices.of(name) for name in {call.model for call in calls}}
    dollars = sum(price[call.model].cost_usd(call.reply.usage) for call in calls)
    failures = [call.failure for call in calls if call.failure is not None]
    return {
        "calls": len(calls),
        "models": sorted(price),
        **totals,
        "cache_share": totals["cached_input_tokens"] / read if read else None,
        "cost_usd": dollars,
        "unknown_usd": sum(call.unknown_usd for call in calls),
        "cost_usd_per_proposal": dollars / len(traces) if traces else None,
        "failures": {str(kind): failures.count(kind) for kind in CallFailure if kind in failures},
    }


def told(found: Figures) -> str:
    """A share in words."""
    if found["share"] is None:
        return "none"
    low, high = 100 * found["low"], 100 * found["high"]
    share_words = f"{100 * found['share']:.0f} % ({low:.0f} to {high:.0f})"
    return f"{share_words}, {found['count']} of {found['of']}"


def print_replies(found: Figures) -> None:
    """The tables of a replay."""
    for role, figures in {"all": found, **found["roles"]}.items():
        print(f"{role}: {figures['proposals']} proposals, {figures['replies']} replies")
        for name in ("valid_replies", "valid_at_once", "repaired", "born"):
            print(f"  {name.replace('_', ' '):14} {told(figures[name])}")
    tokens = found["tokens"]
    cache = "–" if tokens["cache_share"] is None else f"{100 * tokens['cache_share']:.0f} %"
    print(
        f"tokens: {tokens['input_tokens']} in, {tokens['cached_input_tokens']} from the cache "
        f"({cache}), {tokens['cache_write_tokens']} into it, {tokens['output_tokens']} out"
    )
    unknown = tokens["unknown_usd"]
    more = f", and at most ${unknown:.4f} for calls that failed" if unknown else ""
    models = ", ".join(tokens["models"])
    print(f"cost: ${tokens['cost_usd']:.4f}{more}, at list prices of {models}")
    if tokens["failures"]:
        print("failures: " + ", ".join(f"{n} {kind}" for kind, n in tokens["failures"].items()))


def print_branch(found: Figures) -> None:
    """The table of a branch."""
    print(f"{found['edits']} edits")
    words = {"alone": "alone", "pairs": "pairs of those", "all_pairs": "of all pairs"}
    for name, label in (("text", "as text"), ("by_name", "knobs by name")):
        for kind, kind_label in words.items():
            print(f"  {label:14} {kind_label:15} {told(found[name][kind])}")


def say(words: str) -> None:
    """Progress."""
    print(words, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.agents", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--traces", type=Path, default=SHIPPED, help="file to replay")
    parser.add_argument("--branch", nargs=2, metavar=("REPO", "REF"), help="a stream of edits")
    parser.add_argument("--file", default="train.py", help="of the branch: what is edited")
    parser.add_argument("--most-pairs", type=int, default=500, help="drawn, if there are more")
    parser.add_argument("--live", type=int, metavar="N", help="ask for N proposals; costs money")
    parser.add_argument("--limit-usd", type=float, default=1.0, help="of --live, all calls")
    parser.add_argument("--kind", choices=("claude", "openai"), default="claude")
    parser.add_argument("--model", default="", help="of --live; default: the kind's own")
    parser.add_argument("--base-url", default="", help="of --live: another server")
    parser.add_argument("--price", nargs=2, type=float, metavar=("IN", "OUT"), help="$ per Mtok")
    parser.add_argument("--keep", type=Path, help="where the traces of --live go")
    parser.add_argument("--source", default="live", help="what to call them")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn")
    parser.add_argument("--json", type=Path, help="where the figures go")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print the tables."""
    options = _parser().parse_args(arguments)
    try:
        found = measure(options)
    except EvolveError as error:
        say(str(error))
        return 2
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(options: argparse.Namespace) -> Figures:
    """The figures that ``options`` ask for, printed.

    Raises:
        EvolveError: There is no key, price, branch or trace.
    """
    if options.branch:
        repository, ref = options.branch
        found = branch(
            Path(repository), ref, options.file, most_pairs=options.most_pairs, seed=options.seed
        )
        print_branch(found)
        return found
    prices = Prices.standard().changed(_own_price(options))
    if options.live is None:
        source, traces = read_traces(options.traces)
    else:
        source, traces = options.source, _asked(options, prices)
    found = {"source": source, **replay(traces, prices)}
    print(f"source: {source}")
    print_replies(found)
    return found


def _asked(options: argparse.Namespace, prices: Prices) -> list[Trace]:
    """Ask for the proposals, and keep them where that is wanted."""
    settings = AgentSettings(
        kind=options.kind,
        model=options.model,
        base_url=options.base_url,
        limit_usd=options.limit_usd,
    )
    models = Models(settings, clock=time.monotonic)
    try:
        traces = live(
            options.live,
            models.of("mutator"),
            limit_usd=options.limit_usd,
            prices=prices,
            seed=options.seed,
        )
    finally:
        models.close()
    if options.keep:
        write_traces(options.keep, traces, source=options.source)
    return traces


def _own_price(options: argparse.Namespace) -> Figures:
    if not options.price:
        return {}
    dollars = dict(zip(("input", "output"), options.price, strict=True))
    return {options.model: dollars}


if __name__ == "__main__":
    sys.exit(main())
