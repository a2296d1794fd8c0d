"""ScriptedModel: answers from a script. The twin of a real model, for tests and dry runs."""

from collections.abc import Iterable, Sequence

from agents.model import Message, ModelError, Reply


class ScriptedModel:
    """Replays ``replies`` in order and keeps what it was asked.

    Attributes:
        prompts: One text for each call: the standing instructions, then every turn.
    """

    def __init__(self, replies: Iterable[str | Reply]) -> None:
        self._replies = [r if isinstance(r, Reply) else Reply(r) for r in replies]
        self.prompts: list[str] = []

    def reply(self, *, system: str, messages: Sequence[Message]) -> Reply:
        """The next reply of the script.

        Raises:
            ModelError: The script has ended.
        """
        if not messages or messages[-1].role != "user":
            raise ValueError("a conversation ends with the user's turn")
        self.prompts.append("\n\n".join([system, *(message.text for message in messages)]))
        if len(self.prompts) > len(self._replies):
            raise ModelError(
                f"The script holds {len(self._replies)} replies, but call {len(self.prompts)} "
                "needs one more. Add replies to the script."
            )
        return self._replies[len(self.prompts) - 1]
