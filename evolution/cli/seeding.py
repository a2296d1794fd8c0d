"""``evolve seed``: hands a variant of one's own to a run."""

import time
from pathlib import Path
from typing import Annotated

import typer

from evolution.cli.options import RUNS, JsonOption, RunOption, RunsOption, answer, find_run, is_live
from population import EvolveError


class SeedError(EvolveError):
    """A file that cannot become a variant of the run."""


def seed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A train.py that was changed.")],
    idea: Annotated[
        str, typer.Option("-m", "--idea", help="One line: what was changed and why it should help.")
    ],
    parent: Annotated[
        str | None, typer.Option(metavar="VARIANT", help="Its parent; by default the baseline.")
    ] = None,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Hand a variant of your own to a run: now if it is live, else when it is resumed.

    Examples:
      evolve seed wider.py -m "twice the width, half the depth"
      evolve seed fix.py -m "mend the warm-up" --parent g003-011
    """
    from evolution.cli.text import one_line
    from evolution.manuals import manual_in_force
    from evolution.workspace import check_genome
    from population import Branches, Genome, RunState, Store, canonical_hash

    paths = find_run(runs, run)
    line = one_line(idea)
    if not line:
        raise SeedError(
            "The idea is empty. One line is needed that says what was changed and why it should "
            'help: it becomes the commit\'s message. Write it: -m "…".'
        )
    text = _read(file)
    genome = Genome.single(text)
    with Store.open(paths.database) as store:
        with Branches.open(paths.repository) as branches:
            baseline = branches.genome(store.run().baseline or "")
        check_genome(genome, str(file), manual=manual_in_force(store), baseline=baseline)
        if store.run().state is RunState.FINISHED:
            raise SeedError(
                f"The run {paths.root.name!r} is finished: nothing would train the seed. A run "
                "that is live or paused is needed. Name it with --run, or begin a new one in a "
                "folder where the file is called train.py: `evolve run`."
            )
        elder = store.variant(parent or store.run().baseline or "")
        twin = next((v for v in store.variants() if v.genome_hash == canonical_hash(genome)), None)
        if twin is not None:
            raise SeedError(
                f"{file} is the same genome as {twin.name}, comments and layout aside. A seed must "
                f"differ from every variant of the run. `evolve show {twin.name}` says what came "
                "of it."
            )
        payload = {"text": text, "idea": line, "parent": elder.sha}
        number = store.add_request("seed", payload, at=time.time())
    live = is_live(paths)
    facts = {"run": paths.root.name, "request": number, "parent": elder.name, "is_live": live}
    when = "now" if live else f"when it goes on: `evolve resume {paths.root.name}`"
    words = f"{file} is handed to the run {paths.root.name}, which takes it in {when}."
    answer(facts, as_json, lambda console: console.print(words, markup=False, soft_wrap=True))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        found = f"{file} is not UTF-8 text: {error}"
    except OSError as error:
        found = f"{file} cannot be read: {error.strerror or error}"
    raise SeedError(
        f"{found}. A train.py that was changed is needed. Name such a file: "
        '`evolve seed FILE -m "what was changed"`.'
    )
