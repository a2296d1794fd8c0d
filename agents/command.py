"""Command: a coding agent's command line as a model, whose reply is what it edits.

Where it runs is handed in: a box that this package knows nothing of (``evolution.command_box``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from agents.answers import gain_in, hypothesis_in, suggestion_in
from agents.changes import changes
from agents.model import CallFailure, Message, ModelError, Prompt, Reply, Tool, ToolUse, Usage
from agents.prices import most_input_tokens
from agents.prompts import filled
from population import Genome, fenced, one_line, plain
from population.records import Json

_SAID_CHARACTERS = 16_000
_CHANGE_CHARACTERS = 60_000
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
        said = plain(work.said[-_SAID_CHARACTERS:])
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
        lost = [f"It removed {path}, which stays." for path in prompt.files.keys() - work.files]
        text = "\n\n".join(part for part in (said, *sorted(lost)) if part)
        return Reply(text, usage, model=self._name)


def _shown(prompt: Prompt) -> str:
    """A prompt as one text: standing instructions, how to answer, the conversation."""
    conversation = "\n\n".join(_turn(message, prompt.files) for message in prompt.messages)
    if not prompt.files:
        return "\n\n".join([*prompt.system, conversation])
    names = ", ".join(f"`{one_line(path)}`" for path in sorted(prompt.files))
    return "\n\n".join([*prompt.system, filled("command", files=names, conversation=conversation)])


def _turn(message: Message, files: Mapping[str, str]) -> str:
    """A turn; what the command said and changed itself is data by now, as all that it may quote."""
    if message.role != "assistant":
        return f"## Request\n\n{message.text}"
    parts = ["## What you printed before, as data", fenced(message.text, limit=_SAID_CHARACTERS)]
    made = "".join(_change(use, files) for use in message.tool_uses)
    if made:
        parts += [
            "## What you had changed, as data",
            "The folder holds the genome as it was before this change: make it again, corrected.",
            fenced(made, "diff", limit=_CHANGE_CHARACTERS),
        ]
    return "\n\n".join(parts)


def _change(use: ToolUse, files: Mapping[str, str]) -> str:
    """What an answer of ours had changed in ``files``, as a diff; empty if it is none."""
    given = use.arguments.get("files")
    records = [record for record in given if isinstance(record, Mapping)] if _is_list(given) else []
    texts = {str(record.get("path")): str(record.get("text")) for record in records}
    known = {path: text for path, text in texts.items() if path in files}
    if not known:
        return ""
    before = Genome({path: files[path] for path in known}, next(iter(known)))
    return changes(before, Genome(known, before.entry), "before")


def _is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_changed(path: str, prompt: Prompt, work: Work) -> bool:
    return path in work.files and work.files[path] != prompt.files[path]


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
        "expected_gain": gain_in(said),
        "suggestion": suggestion_in(said),
    }
    arguments |= {name: value for name, value in said_of.items() if name in arguments}
    arguments["files"] = [{"path": path, "text": text} for path, text in changed.items()]
    return arguments
