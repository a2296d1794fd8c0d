"""Numbers and names as words. Pure; what genomes wrote is shown plain."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.scale import INTERVAL, decimals
from population import Assurance, Metric, Ruling, RungVerdict, Verdict, one_line, plain

if TYPE_CHECKING:
    from evolution.archipelago import IslandRecord
    from evolution.plateau import Episode
    from evolution.status import Published

__all__ = [
    "clean",
    "duration",
    "gain_unit",
    "gain_words",
    "islands_words",
    "number",
    "one_line",
    "plateau_words",
    "plus_minus",
    "score",
    "verdict_lines",
    "with_unit",
]

_RULINGS = {
    Ruling.CONFIRMED: "confirmed",
    Ruling.NOT_CONFIRMED: "not confirmed",
    Ruling.REVERSED: "reversed: the baseline is better",
    Ruling.UNDECIDED: "undecided: too few pairs gave two scores",
}


def clean(text: str) -> str:
    """Text for a terminal: ``population.plain``, with tabs as spaces."""
    return plain(text).expandtabs(4)


def plus_minus(value: float, error: float) -> str:
    """A value rounded to the digits that its error leaves meaning: ``1.531 ± 0.007``."""
    if _is_extreme(value):
        return f"{value:.4g} ± {error:.1g}"
    digits = decimals(error)
    return f"{value:z.{digits}f} ± {error:.{digits}f}"


def number(value: float) -> str:
    """A score without an error: four decimals, or four digits where those would say nothing."""
    return f"{value:.4g}" if _is_extreme(value) else f"{value:.4f}"


def _is_extreme(value: float) -> bool:
    return not (value == 0 or 0.005 <= abs(value) < 1e7)


def score(mean: float, sd: float, assurance: Assurance, metric: Metric) -> str:
    """A fitness with its 95 % interval, how it was obtained and what held its trainers."""
    return f"{plus_minus(metric.shown(mean), INTERVAL * sd)} ({assurance})"


def gain_unit(metric: Metric) -> tuple[float, str]:
    """What gains are multiplied by to be shown, and their unit: bits per byte count in mbpb."""
    return (1000.0, "mbpb") if metric.unit == "bpb" else (1.0, metric.unit)


def gain_words(gain: float, sd: float, metric: Metric) -> str:
    """A gain with its 95 % interval and no unit; positive is better, whatever the direction."""
    factor, _ = gain_unit(metric)
    error = INTERVAL * sd * factor
    digits = decimals(error)
    return f"{gain * factor:+.{digits}f} ± {error:.{digits}f}"


def with_unit(text: str, metric: Metric) -> str:
    """A shown gain and its unit, if it has one."""
    return f"{text} {gain_unit(metric)[1]}".rstrip()


def duration(seconds: float) -> str:
    """``42 s``, ``7 min``, ``3 h 05 min``, ``2 d 4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def verdict_lines(
    verdict: Verdict, champion: str | None, metric: Metric, assurance: Assurance | None = None
) -> list[str]:
    """What a verdict says, one line a depth."""
    if verdict.champion is None:
        return [f"{verdict.label}: none confirmed; no variant promised a gain worth testing"]
    head = "gain confirmed" if verdict.is_confirmed else "none confirmed"
    first = f"{verdict.label}: {head}; champion {champion} against the baseline, fresh seeds"
    how = f", {assurance}" if assurance is not None else ""
    lines = [first]
    for rung in verdict.rungs:
        lines.append(f"  {_rung_line(rung, metric, how)}")
        if (sealed := rung.sealed) is not None:
            said = _interval(sealed.gain, sealed.low, sealed.high, metric)
            lines.append(f"    sealed test split: gain {said}")
    return lines


def published_line(published: "Published", metric: Metric) -> str:
    """What fresh runs said of the champion that was published last."""
    gain = published.gain
    said = _interval(gain.gain, gain.low, gain.high, metric)
    return f"{clean(published.name)}, {said} over the baseline, by the fresh runs that decided it"


def islands_words(islands: "Sequence[IslandRecord]") -> str:
    """How many bred how many, and the best of each: ``2: 31 bred, best g004-012; …``."""
    each = "; ".join(f"{one.births} bred, best {clean(one.best or 'unknown')}" for one in islands)
    copied = sum(one.copied for one in islands)
    return f"{len(islands)}: {each}; {copied} {'elite' if copied == 1 else 'elites'} copied"


def plateau_words(episode: "Episode") -> str:
    """Since when the search is flat."""
    return f"flat since {episode.began_at / 3600:.2f} device-hours were spent"


def _rung_line(rung: RungVerdict, metric: Metric, how: str) -> str:
    line = f"depth × {rung.depth_scale:g}: {_RULINGS[rung.ruling]}"
    if rung.gain is None:
        return line
    if rung.low is not None and rung.high is not None:
        line += f", gain {_interval(rung.gain, rung.low, rung.high, metric)}"
    else:
        line += f", gain {with_unit(f'{rung.gain * gain_unit(metric)[0]:+.1f}', metric)}"
    pairs = f"{rung.pair_count} pair{'' if rung.pair_count == 1 else 's'}"
    return f"{line}, {pairs}{how}"


def _interval(gain: float, low: float, high: float, metric: Metric) -> str:
    """With as many digits as its width is worth: ``+20 mbpb (95 %: +13 to +27)``."""
    factor, _ = gain_unit(metric)
    digits = decimals((high - low) / 2 * factor)
    shown = [f"{x * factor:+.{digits}f}" for x in (gain, low, high)]
    return f"{with_unit(shown[0], metric)} (95 %: {shown[1]} to {shown[2]})"
