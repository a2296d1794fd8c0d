"""Numbers and names as words. Pure; what genomes wrote is made safe for a terminal here."""

import math
import re

from population import Ruling, RungVerdict, Scoring, Verdict

#: Standard deviations on each side of a 95 % interval.
INTERVAL = 1.96

# Whole commands to a terminal first, then what is left of control characters, and the marks that
# turn the direction of text around.
_COMMANDS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)?)")
_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_RULINGS = {
    Ruling.CONFIRMED: "confirmed",
    Ruling.NOT_CONFIRMED: "not confirmed",
    Ruling.REVERSED: "reversed: the baseline is better",
    Ruling.UNDECIDED: "undecided: too few pairs gave two scores",
}


def clean(text: str) -> str:
    """Text without the characters that a terminal would obey; lines stay, tabs become spaces."""
    spaced = text.replace("\r\n", "\n").expandtabs(4)
    return _UNSAFE.sub("", _COMMANDS.sub("", spaced)).encode("utf-8", "replace").decode("utf-8")


def one_line(text: str, limit: int = 200) -> str:
    """The same on one line, cut at ``limit`` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def plus_minus(value: float, error: float) -> str:
    """A value rounded to the digits that its error leaves meaning: ``1.531 ± 0.007``."""
    digits = decimals(error)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def decimals(error: float) -> int:
    """Decimal places at which an error shows one digit, or two if the first is a 1."""
    if not (math.isfinite(error) and error > 0):
        return 4
    exponent = math.floor(math.log10(error))
    first = error / 10**exponent
    return max(0, min(6, -exponent + (1 if first < 1.95 else 0)))


def score(mean: float, sd: float, scoring: Scoring) -> str:
    """A fitness with its 95 % interval, and how it was obtained."""
    return f"{plus_minus(mean, INTERVAL * sd)} ({scoring})"


def gain_mbpb(gain: float, sd: float) -> str:
    """A gain in thousandths of a bit per byte, with its 95 % interval."""
    digits = decimals(INTERVAL * sd * 1000)
    return f"{gain * 1000:+.{digits}f} ± {INTERVAL * sd * 1000:.{digits}f}"


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


def verdict_lines(verdict: Verdict, champion: str | None) -> list[str]:
    """What a verdict says, one line a depth."""
    if verdict.champion is None:
        return [f"{verdict.label}: none confirmed; no variant promised a gain worth testing"]
    head = "gain confirmed" if verdict.is_confirmed else "none confirmed"
    first = f"{verdict.label}: {head}; champion {champion} against the baseline, fresh seeds"
    return [first, *(f"  {_rung_line(rung)}" for rung in verdict.rungs)]


def _rung_line(rung: RungVerdict) -> str:
    line = f"depth × {rung.depth_scale:g}: {_RULINGS[rung.ruling]}"
    if rung.gain is None:
        return line
    line += f", gain {rung.gain * 1000:+.1f} mbpb"
    if rung.low is not None and rung.high is not None:
        digits = decimals((rung.high - rung.low) * 500)
        gain, low, high = (f"{x * 1000:+.{digits}f}" for x in (rung.gain, rung.low, rung.high))
        line = f"depth × {rung.depth_scale:g}: {_RULINGS[rung.ruling]}, gain {gain} mbpb"
        line += f" (95 %: {low} to {high})"
    pairs = f"{rung.pair_count} pair{'' if rung.pair_count == 1 else 's'}"
    return f"{line}, {pairs}, reported"
