"""``evolve spend``, and the calls behind a variant: what models were asked, said and cost."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evolution.cli.options import (
    RUNS,
    JsonOption,
    RunOption,
    RunsOption,
    answer,
    find_run,
    open_store,
)

if TYPE_CHECKING:
    from rich.console import Console

    from evolution.critic_record import CriticRecord
    from evolution.spending import ModelSpending
    from population import Call, Metric, RoleSpending


def spend(run: RunOption = None, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Show what language models cost: by role, for each offspring, for the confirmed gain.

    Examples:
      evolve spend
      evolve spend --run night-1 --json
    """
    from evolution.spending import model_spending

    with open_store(find_run(runs, run)) as store:
        active, metric = store.fact("active_seconds"), store.metric()
        elapsed = float(active) if isinstance(active, int | float) else 0.0
        found = model_spending(store, elapsed)
    facts = found.as_dict() if found is not None else None
    answer(facts, as_json, lambda console: _print_spending(console, found, metric))


def spending_words(found: "ModelSpending") -> list[str]:
    """What is spent, set aside and left, and where it leads."""
    from evolution.cli.text import duration

    spending, pace = found.spending, found.forecast
    limit = f" of ${found.limit_usd:.2f}" if found.limit_usd is not None else ", no limit"
    words = f"${spending.spent_usd:.2f}{limit}"
    if spending.reserved_usd:
        words += f", ${spending.reserved_usd:.2f} set aside for calls under way"
    ahead = []
    if pace.usd_per_variant is not None:
        ahead.append(f"${pace.usd_per_variant:.3f} an offspring")
    if pace.usd_per_hour is not None:
        ahead.append(f"${pace.usd_per_hour:.2f} an hour")
    if pace.seconds_left is not None:
        reached = pace.seconds_left == 0
        ahead.append(
            "the limit is reached" if reached else f"limit in about {duration(pace.seconds_left)}"
        )
    lines = [words, *([", ".join(ahead)] if ahead else [])]
    return lines + (critic_words(found.critic) if found.critic is not None else [])


def critic_words(record: "CriticRecord") -> list[str]:
    """How often the critic was right about proposals, with the counts behind it."""
    said = f"critic: {record.read} proposals read, {record.rejected} rejected"
    lines = [f"{said}, {record.warned} warned of"]
    void = "failed or gained nothing"
    if record.rejected_trained:
        lines.append(
            f"  of {record.rejected_trained} rejected and trained all the same, "
            f"{record.rejected_void} {void} (precision {record.precision:.0%})"
        )
    if record.passed_trained:
        caught = f" (recall about {record.recall:.0%})" if record.recall is not None else ""
        lines.append(f"  of {record.passed_trained} others, {record.passed_void} {void}{caught}")
    return lines


def print_calls(console: "Console", calls: "Sequence[Call]") -> None:
    """Every call behind a variant: what it was shown, what it said, what it cost, how it ended."""
    from rich.text import Text

    from evolution.cli.text import clean

    if not calls:
        console.print(Text("\nno language model was asked for it", style="dim"))
    shown: set[str] = set()
    for call in calls:
        console.print(Text(f"\n{_call_words(call)}", style="bold"))
        console.print(Text(_token_words(call), style="dim"))
        parts = [("system", text) for text in call.system]
        parts += [("earlier", text) for text in call.earlier]
        parts += [("prompt", call.prompt), ("reply", call.reply)]
        parts += [("tool use", text) for text in _use_words(call)]
        for label, text in parts:
            if not text or (label in ("system", "earlier") and text in shown):
                continue
            shown.add(text)
            console.print(Text(f"--- {label}", style="cyan"))
            console.print(Text(clean(text)))


def _call_words(call: "Call") -> str:
    from evolution.cli.text import one_line

    outcome = str(call.state) + (f": {call.failure}" if call.failure else "")
    error = call.details.get("error")
    why = f" ({one_line(str(error), 300)})" if error else ""
    stop = f", {one_line(call.stop_reason, 40)}" if call.stop_reason else ""
    cost = f"${call.cost_usd:.4f}" if call.state != "reserved" else f"≤ ${call.reserved_usd:.4f}"
    who = f"{one_line(call.operator, 40)} asked {one_line(call.model, 80)}"
    return f"call {call.id}: {who}, {cost}, {outcome}{stop}{why}"


def _token_words(call: "Call") -> str:
    return (
        f"{call.input_tokens} tokens read, {call.cached_input_tokens} from cache, "
        f"{call.cache_write_tokens} to cache; {call.output_tokens} written; "
        f"{call.latency_seconds:.1f} s"
    )


def _use_words(call: "Call") -> list[str]:
    words = []
    for use in call.tool_uses:
        if isinstance(use, dict):
            arguments = use.get("arguments")
            pairs = arguments.items() if isinstance(arguments, dict) else ()
            lines = [f"{name}: {value}" for name, value in pairs]
            words.append("\n".join([str(use.get("name")), *lines]))
    return words


def _print_spending(console: "Console", found: "ModelSpending | None", metric: "Metric") -> None:
    from rich.table import Table
    from rich.text import Text

    from evolution.cli.text import gain_unit, one_line, with_unit

    if found is None:
        console.print(Text("no language model was asked, and no limit is set"))
        return
    console.print(Text("\n".join(spending_words(found))))
    if found.spending.roles:
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
        for heading in ("role", "model", *_HEADINGS):
            right = heading in _HEADINGS
            table.add_column(heading, justify="right" if right else "left", no_wrap=True)
        for role in found.spending.roles:
            table.add_row(
                Text(one_line(role.operator, 24)), Text(one_line(role.model, 40)), *_row(role)
            )
        console.print()
        console.print(table)
    if found.confirmed is not None:
        factor, _ = gain_unit(metric)
        gain = with_unit(f"{found.confirmed.gain * factor:+.3g}", metric)
        each = f"${found.confirmed.usd_per_gain / factor:.4f} for each"
        lines = [f"\n{found.confirmed.label} confirmed a gain of {gain}: {each}"]
        lines += [
            f"  {one_line(role, 80)}: {count} of its variants in the champion's lineage"
            for role, count in found.confirmed.kept.items()
        ]
        console.print(Text("\n".join(lines)))


_HEADINGS = (
    "calls", "failed", "read", "cached", "written", "dollars", "offspring", "$/offspring",
)  # fmt: skip


def _row(role: "RoleSpending") -> list[str]:
    read = role.input_tokens + role.cached_input_tokens + role.cache_write_tokens
    count = role.variant_count
    return [
        str(role.call_count),
        str(role.failed_count),
        str(read),
        f"{role.cached_input_tokens / read:.0%}" if read else "—",
        str(role.output_tokens),
        f"{role.spent_usd:.4f}",
        str(count),
        f"{role.spent_usd / count:.4f}" if count else "—",
    ]


def calls_as_dicts(calls: "Sequence[Call]") -> list[dict[str, object]]:
    """Calls as plain JSON values."""
    return [dataclasses.asdict(call) for call in calls]
