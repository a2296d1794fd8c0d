"""Fills ``prompts/*.md``: what a model is told, with everything it did not write fenced as data.

Stable texts come first, so that providers can cache them; what changes from call to call last.
"""

import functools
import hashlib
import re
from importlib.resources import files

from agents.figures import shown_fitness, shown_sigma
from agents.operator import Context
from population import Direction, Genome, fenced, one_line

__all__ = [
    "filled",
    "shown_fitness",
    "shown_genome",
    "shown_rules",
    "shown_sigma",
    "standing",
    "standing_names",
    "template_hash",
]

_HOLE = re.compile(r"\{\{(\w+)\}\}")
_RULE_CHARACTERS = 2_000
_HASH_DIGITS = 16


def filled(name: str, **texts: str) -> str:
    """The text of ``prompts/<name>.md`` with its ``{{holes}}`` filled, each in one pass."""
    template = _template(name)
    holes = set(_HOLE.findall(template))
    if holes != set(texts):
        raise ValueError(f"prompts/{name}.md has the holes {sorted(holes)}, got {sorted(texts)}")
    return _HOLE.sub(lambda hole: texts[hole[1]], template).strip()


def template_hash(*names: str) -> str:
    """A name for the texts of these prompt files, which changes when one of them does."""
    digest = hashlib.sha256()
    for name in names:
        text = _template(name).encode()
        digest.update(f"{name} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:_HASH_DIGITS]


@functools.cache
def _template(name: str) -> str:
    return files("agents").joinpath("prompts", f"{name}.md").read_text(encoding="utf-8")


def shown_genome(genome: Genome) -> str:
    """Every file of a genome, fenced."""
    kinds = {path: "python" if path.endswith(".py") else "" for path in genome.files}
    return "\n\n".join(
        f"`{one_line(path)}`:\n\n{fenced(text, kinds[path], limit=None)}"
        for path, text in sorted(genome.files.items())
    )


def shown_rules(context: Context) -> str:
    """What the manual in force permits, in words, fenced: its defaults are not in its text."""
    manual = context.manual
    contract = manual.contract(context.contract)
    parameters, memory = manual.limits.parameters_millions, manual.limits.memory_mb
    is_free = contract.is_script and contract.imports is None
    imports = "anything" if is_free else ", ".join(contract.allowed_imports)
    lines = [
        f"files: {', '.join(sorted(context.baseline.files))}; {context.baseline.entry} is started",
        f"imports beside the standard library: {imports}",
        f"frozen: {', '.join(manual.frozen) or 'nothing by name'}",
        f"parameters: {'no limit' if parameters is None else f'at most {parameters:g} million'}",
        f"memory: {'no limit' if memory is None else f'at most {memory:g} MB'}",
        f"a tenth less code is worth {manual.simplicity_weight:g} of the noise of one trial",
    ]
    return fenced("\n".join(one_line(line, _RULE_CHARACTERS) for line in lines))


def standing(role: str, context: Context, form: str = "") -> tuple[str, ...]:
    """The instructions that stay the same from call to call, the longest-lived first.

    Contract, role, the user's manual; then the page of lessons, which is written anew now and
    then, if there is one.

    Args:
        role: Name of the prompt file that tells who is asked.
        context: Of the run.
        form: Of another that tells how to answer, where several roles do so alike.
    """
    program = fenced(context.manual.text or "(none)", "markdown", limit=None)
    blocks = (
        _contract(context),
        f"{filled(role)}\n\n{filled(form)}" if form else filled(role),
        filled("program", program=program, rules=shown_rules(context)),
    )
    page = context.briefing.lessons
    if not page.strip():
        return blocks
    return (*blocks, filled("lessons", lessons=fenced(page, "markdown", limit=None)))


def standing_names(role: str, context: Context, form: str = "") -> list[str]:
    """Names of the prompt files that ``standing`` fills, whether or not there are lessons yet."""
    contract = "script" if context.contract.is_script else "contract"
    return [contract, role, *([form] if form else []), "program", "lessons"]


def _contract(context: Context) -> str:
    if not context.contract.is_script:
        return filled("contract")
    metric = context.metric
    way = "higher" if metric.direction is Direction.MAXIMIZE else "lower"
    return filled(
        "script",
        score=fenced(one_line(f"{metric.name}, {way} is better")),
        entry=fenced(one_line(context.baseline.entry)),
    )
