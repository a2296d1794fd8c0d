"""``evolve doctor --plan`` in words: trials, the smallest gain that is confirmed, the cost."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from evolution.detectable import DepthGain
    from evolution.doctor.night import Night
    from evolution.doctor.outlook import Alternative, Outlook
    from evolution.doctor.prices import Cost


def print_outlook(console: "Console", found: "Outlook") -> None:
    """What hours give here, what would be confirmed, and what more would buy."""
    from rich.text import Text

    for line in _head(found):
        console.print(Text(line))
    console.print(_hours(found))
    console.print()
    for line in _detectable(found):
        console.print(Text(line))
    console.print(_alternatives(found))
    for line in (*_limits(found), *_money(found)):
        console.print(Text(line))


def _head(found: "Outlook") -> Iterator[str]:
    many = "1 worker" if found.workers == 1 else f"{found.workers} workers"
    yield f"{many} on {found.device}, {found.pace.seconds:.1f} s a trial ({found.pace.basis})"
    yield ""


def _table(*headings: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _hours(found: "Outlook") -> "Table":
    """One row for each number of hours, verdict included, and the setting that gives them."""
    table = _table(
        "", "trials", "baseline", "offspring", "replicates", "verdict", "run --hours", "cost"
    )
    for night, cost in found.nights:
        _add_night(table, f"{night.hours:g} h", night, cost)
    night, cost = found.twice
    _add_night(table, f"{night.hours:g} h, {2 * found.workers} workers", night, cost)
    return table


def _add_night(table: "Table", title: str, night: "Night", cost: "Cost") -> None:
    counts = (night.trials, night.baseline, night.offspring, night.replicates, night.verdict)
    table.add_row(title, *map(str, counts), asked_hours(night), cost_words(cost))


def asked_hours(night: "Night") -> str:
    """What `evolve run --hours` is given for such a night; – if its hours are too few."""
    return f"{night.search_hours:g}" if night.offspring else "–"


def cost_words(cost: "Cost") -> str:
    """Device-hours and electricity, or dollars where there is a price."""
    parts = [f"{cost.device_hours:g} device-h"]
    parts += [] if cost.device_usd is None else [f"${cost.device_usd:.2f}"]
    power = f"{cost.kwh:.2g} kWh"
    parts.append(power if cost.electricity_usd is None else f"{power} ${cost.electricity_usd:.2f}")
    if cost.model_usd is None:
        parts.append("models $?")
    elif cost.model_usd:
        parts.append(f"models ${cost.model_usd:.2f}")
    return ", ".join(parts)


def _detectable(found: "Outlook") -> Iterator[str]:
    sigma, basis = found.noise
    if sigma is None:
        yield f"noise: {basis}; gains are given in σ, the seed noise of one trial"
    else:
        yield f"noise: σ {shown(sigma, found.unit)} between seeds ({basis})"
    for gain in found.gains:
        whence = "claimed and confirmed" if gain.depth == 1.0 else "confirmed"
        yield (
            f"a true gain of {gain_words(found, gain)} is {whence} four times in five at depth "
            f"× {gain.depth:g}, with up to {gain.pairs} pairs"
        )
    yield ""


def gain_words(found: "Outlook", gain: "DepthGain") -> str:
    """A detectable gain in the metric's unit, and in σ."""
    sigmas = f"{gain.gain:.1f} σ"
    if found.noise.sigma is None:
        return sigmas
    return f"{shown(gain.gain * found.noise.sigma, found.unit)} ({sigmas})"


def shown(value: float, unit: str) -> str:
    """A small number in its unit; bits per byte in thousandths."""
    if unit == "bpb":
        return f"{1000 * value:.1f} mbpb"
    return f"{value:.3g} {unit}".strip()


def _alternatives(found: "Outlook") -> "Table":
    table = _table(
        "what would be confirmed with", *(f"depth × {g.depth:g}" for g in found.gains), "verdict"
    )
    for other in found.alternatives:
        words = (gain_words(found, gain) for gain in other.gains)
        table.add_row(_settings(other), *words, f"{other.verdict_hours:g} h")
    return table


def _settings(other: "Alternative") -> str:
    return f"{other.pairs} to {other.max_pairs} pairs, {other.repeats} baseline repeats"


def _limits(found: "Outlook") -> Iterator[str]:
    from evolution.cli.text import duration

    yield ""
    for number, limit in enumerate(found.limits):
        first = "the first limit" if number == 0 else "then"
        what = "ends the search" if limit.ends_search else "ends the proposals of models alone"
        after = duration(3600 * limit.hours)
        yield f"{first}: {limit.words}, after about {after}: {what}"
    yield "a row's hours are all of a run that hours alone end, with the longest verdict"
    night = next((night for night, _ in found.nights if night.offspring), None)
    if night is not None:
        yield (
            f"`evolve run --hours {asked_hours(night)}` gives that of {night.hours:g} h: --hours "
            "ends the search, the verdict follows"
        )


def _money(found: "Outlook") -> Iterator[str]:
    proposal = found.proposal
    if proposal is None:
        return
    price = "an unknown sum" if proposal.usd is None else f"${proposal.usd:.3f}"
    yield (
        f"an offspring of a language model costs {price} ({proposal.basis}); models make at most "
        f"{proposal.share:.0%} of the offspring"
    )
