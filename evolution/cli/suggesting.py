"""``evolve suggest`` and ``evolve suggestions``: ideas of people for the run's models."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from evolution.cli.asking import RequestError, ask, check_open, tell, when
from evolution.cli.options import (
    RUNS,
    JsonOption,
    RunOption,
    RunsOption,
    answer,
    find_run,
    open_store,
    say,
)

if TYPE_CHECKING:
    from rich.console import Console

    from evolution.sources import Uptake
    from population import Metric, Store, Suggestion

_STDIN = "-"
#: Characters read from standard input, at most: more than a suggestion may have.
_READ = 100_000


def suggest(
    text: Annotated[
        str | None, typer.Argument(help="The idea, in words; - reads it from standard input.")
    ] = None,
    withdraw: Annotated[
        str | None, typer.Option(metavar="S3", help="Offer this one no more, in place of TEXT.")
    ] = None,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Suggest an idea in words to a run's language models: now if it is live, else when resumed.

    The mutator is offered it and may take it up; `evolve suggestions` lists what came of it.

    Examples:
      evolve suggest "warm the embeddings up more slowly than the rest"
      evolve suggest - < idea.md
      evolve suggest --withdraw S3
    """
    from population import Store

    if (text is None) == (withdraw is None):
        raise RequestError(
            f"{'Both TEXT and --withdraw are' if text else 'Neither TEXT nor --withdraw is'} "
            "given, but one of them is needed. Say an idea: `evolve suggest TEXT`, or take one "
            "back: `evolve suggest --withdraw S3`."
        )
    paths = find_run(runs, run)
    with Store.open(paths.database) as store:
        check_open(store, "no model would read the suggestion")
        if withdraw is not None:
            known = _known(store, withdraw)
            facts = ask(store, paths, "withdraw", {"suggestion": known.id})
            words = f"{known.label} is withdrawn from the run {facts['run']} {when(facts)}."
            tell(words, {**facts, "suggestion": known.label}, as_json=as_json)
            return
        idea = _idea(text or "")
        facts = ask(store, paths, "suggest", {"text": idea})
        unread = _unread(store)
    words = f"The idea is handed to the run {facts['run']}, which takes it in {when(facts)}."
    tell(words, {**facts, "text": idea, "unread": unread}, as_json=as_json)
    if unread is not None:
        say(
            f"nobody will read it: {unread}. It is kept, and shows in `evolve suggestions`. Hand "
            "the run a whole train.py with `evolve seed FILE`, or begin one with models: "
            "`evolve run --agents claude --limit-usd 10`."
        )


def suggestions(
    run: RunOption = None, runs: RunsOption = RUNS, as_json: JsonOption = False
) -> None:
    """List the suggestions of people: what they say, what took them up, what it gained.

    Examples:
      evolve suggestions
      evolve suggestions --run night-1 --json
    """
    from evolution.sources import uptakes

    with open_store(find_run(runs, run)) as store, store.at_one_moment():
        variants, fitnesses = {v.sha: v for v in store.variants()}, store.fitnesses()
        listed = [(one, uptakes(one, variants, fitnesses)) for one in store.suggestions()]
        waiting = [r.payload for r in store.pending_requests() if r.kind == "suggest"]
        metric, unread = store.metric(), _unread(store)
    texts = [str(p.get("text")) for p in waiting if isinstance(p, dict)]
    facts = {
        "unread": unread,
        "suggestions": [_facts(one, taken) for one, taken in listed],
        "waiting": texts,
    }

    def show(console: "Console") -> None:
        _print_suggestions(console, listed, texts, metric)
        if unread is not None and (listed or texts):
            console.print(f"\nnobody reads them: {unread}", style="yellow", markup=False)

    answer(facts, as_json, show)


def _unread(store: "Store") -> str | None:
    """Why nobody reads suggestions there."""
    from evolution.suggestions import unread_reason
    from evolution.workspace import DRY_RUN

    if store.fact(DRY_RUN) is True:
        return "it is a rehearsal, which asks no language model"
    return unread_reason(store)


def _idea(text: str) -> str:
    """What is kept of an idea, from the command line or from standard input."""
    from population import suggestion_text
    from population.people import SUGGESTION_LIMIT

    kept = suggestion_text(sys.stdin.read(_READ) if text == _STDIN else text)
    if kept and len(kept) <= SUGGESTION_LIMIT:
        return kept
    found = f"has {len(kept)} characters" if kept else "is empty"
    raise RequestError(
        f"The suggestion {found}. A text of 1 to {SUGGESTION_LIMIT} characters is needed, for it "
        "stands in a prompt beside everything else. Say what to try and why it should help."
    )


def _known(store: "Store", label: str) -> "Suggestion":
    from population import suggestion_number

    number, known = suggestion_number(label), {s.id: s for s in store.suggestions()}
    if number in known:
        return known[number]
    listed = ", ".join(one.label for one in list(known.values())[-6:]) or "none yet"
    raise RequestError(
        f"There is no suggestion {label[:40]!r} in this run. The name of one that was taken in is "
        f"needed; the latest are: {listed}. `evolve suggestions` lists them."
    )


def _facts(one: "Suggestion", taken: "list[Uptake]") -> "dict[str, object]":
    import dataclasses

    gains = [u.gain for u in taken if u.gain is not None]
    return {
        "id": one.label,
        "text": one.text,
        "author": one.author,
        "at": one.at,
        "state": one.state.value,
        "offer_count": one.offer_count,
        "is_offered": one.is_offered,
        "variants": [dataclasses.asdict(uptake) for uptake in taken],
        "best_gain": max(gains, default=None),
    }


def _print_suggestions(
    console: "Console",
    listed: "list[tuple[Suggestion, list[Uptake]]]",
    waiting: "list[str]",
    metric: "Metric",
) -> None:
    from rich.table import Table
    from rich.text import Text

    from evolution.cli.text import gain_unit, one_line

    if not (listed or waiting):
        console.print("No suggestion yet: `evolve suggest TEXT` makes one.", markup=False)
        return
    unit = gain_unit(metric)[1]
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", expand=True)
    table.add_column("id", no_wrap=True)
    table.add_column("state", no_wrap=True)
    head = "taken up by, gain over the parent"
    table.add_column(f"{head} ({one_line(unit, 20)})" if unit else head, no_wrap=True)
    table.add_column("of", no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column("idea", no_wrap=True, overflow="ellipsis", ratio=1)
    for one, taken in listed:
        idea = Text(one_line(one.text))
        words = Text(_taken_words(taken, metric))
        author = Text(one_line(one.author, 60))
        table.add_row(one.label, _state_words(one), words, author, idea)
    for text in waiting:
        table.add_row("—", "waits for the engine", "—", "person", Text(one_line(text)))
    console.print(table)


def _state_words(one: "Suggestion") -> str:
    from population import SuggestionState

    if one.state is not SuggestionState.OPEN:
        return one.state.value
    return f"offered {one.offer_count} times" if one.is_tired else "open"


def _taken_words(taken: "list[Uptake]", metric: "Metric") -> str:
    """The variants that took it up, the best one first, one a line."""
    from evolution.cli.text import clean, gain_words

    best_first = sorted(taken, key=lambda u: -u.gain if u.gain is not None else float("inf"))
    lines = [
        f"{clean(uptake.name)} {gain_words(uptake.gain, uptake.gain_sd, metric)}"
        if uptake.gain is not None and uptake.gain_sd is not None
        else f"{clean(uptake.name)} unscored"
        for uptake in best_first
    ]
    return "\n".join(lines) or "—"
