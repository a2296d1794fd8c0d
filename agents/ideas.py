"""Ideas before code: how models hand in several, and which of them is carried out. Pure.

A predicted gain is the model's own hope: it ranks, and decides nothing alone. What is alike to what
was tried, or is being tried, is dropped first.
"""

import contextlib
import difflib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from agents.answers import arguments_of, hypothesis_of, number_of
from agents.forms import form, text_of
from agents.intents import Intent
from agents.model import Reply, Tool
from agents.operator import Context
from agents.replacements import Refused
from population import one_line
from population.records import Json

#: Share of an idea's words, in order, that another text has where the two count as alike.
ALIKE = 0.8
#: How likely the best ideas are to be drawn, the best first; later ones are not.
PLACES = (0.5, 0.3, 0.2)
_MOST_IDEAS = 12  # that are read
_WORD = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?|[^\W\d_]+", re.IGNORECASE)
_IDEA = re.compile(r"^[^\w\n]*IDEA[^\w\n:]*:[^\w\n|]*(?P<rest>.*)$", re.MULTILINE | re.IGNORECASE)
_KNOWN_CHARACTERS = 400
_NOTHING_SAID = hypothesis_of(None)

SUBMIT_IDEAS = Tool(
    "submit_ideas",
    "Hand in three to five ideas, before any code. They are ranked; you will be asked to carry one "
    "of them out.",
    form(
        ideas={
            "type": "array",
            "description": "Three to five, unlike one another: other mechanisms, not other values.",
            "items": form(
                hypothesis=text_of(
                    "One line: what would be changed, by what mechanism it acts, why it helps here."
                ),
                expected_gain={
                    "type": "number",
                    "description": "Honest expectation in the score's unit; positive is better.",
                },
                intent={
                    "type": "string",
                    "enum": [str(intent) for intent in Intent],
                    "description": "What kind of change it is.",
                },
            ),
        }
    ),
)


@dataclass(frozen=True, slots=True)
class Idea:
    """A change that a model could make.

    Attributes:
        hypothesis: One line.
        expected_gain: As the model sees it, in the metric's unit; None if unsaid.
        intent: What kind of change it says to be; None if unsaid.
    """

    hypothesis: str
    expected_gain: float | None = None
    intent: Intent | None = None


def read_ideas(reply: Reply, known: Sequence[str]) -> list[Idea] | Refused:
    """The ideas of a reply that are like nothing in ``known``, nor like one before them."""
    arguments = arguments_of(reply, SUBMIT_IDEAS)
    given = _ideas_in(reply.text) if arguments is None else arguments.get("ideas")
    if arguments is None and not given:
        return Refused(f"the reply does not use {SUBMIT_IDEAS.name}, and has no line IDEA: …")
    if not isinstance(given, Sequence) or isinstance(given, str):
        return Refused("ideas must be a list of objects with hypothesis, expected_gain and intent")
    told = [idea for entry in given[:_MOST_IDEAS] if (idea := _idea(entry)) is not None]
    if not told:
        return Refused("none of the ideas has a hypothesis")
    fresh: list[Idea] = []
    clashes: list[str] = []
    for idea in told:
        others = (*known, *(one.hypothesis for one in fresh))
        clash = next((other for other in others if is_alike(idea.hypothesis, other)), None)
        if clash is None:
            fresh.append(idea)
        else:
            clashes.append(f"“{idea.hypothesis}” is alike to “{one_line(clash)}”")
    return fresh or Refused("every idea is known already: " + "; ".join(clashes))


def chosen(ideas: Sequence[Idea], intent: Intent, rng: Generator) -> Idea:
    """One of the best; those of the intent that was asked for come before all others."""
    fitting = [idea for idea in ideas if idea.intent is intent] or list(ideas)
    ranked = sorted(fitting, key=lambda idea: -(idea.expected_gain or 0.0))[: len(PLACES)]
    weights = PLACES[: len(ranked)]
    return ranked[int(rng.choice(len(ranked), p=[weight / sum(weights) for weight in weights]))]


def known_ideas(context: Context) -> list[str]:
    """Hypotheses of what was tried and of what is under way, as they stood when it was asked."""
    if context.known is not None:
        return list(context.known)
    tried = (_untitled(line).rpartition(" → ") for line in context.history)
    hypotheses = [head or rest for head, _, rest in tried]
    under_way = [_untitled(line) for line in context.briefing.under_way]
    return [one_line(text, _KNOWN_CHARACTERS) for text in (*hypotheses, *under_way)]


def is_alike(idea: str, other: str) -> bool:
    """True if two ideas say nearly the same words in order, and no other numbers."""
    (one, values), (two, other_values) = _words(idea), _words(other)
    if not one or not two or (values and other_values and values != other_values):
        return False
    matcher = difflib.SequenceMatcher(None, one, two, autojunk=False)
    shared = sum(block.size for block in matcher.get_matching_blocks())
    # Of the longer one: a long idea may well hold a short one, and say much more.
    return shared >= ALIKE * max(len(one), len(two))


def _ideas_in(text: str) -> list[Json]:
    """Ideas in words, as ``prompts/step_ideas.md`` asks: ``IDEA: … | GAIN: … | INTENT: …``."""
    ideas: list[Json] = []
    for found in itertools.islice(_IDEA.finditer(text), _MOST_IDEAS):
        said, *fields = found["rest"].split("|")
        told = {
            name.strip().lower(): value.strip()
            for name, _, value in (field.partition(":") for field in fields)
        }
        gain: Json = None
        with contextlib.suppress(ValueError):
            gain = float(told.get("gain", ""))
        intent = told.get("intent", "").lower()
        ideas.append({"hypothesis": said, "expected_gain": gain, "intent": intent})
    return ideas


def _untitled(line: str) -> str:
    """A line ``operator: hypothesis`` without the operator."""
    title, _, rest = line.partition(": ")
    return rest if rest and " " not in title else line


def _words(text: str) -> tuple[list[str], set[float]]:
    """The words of a text, and the numbers among them."""
    words = _WORD.findall(text.casefold())
    return [w for w in words if not w[0].isdecimal()], {float(w) for w in words if w[0].isdecimal()}


def _idea(entry: object) -> Idea | None:
    if not isinstance(entry, Mapping):
        return None
    hypothesis = hypothesis_of(entry.get("hypothesis"))
    if hypothesis == _NOTHING_SAID:
        return None
    known = [intent for intent in Intent if intent == entry.get("intent")]
    gain = number_of(entry.get("expected_gain"))
    return Idea(hypothesis, gain, known[0] if known else None)
