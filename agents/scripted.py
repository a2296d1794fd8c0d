"""ScriptedModel: answers from a script. The twin of a real model, for tests and dry runs."""

import threading
from collections.abc import Iterable

from agents.model import ModelError, Prompt, Reply


class ScriptedModel:
    """Replays ``replies`` in order and keeps what it was asked; an error in the script is raised.

    Attributes:
        asked: The prompts, in order.
    """

    name = "scripted"

    def __init__(self, replies: Iterable[str | Reply | ModelError]) -> None:
        self._replies = [Reply(r) if isinstance(r, str) else r for r in replies]
        self._lock = threading.Lock()
        self.asked: list[Prompt] = []

    @property
    def prompts(self) -> list[str]:
        """One text for each call: the standing instructions, then every turn."""
        return [
            "\n\n".join([*prompt.system, *(message.text for message in prompt.messages)])
            for prompt in self.asked
        ]

    def reply(self, prompt: Prompt) -> Reply:
        """The next reply of the script.

        Raises:
            ModelError: The script says so, or has ended.
        """
        if not prompt.messages or prompt.messages[-1].role != "user":
            raise ValueError("a conversation ends with the user's turn")
        with self._lock:
            self.asked.append(prompt)
            number = len(self.asked)
        if number > len(self._replies):
            raise ModelError(
                f"The script holds {len(self._replies)} replies, but call {number} "
                "needs one more. Add replies to the script."
            )
        reply = self._replies[number - 1]
        if isinstance(reply, ModelError):
            raise reply
        return reply
