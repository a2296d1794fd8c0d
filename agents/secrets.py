"""What goes to a provider and to the store, made fit for both: no keys, no text that is no text.

A key never reaches a prompt, a genome or a file: what equals a secret of the environment is
replaced by the name of its variable.
"""

import dataclasses
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from agents.model import Message, ModelError, Prompt, Reply, Tool, ToolResult, ToolUse
from population.records import Json

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
# A shorter value is a word or a number, and would be found in any text.
_SHORTEST = 8


class Secrets:
    """The secrets of one environment, and how to keep them out of what is sent and stored.

    Args:
        environment: Names to values; a name that speaks of a key, a token, a secret, a password or
            a credential stands for a secret, and one of headers for the value of each.
        secret_names: Names that stand for a secret, whatever they speak of.
    """

    def __init__(self, environment: Mapping[str, str], secret_names: Collection[str] = ()) -> None:
        names = {
            value: name
            for name, text in sorted(environment.items(), reverse=True)
            if name in secret_names or _SECRET_NAME.search(name) or _is_headers(name)
            for value in _values(name, text)
            if len(value) >= _SHORTEST
        }
        # The longest first: one key may begin with another.
        known = sorted(names, key=len, reverse=True)
        self._names = names
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None

    def blotted(self, text: str) -> str:
        """``text`` with each secret replaced, and with what no database takes as ``?``."""
        text = text.encode("utf-8", "replace").decode().replace("\0", "?")
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"[{self._names[found[0]]}]", text)

    def blotted_json(self, value: Json) -> Json:
        """A JSON value with every string in it blotted, names of fields included."""
        if isinstance(value, str):
            return self.blotted(value)
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        if isinstance(value, Mapping):
            return {self.blotted(k): self.blotted_json(v) for k, v in value.items()}
        if isinstance(value, Sequence):
            return [self.blotted_json(item) for item in value]
        return value

    def prompt(self, prompt: Prompt) -> Prompt:
        """``prompt``, fit to be sent and stored."""
        return dataclasses.replace(
            prompt,
            system=tuple(self.blotted(block) for block in prompt.system),
            messages=tuple(self._message(message) for message in prompt.messages),
            tools=tuple(self._tool(tool) for tool in prompt.tools),
            answer=None if prompt.answer is None else self._tool(prompt.answer),
            files={path: self.blotted(text) for path, text in prompt.files.items()},
        )

    def reply(self, reply: Reply) -> Reply:
        """``reply``, fit to be stored and to be made a genome of.

        Raises:
            RecursionError: It is nested without end.
        """
        return dataclasses.replace(
            reply,
            text=self.blotted(reply.text),
            tool_uses=tuple(self._use(use) for use in reply.tool_uses),
            native=self.blotted_json(reply.native),
            stop_reason=self.blotted(reply.stop_reason),
            model=self.blotted(reply.model),
            request_id=self.blotted(reply.request_id),
        )

    def error(self, error: ModelError) -> ModelError:
        """``error``, fit to be shown and stored."""
        return ModelError(
            self.blotted(str(error)),
            error.kind,
            retry_after=error.retry_after,
            usage=error.usage,
            text=self.blotted(error.text),
        )

    def _message(self, message: Message) -> Message:
        return dataclasses.replace(
            message,
            text=self.blotted(message.text),
            tool_uses=tuple(self._use(use) for use in message.tool_uses),
            tool_results=tuple(
                ToolResult(self.blotted(result.id), self.blotted(result.text), result.is_error)
                for result in message.tool_results
            ),
            native=self.blotted_json(message.native),
        )

    def _use(self, use: ToolUse) -> ToolUse:
        arguments = {self.blotted(k): self.blotted_json(v) for k, v in use.arguments.items()}
        return ToolUse(self.blotted(use.id), self.blotted(use.name), arguments)

    def _tool(self, tool: Tool) -> Tool:
        parameters = {self.blotted(k): self.blotted_json(v) for k, v in tool.parameters.items()}
        return Tool(tool.name, self.blotted(tool.description), parameters)


def _is_headers(name: str) -> bool:
    return name.endswith("_HEADERS")


def _values(name: str, text: str) -> Iterator[str]:
    """What of a variable's text is secret: of headers, one a line, what stands after the colon."""
    yield text
    yield text.strip()
    if _is_headers(name):
        for line in text.splitlines():
            value = line.partition(":")[2].strip()
            yield value
            yield value.rpartition(" ")[2]  # a token stands behind the name of its scheme
