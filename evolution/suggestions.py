"""Suggestions: which ideas of people a commission is offered, and what is credited to them.

Which are open follows from the store (`population.people`). Knows nothing of files and commands.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from agents import Proposal
from agents.briefing import Suggestion as Offered
from evolution.config import OperatorSettings
from evolution.manuals import manual_in_force, operator_weights
from population import Manual, Store, Suggestion, suggestion_label, suggestion_number

#: The operator that reads them.
READER = "mutator"
#: Suggestions that one commission is offered, at most.
OFFERED_AT_ONCE = 2


def next_offers(suggestions: Iterable[Suggestion]) -> list[int]:
    """What the next commission of the reader is offered: the least offered, then the oldest."""
    waiting = [suggestion for suggestion in suggestions if suggestion.is_offered]
    waiting.sort(key=lambda suggestion: (suggestion.offer_count, suggestion.id))
    return [suggestion.id for suggestion in waiting[:OFFERED_AT_ONCE]]


def as_offered(store: Store, numbers: Collection[int]) -> list[Offered]:
    """Suggestions as an operator is shown them, in the order in which they were chosen."""
    if not numbers:
        return []
    known = {suggestion.id: suggestion for suggestion in store.suggestions()}
    return [Offered(known[n].label, known[n].text) for n in numbers if n in known]


def credited(proposal: Proposal, offered: Sequence[int]) -> Proposal:
    """The proposal without a claim to a suggestion that its author was not offered."""
    number = suggestion_number(proposal.suggestion)
    claim = suggestion_label(number) if number is not None and number in offered else None
    return replace(proposal, suggestion=claim)


def unread_reason(store: Store) -> str | None:
    """Why nobody reads the suggestions of a run, in words; None if its mutator does."""
    settings = store.run().settings
    agents, operators = settings.get("agents"), settings.get("operators")
    kind = agents.get("kind", "off") if isinstance(agents, Mapping) else "off"
    if kind == "off":
        return "it asks no language model ([agents] kind is off)"
    weights = OperatorSettings.model_validate(operators or {}).weights(has_agents=True)
    if READER not in weights:
        return f"its operator {READER}, which reads them, has no weight under [operators]"
    if READER not in operator_weights(manual_in_force(store) or Manual(), weights):
        return f"its program.md does not allow the operator {READER}, which reads them"
    return None
