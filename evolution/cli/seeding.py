"""``evolve seed``: hands a variant of one's own to a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution.cli.asking import ask, check_open, tell, when
from evolution.cli.options import RUNS, JsonOption, RunOption, RunsOption, find_run, say

if TYPE_CHECKING:
    from population import Genome, KnobValue, Store, Variant


def seed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A train.py that was changed.")],
    idea: Annotated[
        str | None,
        typer.Option(
            "-m", "--idea", help="What was changed and why; by default the file's line # Idea: …"
        ),
    ] = None,
    parent: Annotated[
        str | None, typer.Option(metavar="VARIANT", help="Its parent; by default the baseline.")
    ] = None,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Hand a variant of your own to a run: now if it is live, else when it is resumed.

    Examples:
      evolve seed seeds/swiglu.py
      evolve seed wider.py -m "twice the width, half the depth"
      evolve seed fix.py -m "mend the warm-up" --parent g003-011
    """
    from evolution.manuals import manual_in_force
    from evolution.seeds import fitted, read_file, read_idea
    from evolution.workspace import check_genome, task_contract
    from population import Branches, Store

    paths = find_run(runs, run)
    written = read_file(file)
    found_idea, text = read_idea(written)
    line = _one_idea(found_idea if idea is None else idea, file)
    with Store.open(paths.database) as store, Branches.open(paths.repository) as branches:
        check_open(store, "nothing would train the seed")
        baseline = store.run().baseline or ""
        elder = store.variant(parent or baseline)
        _check_breeds(store, elder)
        before = branches.genome(elder.sha)
        start = branches.genome(baseline)
        check_genome(
            before.with_main(written),
            str(file),
            task_contract(store),
            manual=manual_in_force(store),
            baseline=start,
        )
        text = fitted(text, start.main, _sizes(store))
        genome = before.with_main(text)
        _check_new(store, genome, file)
        payload = {"text": text, "idea": line, "parent": elder.sha}
        facts = ask(store, paths, "seed", payload)
    words = f"{file} is handed to the run {facts['run']}, which takes it in {when(facts)}."
    tell(words, {**facts, "parent": elder.name}, as_json=as_json)
    say(_differences(elder, before, genome))


def _one_idea(idea: str, file: Path) -> str:
    from evolution.cli.text import one_line
    from evolution.seeds import SeedError

    line = one_line(idea)
    if not line:
        raise SeedError(
            "The idea is empty. One line is needed that says what was changed and why it should "
            f'help: it becomes the commit\'s message. Write it with -m "…", or above the rest of '
            f"{file}: # Idea: …"
        )
    return line


def _check_breeds(store: "Store", elder: "Variant") -> None:
    from evolution.seeds import SeedError

    if elder.sha in store.barred():
        raise SeedError(
            f"{elder.name} is banned, or descends from a variant that is: nothing breeds from it. "
            "A parent that breeds is needed. Leave --parent out for the baseline, or take the ban "
            "back: `evolve ban VARIANT --undo`."
        )


def _check_new(store: "Store", genome: "Genome", file: Path) -> None:
    from evolution.seeds import SeedError
    from population import canonical_hash

    twin = next((v for v in store.variants() if v.genome_hash == canonical_hash(genome)), None)
    if twin is not None:
        raise SeedError(
            f"{file} is the same genome as {twin.name}, comments and layout aside. A seed must "
            f"differ from every variant of the run. `evolve show {twin.name}` says what came "
            "of it."
        )


def _sizes(store: "Store") -> "dict[str, KnobValue]":
    """What the run's profile sets in a shipped genome."""
    from evolution.config import EvolutionConfig
    from evolution.profiles import load_profile

    settings = EvolutionConfig.from_mapping({"run": store.run().settings.get("run", {})})
    return dict(load_profile(settings.run.profile, settings.run.knobs).knobs)


def _differences(elder: "Variant", before: "Genome", genome: "Genome") -> str:
    """How far a seed is from its parent: a hint that it was written from another file."""
    import difflib

    from population import knobs

    hunks = list(difflib.unified_diff(before.main.splitlines(), genome.main.splitlines(), n=0))
    count = sum(line.startswith(("+", "-")) for line in hunks[2:])
    old, new = knobs(before.main), knobs(genome.main)
    changed = (name for name in old if name in new and old[name] != new[name])
    turned = [f"{name} {old[name]} → {new[name]}" for name in changed]
    words = f"{count} lines differ from {elder.name}"
    return f"{words}; knobs: {', '.join(turned)}" if turned else words
