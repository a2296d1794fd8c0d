"""Requests: what other commands ask of a live run, answered by its engine."""

from collections.abc import Mapping

from evolution.breeding import Breeder
from population import MAIN, Genome, Manual, Request, Store, StoreError, Variant, rule_problems


def take_seed(
    request: Request, store: Store, breeder: Breeder, manual: Manual
) -> tuple[str, Variant | None]:
    """Take in a hand-written variant.

    Args:
        request: Payload: ``text`` of the genome, ``idea``, and ``parent`` or nothing for the
            baseline.
        store: Of the run.
        breeder: Commits the variant.
        manual: In force; a seed keeps its rules like any offspring.

    Returns:
        The answer for the one who asked, and the new variant; None if it was refused.
    """
    payload = request.payload
    if not isinstance(payload, Mapping) or not {"text", "idea"} <= set(payload):
        return "refused: a seed needs the text of its genome and its idea", None
    genome = Genome({MAIN: str(payload["text"])})
    problems = rule_problems(manual, genome, breeder.baseline)
    if problems:
        first = problems[0]
        return f"refused: line {first.line} breaks {first.rule}: {first.message}", None
    try:
        parent = store.variant(str(payload.get("parent") or store.run().baseline))
    except StoreError as error:
        return f"refused: {error}", None
    variant = breeder.adopt(genome, idea=str(payload["idea"]), parent=parent, manual=manual)
    if store.trials(variant=variant.sha):
        return f"refused: {variant.name} is the same genome", None
    return f"taken in as {variant.name}", variant
