"""Command: a coding agent's command line as a model, whose reply is what it edits.

Where it runs is handed in: a box that this package knows nothing of (``evolution.command_box``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agents.answers import gain_in, hypothesis_in, suggestion_in
from agents.model import CallFailure, ModelError, Prompt, Reply, Tool, ToolUse, Usage
from agents.prices import most_input_tokens
from agents.prompts import filled
from population import one_line
from population.records import Json

_SAID_CHARACTERS = 16_000
_WORDS_CHARACTERS = 500
_NOTHING: Mapping[str, Json] = {"string": "", "number": 0.0, "integer": 0, "array": []}


@dataclass(frozen=True, slots=True)
class Work:
    """What a command left behind.

    Attributes:
        files: The files it was given, as they are now; one that it removed is not there.
        said: What it printed.
        failure: Why its work is not to be used; None if it is.
        words: The failure for people.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    failure: CallFailure | None = None
    words: str = ""


#: Lets the command work on files, with a prompt; safe to ask from several threads at once.
Runner = Callable[[Mapping[str, str], str], Work]


class Command:
    """A coding agent as a model.

    What it costs is its own affair, and unknown here: each call counts as all the tokens that its
    prompt allows, in and out, once.

    Args:
        name: What prices call it.
        run: Where it works.
    """

    def __init__(self, name: str, run: Runner) -> None:
        self._name = name
        self._run = run

    @property
    def name(self) -> str:
        """What prices call it."""
        return self._name

    def reply(self, prompt: Prompt) -> Reply:
        """Let the command work on ``prompt.files``; its edits come back in the form asked for.

        Raises:
            ModelError: It could not be started, took too long, or ended in an error.
        """
        if not prompt.messages or prompt.messages[-1].role != "user":
            raise ValueError("a conversation ends with the user's turn")
        usage = Usage(most_input_tokens(prompt), prompt.max_output_tokens)
        work = self._run(prompt.files, _shown(prompt))
        said = work.said[-_SAID_CHARACTERS:]
        if work.failure is not None:
            raise ModelError(
                f"{self._name} gave no reply ({work.failure}): "
                f"{one_line(work.words, _WORDS_CHARACTERS).rstrip('.')}. It is not asked again. "
                "Check command and its settings under [agents].",
                work.failure,
                text=said,
            )
        changed = {p: work.files[p] for p in prompt.files if _is_changed(p, prompt, work)}
        if changed and prompt.answer is not None and _takes_files(prompt.answer):
            use = ToolUse("command-1", prompt.answer.name, _answer(prompt.answer, changed, said))
            return Reply(said, usage, "tool_use", (use,), model=self._name)
        blocks = [_block(path, prompt.files[path], text) for path, text in changed.items()]
        lost = [f"It removed {path}, which stays." for path in prompt.files.keys() - work.files]
        text = "\n\n".join(part for part in (said, *sorted(lost), *blocks) if part)
        return Reply(text, usage, model=self._name)


def _shown(prompt: Prompt) -> str:
    """A prompt as one text: standing instructions, how to answer, the conversation."""
    turns = [
        f"## {'You' if message.role == 'assistant' else 'Request'}\n\n{message.text}"
        for message in prompt.messages
    ]
    conversation = "\n\n".join(turns)
    if not prompt.files:
        return "\n\n".join([*prompt.system, conversation])
    names = ", ".join(f"`{one_line(path)}`" for path in sorted(prompt.files))
    return "\n\n".join([*prompt.system, filled("command", files=names, conversation=conversation)])


def _is_changed(path: str, prompt: Prompt, work: Work) -> bool:
    return path in work.files and work.files[path] != prompt.files[path]


def _block(path: str, before: str, after: str) -> str:
    """A change of a whole file, as a SEARCH/REPLACE block."""
    parts = [
        f"<<<<<<< SEARCH {path}",
        *_lines(before),
        "=======",
        *_lines(after),
        ">>>>>>> REPLACE",
    ]
    return "\n".join(parts)


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\n|\r", text.removesuffix("\n"))


def _takes_files(answer: Tool) -> bool:
    properties = answer.parameters.get("properties")
    return isinstance(properties, Mapping) and "files" in properties


def _answer(answer: Tool, changed: Mapping[str, str], said: str) -> dict[str, Json]:
    """The changed files in the form of ``answer``; what the command cannot say is left empty."""
    properties = answer.parameters["properties"]
    assert isinstance(properties, Mapping)
    arguments: dict[str, Json] = {
        name: _NOTHING.get(str(form.get("type")), "") if isinstance(form, Mapping) else ""
        for name, form in properties.items()
    }
    said_of: dict[str, Json] = {
        "hypothesis": hypothesis_in(said),
        "expected_gain": gain_in(said) or 0.0,
        "suggestion": suggestion_in(said),
    }
    arguments |= {name: value for name, value in said_of.items() if name in arguments}
    arguments["files"] = [{"path": path, "text": text} for path, text in changed.items()]
    return arguments
