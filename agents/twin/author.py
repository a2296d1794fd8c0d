"""The author behind the twin: answers each role as a competent model would, without one.

It reads the fenced genome of the prompt, has a real operator change it (``agents.builtin``), and
says so in the form that was asked for: the answer's tool, or SEARCH/REPLACE blocks. What it does is
a function of its seed and of what it was asked; asked the same again, it has another idea.
"""

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.random import Generator, default_rng

from agents.twin.cache import shown
from agents.twin.edits import Idea, Ideas, Replacement, replacements
from agents.twin.reading import Reading
from population import MAIN, Genome, knobs, one_line

Block = dict[str, Any]  # of a reply

_IDS = re.compile(rb'"(?:tool_use_)?id":"toolu_[^"]*"')  # of uses of tools: new ones every time
_WHOLE_FILE = 0.2  # how often a crossover is handed in whole
_RETIRES = 0.3  # how often a lesson is taken back
_REJECTS, _WARNS = 0.15, 0.2  # how often a proposal is rejected, or warned of
_CLAIMS = ("helps", "hurts", "none")
_INTENTS = ("exploit", "explore", "speed", "simplify", "regularise")


class Author:
    """Answers requests; safe for several threads.

    Args:
        seed: Of everything it draws.
        curiosity: How often it uses an inner tool before it answers.
        slips: How often it copies a line wrongly at the first attempt, as models do.
    """

    def __init__(self, seed: int = 0, curiosity: float = 0.25, slips: float = 0.0) -> None:
        self._seed = seed
        self._curiosity = curiosity
        self._slips = slips
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._ideas = Ideas()
        self._answers: dict[str, Callable[[Reading, Generator], Block]] = {
            "submit_variant": self._variant,
            "submit_ideas": self._some_ideas,
            "submit_lessons": self._lessons,
            "submit_critique": self._critique,
            "submit_reading": self._judgement,
        }

    def __call__(self, request: Mapping[str, Any]) -> Sequence[Block]:
        """The content of a reply to ``request``."""
        rng = self._rng(request)
        prompt = Reading(request)
        if prompt.inner_tools and rng.random() < self._curiosity:
            return [_said("Let me look first."), self._look(prompt, rng)]
        name = prompt.answer(list(self._answers))
        if name is not None:
            return [_use(name, self._answers[name](prompt, rng))]
        return [_said(self._in_words(prompt, rng))]

    def _rng(self, request: Mapping[str, Any]) -> Generator:
        """Chance of its own for each request, and each time that it comes; whatever its ids are."""
        asked = _IDS.sub(b"", shown([request.get("system"), request["messages"]]))
        name = hashlib.sha256(asked).hexdigest()
        with self._lock:
            self._asked[name] += 1
            return default_rng([self._seed, int(name[:16], 16), self._asked[name]])

    # --- genomes -----------------------------------------------------------------------------

    def _idea(self, prompt: Reading, rng: Generator) -> Idea | None:
        genomes, manual = prompt.genomes, prompt.manual
        if not genomes:
            return None
        if len(genomes) > 1:
            return self._ideas.union(genomes[0], genomes[1], manual, rng)
        if prompt.wants_repair:
            return self._ideas.repair(genomes[0], prompt.diffs, manual, rng)
        if prompt.setting is not None:
            idea = self._ideas.setting(genomes[0], *prompt.setting)
            if idea is not None:
                return idea
        return self._ideas.change(genomes[0], manual, rng, is_less=prompt.wants_less)

    def _variant(self, prompt: Reading, rng: Generator) -> Block:
        idea = self._idea(prompt, rng)
        answer: Block = {
            "hypothesis": _hypothesis(idea),
            "expected_gain": _gain(rng),
            "suggestion": prompt.suggestion,
            "edits": [],
            "files": [],
        }
        if idea is None:
            return answer
        parent = prompt.genomes[0]
        if len(prompt.genomes) > 1 and rng.random() < _WHOLE_FILE:
            answer["files"] = _files(idea.genome, parent)
        else:
            answer["edits"] = _edits(self._replacements(prompt, idea, rng))
        return answer

    def _replacements(self, prompt: Reading, idea: Idea, rng: Generator) -> list[Replacement]:
        found = replacements(prompt.genomes[0], idea.genome)
        if found and prompt.is_first and rng.random() < self._slips:
            found[0] = replace(found[0], search=f"{found[0].search} # as I recall it")
        return found

    def _in_words(self, prompt: Reading, rng: Generator) -> str:
        """The same for a prompt without tools: as SEARCH/REPLACE blocks."""
        idea = self._idea(prompt, rng)
        if idea is None:
            return "There is no genome to change."
        head = f"HYPOTHESIS: {_hypothesis(idea)}\nEXPECTED_GAIN: {_gain(rng)}\n"
        blocks = [
            f"<<<<<<< SEARCH {one.path}\n{one.search}\n=======\n{one.replace}\n>>>>>>> REPLACE\n"
            for one in self._replacements(prompt, idea, rng)
        ]
        return "\n".join([head, *blocks])

    # --- the other answers -------------------------------------------------------------------

    def _some_ideas(self, prompt: Reading, rng: Generator) -> Block:
        found = knobs(prompt.genomes[0].main) if prompt.genomes else {}
        numbers = [name for name, value in found.items() if type(value) is float and value > 0]
        chosen = rng.permutation(numbers)[:3].tolist() if numbers else []
        told = [
            f"set {name} to {float(found[name]) * float(rng.choice([0.7, 0.85, 1.2, 1.4])):.4g}"  # type: ignore[arg-type]
            for name in chosen
        ] or ["take a part away that does not earn its keep"]
        ideas = [
            {
                "hypothesis": one,
                "expected_gain": _gain(rng),
                "intent": str(rng.choice(_INTENTS)),
            }
            for one in told
        ]
        return {"ideas": ideas}

    def _lessons(self, prompt: Reading, rng: Generator) -> Block:
        trials = prompt.trials
        drawn = sorted(rng.permutation(trials)[:3].tolist()) if trials else []
        what = f"Trials {', '.join(map(str, drawn))} agree: small steps pay, large ones do not."
        lesson = {
            "text": what,
            "evidence": drawn,
            "confidence": round(rng.uniform(0.3, 0.9), 2),
            "claim": str(rng.choice(_CLAIMS)),
        }
        known = prompt.lessons
        gone = [str(rng.choice(known))] if known and rng.random() < _RETIRES else []
        retired = [{"id": name, "reason": "later trials say otherwise"} for name in gone]
        return {"lessons": [lesson] if drawn else [], "retired": retired}

    def _critique(self, prompt: Reading, rng: Generator) -> Block:
        chance = rng.random()
        changed = sum(len(diff.splitlines()) for diff in prompt.diffs)
        if chance < _REJECTS:
            return {"verdict": "reject", "reasons": [f"{changed} lines repeat what was tried"]}
        if chance < _REJECTS + _WARNS:
            return {"verdict": "warn", "reasons": ["it is tied to one depth"]}
        return {"verdict": "pass", "reasons": []}

    def _judgement(self, prompt: Reading, rng: Generator) -> Block:
        changed = [
            line[1:].strip()
            for diff in prompt.diffs
            for line in diff.splitlines()
            if line.startswith("+") and not line.startswith("+++") and line[1:].strip()
        ]
        suspects = [
            {"edit": one_line(str(line)), "why": "it is what changed"}
            for line in (rng.permutation(changed)[:1] if changed else [])
        ]
        return {"explanation": f"{len(changed)} lines are new.", "suspects": suspects}

    def _look(self, prompt: Reading, rng: Generator) -> Block:
        """One use of an inner tool."""
        name = str(rng.choice(prompt.inner_tools))
        genome = prompt.genomes[0] if prompt.genomes else None
        if name == "read_file":
            return _use(name, {"path": genome.entry if genome else MAIN, "first_line": 1})
        if name == "lookup":
            return _use(name, {"variant": [*prompt.variants, "g000-000"][0]})
        changed = self._ideas.change(genome, prompt.manual, rng) if genome else None
        edits = _edits(replacements(genome, changed.genome)) if genome and changed else []
        return _use(name, {"edits": edits, "files": []})


def _said(text: str) -> Block:
    return {"type": "text", "text": text}


def _use(name: str, arguments: Block) -> Block:
    return {"type": "tool_use", "name": name, "input": arguments}


def _hypothesis(idea: Idea | None) -> str:
    return one_line(idea.hypothesis) if idea else "nothing new comes to mind"


def _gain(rng: Generator) -> float:
    return round(rng.uniform(0.0005, 0.01), 4)


def _edits(found: Sequence[Replacement]) -> list[Block]:
    return [{"path": one.path, "search": one.search, "replace": one.replace} for one in found]


def _files(genome: Genome, parent: Genome) -> list[Block]:
    return [
        {"path": path, "text": text}
        for path, text in genome.files.items()
        if text != parent.files.get(path)
    ]
