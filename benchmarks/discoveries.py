"""How much is each published change worth here? The catalogue of known discoveries, measured.

Each change is an edit with a source (``benchmarks/catalogue.py``). One that the baseline lacks is
applied to it; one that it has is taken out, and the effect is that of having it. Paired trainings
at fixed work on one core; see ``benchmarks/effects.py`` for what the columns mean.

    python -m benchmarks.discoveries --rng-seeds 3 --core 0
"""

import sys
from collections.abc import Sequence

from benchmarks.catalogue import DISCOVERIES, Discovery, DiscoveryError, Edit
from benchmarks.effect_tables import (
    as_json,
    at_profile,
    effect_cells,
    effects_parser,
    how_it_was_measured,
    known_measurement,
    measure_all,
    open_measurement,
)
from benchmarks.effects import Effect, Measurement
from evolution.templates import template_path

__all__ = ["DISCOVERIES", "Discovery", "DiscoveryError", "Edit", "main", "stripped_genome"]

OUTPUT = "docs/discoveries.md"


def stripped_genome(genome: str | None = None) -> str:
    """A genome without everything in the catalogue: where a search for all of it can begin.

    Args:
        genome: What to strip, at any sizes; the shipped baseline by default.

    Raises:
        DiscoveryError: It is not the baseline, and a place is not there.
    """
    text = genome or template_path("train.py").read_text(encoding="utf-8")
    for discovery in DISCOVERIES:
        if discovery.in_baseline:
            text = discovery.strip(text)
    return text


def measured(discovery: Discovery, baseline: str, measurement: Measurement) -> Effect | None:
    """The effect of having a discovery; None if figures are missing and none are made."""
    if not discovery.in_baseline:
        return measurement.effect(discovery.apply(baseline), is_same_work=discovery.has_same_work)
    effect = measurement.effect(discovery.strip(baseline), is_same_work=discovery.has_same_work)
    return effect.reversed() if effect else None


def page(effects: dict[str, Effect], how: str) -> str:
    """The table as a page of the documentation."""
    rows = [
        f"| {each.name} | {each.kind} | {' | '.join(effect_cells(effects.get(each.name)))} "
        f"| {_linked(each.source)} |"
        for each in DISCOVERIES
    ]
    head = (
        "| discovery | kind | equal tokens | price | equal work | source |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    lacking = [row for row, each in zip(rows, DISCOVERIES, strict=True) if not each.in_baseline]
    present = [row for row, each in zip(rows, DISCOVERIES, strict=True) if each.in_baseline]
    return "\n".join(
        [
            "# Known discoveries",
            "",
            "Published changes of small language models and what each is worth at this size.",
            "Written by `python -m benchmarks.discoveries`; the edits are in",
            "`benchmarks/catalogue.py`.",
            "",
            how,
            "",
            "## What the baseline lacks",
            "",
            "The effect of applying it to the baseline.",
            "",
            head,
            *lacking,
            "",
            "## What the baseline has",
            "",
            "The effect of having it: the baseline against the baseline without it.",
            "",
            head,
            *present,
            "",
        ]
    )


def _linked(source: str) -> str:
    words = (f"<{word.rstrip(';')}>" if "://" in word else word for word in source.split())
    return " ".join(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not known yet, and write the table."""
    options = effects_parser(__doc__.splitlines()[0], OUTPUT).parse_args(arguments)
    measurement = open_measurement(options)
    baseline = at_profile(template_path("train.py").read_text("utf-8"), options.profile)
    by_name = {each.name: each for each in DISCOVERIES}
    if unknown := set(options.only or ()) - by_name.keys():
        print(
            f"There is no discovery {', '.join(sorted(unknown))}. --only takes names of the "
            f"catalogue. They are: {'; '.join(by_name)}.",
            file=sys.stderr,
        )
        return 2
    effects = measure_all(
        options.only or by_name, lambda name: measured(by_name[name], baseline, measurement)
    )
    if options.json:
        print(as_json(effects))
    known = known_measurement(options)
    for each in DISCOVERIES:
        if each.name not in effects and (effect := measured(each, baseline, known)):
            effects[each.name] = effect
    options.output.write_text(page(effects, how_it_was_measured(options, effects)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
