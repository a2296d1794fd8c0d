"""Fills ``prompts/*.md``: what a model is told, with everything it did not write fenced as data.

Stable texts come first, so that providers can cache them; what changes from call to call last.
"""

import math
import re
from collections.abc import Sequence
from importlib.resources import files

from agents.operator import Context
from population import Fitness, Genome, fenced, one_line

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


def shown_genome(genome: Genome) -> str:
    """Every file of a genome, fenced."""
    kinds = {path: "python" if path.endswith(".py") else "" for path in genome.files}
    return "\n\n".join(
        f"`{one_line(path)}`:\n\n{fenced(text, kinds[path], limit=None)}"
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
    lines = [one_line(entry, _LINE_CHARACTERS) for entry in history[:_HISTORY_LINES]]
    return fenced("\n".join(lines) or "nothing yet")


def standing(role: str, context: Context) -> tuple[str, ...]:
    """The instructions that stay the same all through a run: contract, role, the user's manual."""
    program = fenced(context.manual.text or "(none)", "markdown", limit=None)
    return (filled("contract"), filled(role), filled("program", program=program))
