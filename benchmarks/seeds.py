"""What is each shipped seed worth? Its effect on the baseline, measured.

Paired trainings at fixed work on one core; see ``benchmarks/effects.py`` for what the columns mean.

    python -m benchmarks.seeds --rng-seeds 3 --core 0
"""

import sys
from collections.abc import Mapping, Sequence

from benchmarks.effect_tables import (
    as_json,
    effect_cells,
    effects_parser,
    how_it_was_measured,
    known_measurement,
    measure_all,
    open_measurement,
)
from benchmarks.effects import Effect
from evolution.profiles import load_profile
from evolution.seeds import Titled, at_sizes, read_idea
from evolution.templates import seed_paths, template_path

OUTPUT = "seeds/README.md"


def shipped_seeds(profile: str) -> dict[str, Titled]:
    """Idea and text of every shipped seed, at a profile's sizes, by name."""
    baseline = template_path("train.py").read_text(encoding="utf-8")
    sizes = load_profile(profile).knobs
    found = {path.stem: read_idea(path.read_text(encoding="utf-8")) for path in seed_paths()}
    return {
        name: Titled(seed.idea, at_sizes(seed.text, baseline, sizes))
        for name, seed in found.items()
    }


def page(seeds: Mapping[str, Titled], effects: Mapping[str, Effect], how: str) -> str:
    """The table, for people who read the folder."""
    rows = [
        f"| [{name}]({name}.py) | {seed.idea} | {' | '.join(effect_cells(effects.get(name)))} |"
        for name, seed in seeds.items()
    ]
    return "\n".join(
        [
            "# Seeds",
            "",
            "Hand-written variants of `train.py`, one idea a file, which a run tries first. How to",
            "write one: `docs/guides/writing-a-seed.md`. This table is written by",
            "`python -m benchmarks.seeds`.",
            "",
            how,
            "",
            "| seed | idea and source | equal tokens | price | equal work |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not known yet, and write the table."""
    options = effects_parser(__doc__.splitlines()[0], OUTPUT).parse_args(arguments)
    seeds = shipped_seeds(options.profile)
    if unknown := set(options.only or ()) - seeds.keys():
        print(
            f"There is no seed {', '.join(sorted(unknown))}. --only takes names of files in "
            f"seeds/, without .py. They are: {', '.join(seeds)}.",
            file=sys.stderr,
        )
        return 2
    measurement = open_measurement(options)
    effects = measure_all(options.only or seeds, lambda name: measurement.effect(seeds[name].text))
    if options.json:
        print(as_json(effects))
    known = known_measurement(options)
    for name, seed in seeds.items():
        if name not in effects and (effect := known.effect(seed.text)):
            effects[name] = effect
    options.output.write_text(page(seeds, effects, how_it_was_measured(options, effects)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
