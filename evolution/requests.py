"""Requests: what other commands ask of a live run, answered by its engine."""

from collections.abc import Mapping

from evolution.breeding import Breeder
from population import Manual, Origin, Request, Store, StoreError, Variant, rule_problems


def take_seed(
    request: Request, store: Store, breeder: Breeder, manual: Manual
) -> tuple[str, Variant | None]:
    """Take in a hand-written variant.

    Args:
        request: Payload: ``text`` of the genome's entry, ``idea``, and ``parent`` or nothing for
            the baseline.
        store: Of the run.
        breeder: Commits the variant.
        manual: In force; a seed keeps its rules like any offspring.

    Returns:
        The answer for the one who asked, and the new variant; None if it was refused.
    """
    payload = request.payload
    if not isinstance(payload, Mapping) or not {"text", "idea"} <= set(payload):
        return "refused: a seed needs the text of its genome and its idea", None
    try:
        parent = store.variant(str(payload.get("parent") or store.run().baseline))
    except StoreError as error:
        return f"refused: {error}", None
    genome = breeder.genome(parent.sha).with_main(str(payload["text"]))
    problems = rule_problems(manual, genome, breeder.baseline, breeder.contract)
    if problems:
        first = problems[0]
        return f"refused: line {first.line} breaks {first.rule}: {first.message}", None
    idea = str(payload["idea"])
    variant = breeder.adopt(genome, idea=idea, parent=parent, manual=manual)
    if not store.trials(variant=variant.sha):
        return f"taken in as {variant.name}", variant
    # An engine killed before it could answer took it in, and its trial is queued already.
    if variant.origin is Origin.SEED and variant.hypothesis == idea:
        return f"taken in as {variant.name}", None
    return f"refused: {variant.name} is the same genome", None
