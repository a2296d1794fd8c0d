"""Fills ``prompts/*.md``: what a model is told, with everything it did not write fenced as data.

Stable texts come first, so that providers can cache them; what changes from call to call last.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from importlib.resources import files

from agents.operator import Context
from population import Fitness, Genome

_HOLE = re.compile(r"\{\{(\w+)\}\}")
_HISTORY_LINES = 40
_LINE_CHARACTERS = 240


def filled(name: str, **texts: str) -> str:
    """The text of ``prompts/<name>.md`` with its ``{{holes}}`` filled, each in one pass."""
    template = files("agents").joinpath("prompts", f"{name}.md").read_text(encoding="utf-8")
    holes = set(_HOLE.findall(template))
    if holes != set(texts):
        raise ValueError(f"prompts/{name}.md has the holes {sorted(holes)}, got {sorted(texts)}")
    return _HOLE.sub(lambda hole: texts[hole[1]], template).strip()


def cleaned(text: str) -> str:
    """``text`` without control, format and surrogate characters, which people do not see."""
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return "".join(kept)


def fenced(text: str, kind: str = "") -> str:
    """``text``, cleaned, in a fence that nothing in it can close."""
    data = cleaned(text)
    longest = max((len(run) for run in re.findall("`+", data)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if data.endswith("\n") else "\n"
    return f"{fence}{kind}\n{data}{end}{fence}"


def shown_genome(genome: Genome) -> str:
    """Every file of a genome, fenced."""
    return "\n\n".join(
        f"`{cleaned(path)}`:\n\n{fenced(text, 'python' if path.endswith('.py') else '')}"
        for path, text in sorted(genome.files.items())
    )


def shown_fitness(fitness: Fitness | None) -> str:
    """A fitness with the digits that its error justifies, and never fewer than three decimals."""
    if fitness is None or fitness.mean is None:
        return "not scored yet"
    sd = fitness.sd
    decimals = 4
    if sd > 0 and math.isfinite(sd):
        decimals = min(6, max(3, 1 - math.floor(math.log10(sd))))
    trials = f"{fitness.trial_count} trial" + ("" if fitness.trial_count == 1 else "s")
    return f"{fitness.mean:.{decimals}f} ± {sd:.{decimals}f} (standard deviation; {trials})"


def shown_sigma(sigma: float | None) -> str:
    """The noise of one trial, in words."""
    return "not known yet" if sigma is None else f"{sigma:.4f} bpb (standard deviation)"


def shown_history(history: Sequence[str]) -> str:
    """The newest lines of what was tried, each cut to a line, fenced."""
    lines = [" ".join(cleaned(entry).split())[:_LINE_CHARACTERS] for entry in history]
    return fenced("\n".join(lines[:_HISTORY_LINES]) or "nothing yet")


def standing(role: str, context: Context) -> str:
    """The instructions that stay the same all through a run: contract, role, the user's manual."""
    program = fenced(context.manual.text or "(none)", "markdown")
    return "\n\n".join([filled("contract"), filled(role), filled("program", program=program)])
