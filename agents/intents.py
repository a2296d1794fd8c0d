"""Intents: what a mutation is meant to be, drawn by weight, so that no run tries just one."""

from enum import StrEnum

from numpy.random import Generator


class Intent(StrEnum):
    """What a mutation is meant to be; ``prompts/intent_<name>.md`` says it to the model."""

    EXPLOIT = "exploit"  # more of what worked
    EXPLORE = "explore"  # what nobody has tried here
    SPEED = "speed"  # the same learning for less work
    SIMPLIFY = "simplify"  # less code at the same score
    REGULARISE = "regularise"  # better on text it was not trained on
    BORROW = "borrow"  # an edit that worked elsewhere in the run


#: How often each is drawn, relative to the others.
WEIGHTS = {
    Intent.EXPLOIT: 0.30,
    Intent.EXPLORE: 0.20,
    Intent.SPEED: 0.18,
    Intent.BORROW: 0.12,
    Intent.SIMPLIFY: 0.10,
    Intent.REGULARISE: 0.10,
}


#: So many times as often what nobody has tried is drawn where a search is flat.
BOLDER = 3.0


def drawn_intent(rng: Generator, *, is_flat: bool = False) -> Intent:
    """An intent, by weight; one number of ``rng``."""
    weights = WEIGHTS | ({Intent.EXPLORE: BOLDER * WEIGHTS[Intent.EXPLORE]} if is_flat else {})
    total = sum(weights.values())
    place = int(rng.choice(len(weights), p=[weight / total for weight in weights.values()]))
    return list(weights)[place]


def possible(intent: Intent, *, can_borrow: bool) -> Intent:
    """``intent``, or what takes its place where nothing can be borrowed."""
    return Intent.EXPLOIT if intent is Intent.BORROW and not can_borrow else intent
