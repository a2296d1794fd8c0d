"""A provider of language models with books of its own, to hold a run's books against."""

import dataclasses
import json
import os
import random
import threading
from datetime import date
from pathlib import Path

from agents import Message, ModelError, Price, Prices, Prompt, Reply, ToolUse, Usage
from agents.prices import most_input_tokens

PRICE = Price(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75)
PRICES = Prices({"twin-1": PRICE}, date(2026, 11, 24))


def ask(text: str = "Improve it.", **changes) -> Prompt:
    """A short prompt of a mutator."""
    prompt = Prompt("mutator", ("contract", "role"), (Message("user", text),), template="t1")
    return dataclasses.replace(prompt, **{"max_output_tokens": 500} | changes)


class Provider:
    """Answers with as many tokens as it likes, within what a prompt allows, and writes them down.

    Args:
        script: What to do, in turn: an error is raised, anything else answered; then as before.
        books: A file that gets each row before the reply leaves.
        seed: Of the token counts.
    """

    name = "twin-1"

    def __init__(self, script=(), *, books: Path | None = None, seed: int = 0) -> None:
        self._script = list(script)
        self._books = books
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self.ledger: list[Usage] = []
        self.asked: list[Prompt] = []

    def reply(self, prompt: Prompt) -> Reply:
        with self._lock:
            self.asked.append(prompt)
            number = len(self.asked)
            step = self._script.pop(0) if self._script else None
            if isinstance(step, BaseException):
                if isinstance(step, ModelError) and step.usage:
                    self.ledger.append(step.usage)
                raise step
            usage = self._usage(prompt)
            self.ledger.append(usage)
            self._write(usage)
        if isinstance(step, Reply):
            return dataclasses.replace(step, usage=usage)
        return Reply(
            step if isinstance(step, str) else f"reply {number}",
            usage=usage,
            stop_reason="tool_use",
            tool_uses=(ToolUse(f"use-{number}", "submit", {"n": number, "deep": {"a": [1]}}),),
            native=[{"type": "thinking", "signature": "abc"}],
            model="twin-1-20261101",
            request_id=f"req-{number}",
        )

    def _usage(self, prompt: Prompt) -> Usage:
        # At its dearest, sometimes: every token of the bound, and every token of the reply.
        bound = most_input_tokens(prompt)
        if self._rng.random() < 0.3:
            return Usage(output_tokens=prompt.max_output_tokens, cache_write_tokens=bound)
        written, read = self._rng.randrange(bound // 2), self._rng.randrange(bound // 4)
        rest = self._rng.randrange(bound // 4)
        return Usage(rest, self._rng.randrange(prompt.max_output_tokens + 1), read, written)

    def _write(self, usage: Usage) -> None:
        if self._books is None:
            return
        with self._books.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(usage)) + "\n")
            file.flush()
            os.fsync(file.fileno())
