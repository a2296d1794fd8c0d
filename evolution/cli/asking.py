"""What the verbs that ask something of a run share: is it open, is it told, when does it hear."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evolution.cli.options import answer, is_live
from population import EvolveError

if TYPE_CHECKING:
    from population import Json, RunPaths, Store


class RequestError(EvolveError):
    """What was asked of a run makes no sense there."""


def check_open(store: "Store", what: str) -> None:
    """Refuse to ask something of a run that is finished.

    Args:
        store: Of the run.
        what: What would not be done: ``nothing would train the seed``.

    Raises:
        RequestError: In three parts.
    """
    from population import RunState

    record = store.run()
    if record.state is RunState.FINISHED:
        raise RequestError(
            f"The run {record.name!r} is finished: {what}. A run that is live or paused is "
            "needed. Name it with --run, or begin a new one: `evolve run`."
        )


def ask(
    store: "Store",
    paths: "RunPaths",
    kind: str,
    payload: "Mapping[str, Json]",
) -> "dict[str, Json]":
    """Leave a request for the engine; the facts of it for ``--json``."""
    number = store.add_request(kind, payload, at=time.time())
    return {"run": paths.root.name, "request": number, "is_live": is_live(paths)}


def when(facts: "Mapping[str, Json]") -> str:
    """When the engine hears of a request: ``now``, or by which command."""
    return "now" if facts["is_live"] else f"when it goes on: `evolve resume {facts['run']}`"


def tell(words: str, facts: "Mapping[str, Json]", *, as_json: bool) -> None:
    """Answer with one line, or with the facts."""
    answer(facts, as_json, lambda console: console.print(words, markup=False, soft_wrap=True))
