"""``evolve manual``: rules and advice, as they are or as a variant was proposed under."""

import re
from typing import Annotated

import typer

from evolution.cli.options import (
    RUNS,
    JsonOption,
    RunOption,
    RunsOption,
    answer,
    find_run,
    open_store,
)
from population import EvolveError


class NoManualError(EvolveError):
    """The run did not record its manual."""


def manual(
    variant: Annotated[
        str | None,
        typer.Argument(help="As it was when this variant was proposed; by default, as it is."),
    ] = None,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Print the manual in force, or the one that a variant was proposed under.

    Examples:
      evolve manual
      evolve manual g003-011 --json
    """
    from evolution.cli.text import clean
    from evolution.manuals import HASH_DIGITS, TRAILER, kept_manual, manual_standing
    from population import Branches

    paths = find_run(runs, run)
    with open_store(paths) as store:
        standing = manual_standing(store, paths.program)
        digits = standing.hash[:HASH_DIGITS] if standing is not None else ""
        if variant is not None:
            with Branches.open(paths.repository) as branches:
                message = branches.message(store.variant(variant).sha)
            named = re.findall(rf"^{TRAILER}: ([0-9a-f]+)$", message, re.MULTILINE)
            digits = named[-1] if named else ""
        found = kept_manual(store, digits)
    if found is None:
        raise NoManualError(
            f"{variant or paths.root.name} does not say which manual it was made under. Runs of "
            f"this version record it. Read {paths.program}."
        )
    facts = {
        "hash": found.hash,
        "is_in_force": standing is not None and found.hash == standing.hash,
        "path": str(paths.program),
        "problem": standing.problem if standing is not None else None,
        "rules": found.rules(),
        "text": found.text,
    }
    answer(facts, as_json, lambda c: c.print(clean(found.text), markup=False, soft_wrap=True))
