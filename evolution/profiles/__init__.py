"""Profiles: the sizes a search runs at. Knobs live here; data and budget in the ruler."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from evolution.ruler import Ruler
from evolution.templates import template_path
from population import Budget, BudgetKind, KnobValue
from population.errors import EvolveError


class ProfileError(EvolveError):
    """There is no such profile."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One size of the search.

    Attributes:
        name: ``tiny``, ``cpu`` or ``gpu``.
        title: For people, in one line.
        knobs: What ``train.py`` takes in place of its own values.
        budget: Training budget of one trial, unless the settings say otherwise.
        facts: What the ruler prepares: sequence length, vocabulary, source, ...
    """

    name: str
    title: str
    knobs: Mapping[str, KnobValue]
    budget: Budget
    facts: Mapping[str, object]


def profile_names() -> list[str]:
    """The profiles there are, smallest first."""
    order = ("tiny", "cpu", "gpu")
    found = [path.stem for path in Path(__file__).parent.glob("*.toml")]
    return sorted(found, key=lambda name: (order.index(name) if name in order else 9, name))


def load_profile(name: str, sizes: Mapping[str, KnobValue] = MappingProxyType({})) -> Profile:
    """The profile of this name.

    Args:
        name: One of ``profile_names()``.
        sizes: Knobs in place of the profile's own, as the setting ``run.knobs`` has them.

    Raises:
        ProfileError: If there is none.
    """
    if name not in profile_names():
        raise ProfileError(
            f"There is no profile {name!r}. A run needs one of {', '.join(profile_names())}. "
            "Choose one of these in evolve.toml or with --profile; --profile auto chooses by the "
            "machine."
        )
    text = (Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    facts = Ruler.load(template_path("prepare.py")).profile_facts(name)
    budget = facts.pop("budget")
    return Profile(
        name=name,
        title=content["title"],
        knobs=MappingProxyType({**content["knobs"], **sizes}),
        budget=Budget(BudgetKind(budget["kind"]), float(budget["amount"])),
        facts=MappingProxyType(facts),
    )
