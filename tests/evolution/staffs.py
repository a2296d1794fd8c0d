"""Staff for tests: real operators that ask a model which answers at once, or when it is let."""

import re
import threading

from agents import (
    Minimizer,
    Model,
    ModelCrossover,
    ModelError,
    Mutator,
    Prompt,
    Repairer,
    Reply,
    ToolUse,
    Usage,
)
from tests.evolution.runs import EFFECTS

OPERATORS = {
    "mutator": Mutator,
    "crossover": ModelCrossover,
    "minimizer": Minimizer,
    "repairer": Repairer,
}
_WAIT_SECONDS = 30.0
#: What librarian and critic hand in: everything is evidence, nothing is wrong.
ANSWERS = {
    "submit_lessons": lambda text, number: {
        "lessons": [
            {
                "text": f"Lesson of call {number}.",
                "evidence": [int(found) for found in re.findall(r"^trial (\d+),", text, re.M)],
                "confidence": 0.6,
                "claim": "none",
            }
        ],
        "retired": [],
    },
    "submit_critique": lambda _, number: {"verdict": "pass", "reasons": [f"call {number}"]},
    "submit_reading": lambda _, number: {"explanation": f"Call {number}.", "suspects": []},
}


class Author:
    """Answers with a block that changes one knob of the genome it is shown; safe for threads.

    ``gate`` holds every answer back until it is set, or those of the roles ``held``. ``fails`` is
    asked at each call for the error that it gives, by the call's number from 1. ``answers`` has
    what is handed in by a tool.
    """

    name = "author"

    def __init__(self, *, gate=None, fails=lambda _: None, answers=ANSWERS, held=()):
        self.asked: list[Prompt] = []
        self.most_at_once = 0
        self._gate, self._fails = gate, fails
        self._answers, self._held = answers, held
        self._lock = threading.Lock()
        self._inside = 0

    def reply(self, prompt: Prompt) -> Reply:
        with self._lock:
            self.asked.append(prompt)
            number = len(self.asked)
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
        try:
            if self._gate is not None and (not self._held or prompt.role in self._held):
                self._gate.wait(_WAIT_SECONDS)
            kind = self._fails(number)
            if kind is not None:
                raise ModelError(f"planted: {kind}", kind)
            if prompt.answer is not None and prompt.answer.name in self._answers:
                return handed_in(prompt, number, self._answers)
            return Reply(block(prompt.messages[0].text, number), Usage(1000, 100), model=self.name)
        finally:
            with self._lock:
                self._inside -= 1


def handed_in(prompt: Prompt, number: int, answers=ANSWERS) -> Reply:
    """An answer by the tool that was asked for."""
    name = prompt.answer.name
    use = ToolUse(f"use-{number}", name, answers[name](prompt.messages[0].text, number))
    return Reply("", Usage(1000, 100), "tool_use", (use,), model="author")


def block(text: str, number: int) -> str:
    """One knob of the genome in ``text``, times something."""
    name = list(EFFECTS)[number % len(EFFECTS)]
    line = re.search(rf"^{name} = (\S+).*$", text, re.M)
    changed = float(line[1]) * (2 + number // len(EFFECTS))
    return (
        f"HYPOTHESIS: {name} to {changed:g}, idea {number}\n\n<<<<<<< SEARCH\n{line[0]}\n=======\n"
        f"{name} = {changed}\n>>>>>>> REPLACE\n"
    )


class HouseStaff:
    """Real operators on one model; with a store, every call is paid from a purse."""

    defers = False

    def __init__(self, model: Model, purse=None):
        self.closed = False
        self.operators = ("mutator", "crossover")
        self._model, self._purse = model, purse

    def model(self, role: str, commission: int) -> Model:  # one model plays all
        if self._purse is None:
            return self._model
        return self._purse.metered(self._model, commission=commission, role=role)

    def parent_count(self, name: str) -> int:
        return 2 if name == "crossover" else 1

    def operator(self, name: str, model: Model):
        return OPERATORS[name](model)

    def call_off(self) -> None:
        """Nothing of it takes hours."""

    def close(self) -> None:
        self.closed = True
