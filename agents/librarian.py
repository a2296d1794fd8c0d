"""Librarian: finished trials become lessons, and lessons that trials contradict are retired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.asking import Asking
from agents.conversation import converse
from agents.fields import Arguments, handed_in, listed, numbered, worded
from agents.figures import shown_gain, shown_sigma
from agents.model import Message, Model, Prompt, Reply, Tool
from agents.operator import Context, Refusal
from agents.prompts import filled, standing, standing_names, template_hash
from agents.replacements import Refused
from agents.room import Section, fitted
from population import Claim, Direction, Lesson, Metric, one_line
from population.lesson import LESSON_CHARACTERS, LIBRARIAN
from population.lesson_page import bullet_line, lesson_text
from population.records import Json

#: Lessons that are taken of one distillation.
MOST_LESSONS = 8
_LINE, _REASON = 400, 300
_EVIDENCE = 40

#: Trials before lessons, for without trials there is nothing to distil; then all there is room for.
_KEPT = (("trials", 12), ("lessons", 40), ("trials", 1_000), ("lessons", 1_000))

_TEXT = {"type": "string"}
ANSWER = Tool(
    "submit_lessons",
    "Hand in what the trials teach, and which lessons they contradict.",
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["lessons", "retired"],
        "properties": {
            "lessons": {
                "type": "array",
                "description": f"New ones, the surest first, {MOST_LESSONS} at most; none is fine.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["text", "evidence", "confidence", "claim"],
                    "properties": {
                        "text": _TEXT | {"description": "One or two lines that stand alone."},
                        "evidence": {
                            "type": "array",
                            "items": {"type": "integer"},
                            "description": "Numbers of the trials that say so.",
                        },
                        "confidence": {"type": "number", "description": "From 0 to 1."},
                        "claim": {
                            "type": "string",
                            "enum": [claim.value for claim in Claim],
                            "description": "What the edits of those trials do, taken together.",
                        },
                    },
                },
            },
            "retired": {
                "type": "array",
                "description": "Lessons that the trials contradict, or that a new one replaces.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["id", "reason"],
                    "properties": {
                        "id": _TEXT | {"description": "As shown: L7."},
                        "reason": _TEXT | {"description": "One line, with the trials."},
                    },
                },
            },
        },
    },
)


@dataclass(frozen=True, slots=True)
class TrialNote:
    """A finished trial, as the librarian is told of it.

    Attributes:
        trial: Number.
        variant: Name.
        operator: Who made the variant.
        hypothesis: Why.
        status: How the trial ended.
        gain: What the variant's own edit gains, in the metric's unit, positive is better; None if
            unknown.
        sd: Standard deviation of ``gain``; None if unknown.
        failure: Class of its failure, and what it said; empty if it did not fail.
    """

    trial: int
    variant: str
    operator: str
    hypothesis: str
    status: str
    gain: float | None = None
    sd: float | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Distillation:
    """What came of it.

    Attributes:
        lessons: New ones, not stored yet.
        retired: Reasons, by number of the lesson.
        calls: Rows of the calls it came from.
    """

    lessons: Sequence[Lesson] = ()
    retired: Mapping[int, str] | None = None
    calls: Sequence[int] = ()


class Librarian:
    """Asks ``model`` what trials teach.

    Args:
        model: Asked.
        asking: Room for trials and lessons, and for the answer.
    """

    name = "librarian"

    def __init__(self, model: Model, asking: Asking | None = None) -> None:
        self._model = model
        self._asking = asking or Asking()

    def distil(
        self, context: Context, lessons: Sequence[Lesson], trials: Sequence[TrialNote], *, at: float
    ) -> Distillation | Refusal:
        """Ask, and take what can be used; the author may correct itself once.

        Args:
            context: Of the run as it stands; its parents do not matter.
            lessons: Those that are told now.
            trials: Since the last distillation, the newest first.
            at: Seconds since the epoch: when the lessons are written.
        """
        sections = _sections(lessons, trials, context)
        told, counts = fitted(sections, _KEPT, self._asking.context_tokens)
        shown = sorted(lessons, key=lambda lesson: lesson.rank)[: counts["lessons"]]
        numbers = {note.trial for note in trials[: counts["trials"]]}
        numbers.update(number for lesson in shown for number in lesson.evidence)
        prompt = Prompt(
            self.name,
            standing("librarian", context),
            (Message("user", filled("distil", notes=told)),),
            answer=ANSWER,
            max_output_tokens=self._asking.max_output_tokens,
            template=template_hash(*standing_names("librarian", context), "distil", "correct"),
        )

        def read(reply: Reply) -> Distillation | Refused:
            found = handed_in(reply, ANSWER)
            if isinstance(found, Refused):
                return found
            return read_distillation(found, numbers, shown, at=at, call=reply.call)

        answered = converse(self._model, prompt, read)
        if isinstance(answered.result, Refused):
            return Refusal(self.name, answered.result.reason, answered.calls)
        made = answered.result
        return Distillation(made.lessons, made.retired, answered.calls)


def read_distillation(
    arguments: Arguments,
    trials: set[int],
    known: Sequence[Lesson],
    *,
    at: float,
    call: int | None = None,
) -> Distillation | Refused:
    """What of an answer can be used; total.

    Evidence that was not shown is left out, and a lesson without any. A lesson that is known
    already is left out, as is the retiring of one that was not shown or that a person wrote.

    Args:
        arguments: The answer.
        trials: Numbers that were shown.
        known: Lessons that were shown.
        at: Seconds since the epoch.
        call: The call that it came from.
    """
    told = {_key(lesson.text) for lesson in known}
    lessons: list[Lesson] = []
    baseless = 0
    for entry in listed(arguments, "lessons")[: 2 * MOST_LESSONS]:
        text = lesson_text(worded(entry, "text"), LESSON_CHARACTERS)
        evidence = _evidence(entry, trials)
        if not text or _key(text) in told:
            continue
        if not evidence:
            baseless += 1
            continue
        told.add(_key(text))
        confidence = numbered(entry, "confidence")
        lessons.append(
            Lesson(
                text=text,
                source=LIBRARIAN,
                confidence=0.5 if confidence is None else min(1.0, max(0.0, confidence)),
                at=at,
                evidence=evidence,
                claim=_claim(worded(entry, "claim")),
                call=call,
            )
        )
    retired = _retired(arguments, known)
    if baseless and not lessons and not retired:
        return Refused(
            "none of the lessons names a trial that was shown: evidence takes the numbers of such "
            "trials"
        )
    return Distillation(lessons[:MOST_LESSONS], retired)


def _evidence(entry: Json, trials: set[int]) -> tuple[int, ...]:
    found = listed(entry, "evidence")
    numbers = (n for n in found if isinstance(n, int) and not isinstance(n, bool) and n in trials)
    return tuple(sorted(dict.fromkeys(numbers)))[:_EVIDENCE]


def _claim(word: str) -> Claim:
    return Claim(word) if word in list(Claim) else Claim.NONE


def _retired(arguments: Arguments, known: Sequence[Lesson]) -> dict[int, str]:
    """Reasons, by number, of lessons that a model may retire."""
    by_name = {lesson.name: lesson for lesson in known if not lesson.is_a_persons}
    reasons: dict[int, str] = {}
    for entry in listed(arguments, "retired"):
        lesson = by_name.get(worded(entry, "id").strip().strip("[]").upper())
        if lesson is not None:
            reason = one_line(worded(entry, "reason"), _REASON)
            reasons[lesson.id] = f"librarian: {reason or 'no reason given'}"
    return reasons


def _key(text: str) -> str:
    """The same for texts that differ in case and punctuation alone."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _sections(
    lessons: Sequence[Lesson], trials: Sequence[TrialNote], context: Context
) -> dict[str, Section]:
    metric = context.metric
    way = "higher" if metric.direction is Direction.MAXIMIZE else "lower"
    noise = shown_sigma(context.sigma, metric)
    unit = f" {one_line(metric.unit)}" if metric.unit else ""
    ordered = sorted(lessons, key=lambda lesson: lesson.rank)
    return {
        "trials": Section(
            "Trials that ended since the last time, newest first. The score is "
            f"{one_line(metric.name)}, {way} is better; the noise of one trial is {noise}. A gain "
            f"is that of the variant's own edit in{unit or ' the unit of the score'}, with its "
            "95 % interval, positive is better",
            [_trial_line(note, metric) for note in trials],
        ),
        "lessons": Section(
            "Lessons that are told now, the surest first; those of a person stay",
            [one_line(bullet_line(lesson), 2 * _LINE) for lesson in ordered],
        ),
    }


def _trial_line(note: TrialNote, metric: Metric) -> str:
    result = note.status.replace("_", " ")
    if note.failure:
        result += f", {one_line(note.failure, _LINE // 2)}"
    elif note.gain is not None:
        result += f", gain {shown_gain(note.gain, note.sd, metric)}"
    line = f"trial {note.trial}, {note.variant} by {note.operator}: {result}: {note.hypothesis}"
    return one_line(line, _LINE)
