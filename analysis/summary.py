"""Summary: what a run found, in a few sentences that claim no more than fresh seeds confirm."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.frames import records
from analysis.frontier import rung_words, sealed_words
from analysis.scale import Scale, cut
from population import RunState, Store


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in words.

    Attributes:
        state: Where it stands.
        found: The finding, or that there is none.
        searched: What was searched, and within which limits.
        champion: What selection believes of the best variant.
        verdict: What fresh seeds say, one line a depth; empty before a verdict.
        champion_name: Name of the best variant; None while nothing is scored.
        is_confirmed: True if the last verdict confirms a gain at home depth.
    """

    state: str
    found: str
    searched: str
    champion: str
    verdict: Sequence[str]
    champion_name: str | None
    is_confirmed: bool

    def __str__(self) -> str:
        return "\n".join((self.found, self.searched, self.champion, *self.verdict))


def summarise(
    store: Store,
    variants: pd.DataFrame,
    trials: pd.DataFrame,
    verdicts: pd.DataFrame,
    *,
    is_live: bool = False,
) -> Summary:
    """Read a run's summary off its store and its frames."""
    scale = Scale.of(store.metric(), variants)
    champions = variants[variants["is_champion"]]
    judged = store.verdicts()
    last = verdicts[verdicts["verdict"] == judged[-1].label] if judged else verdicts.head(0)
    how = Scale.of(None, last).how
    return Summary(
        state=_state(store.run().state, is_live=is_live),
        found=_found(store, last, scale),
        searched=_searched(store, variants, trials),
        champion=_champion(champions, scale),
        verdict=[words for row in records(last) for words in _verdict(row, scale, how)],
        champion_name=str(champions["name"].iloc[0]) if len(champions) else None,
        is_confirmed=bool(judged) and judged[-1].is_confirmed,
    )


def _verdict(row: Mapping[str, Any], scale: Scale, how: str) -> Iterator[str]:
    """What a rung says, and what the same pairs say on the sealed split, if that was read."""
    yield f"{rung_words(row, scale)}, {_pairs(row, how)}"
    if sealed := sealed_words(row, scale):
        yield sealed


def _state(state: RunState, *, is_live: bool) -> str:
    if state is RunState.RUNNING and not is_live:
        return "interrupted"
    return "running, so figures are not final" if state is RunState.RUNNING else str(state)


def _found(store: Store, last: pd.DataFrame, scale: Scale) -> str:
    judged = store.verdicts()
    if not judged:
        return _published(store, scale)
    verdict = judged[-1]
    if verdict.champion is None:
        return (
            "Nothing is confirmed: no variant promised a gain worth testing, so none was tested "
            "on fresh seeds."
        )
    name, how = store.variant(verdict.champion).name, _bracketed(Scale.of(None, last).how)
    home = records(last[last["depth_scale"] == 1.0])
    said = scale.interval(home[0]["gain"], home[0]["low"], home[0]["high"]) if home else ""
    if verdict.is_confirmed:
        return (
            f"Confirmed on fresh seeds: {name} is better than the baseline by {said} at home "
            f"depth{how}."
        )
    tail = f"; the gain on fresh seeds is {said}{how}" if said else ""
    return f"Nothing is confirmed: the claim of {name} did not hold at home depth{tail}."


def _published(store: Store, scale: Scale) -> str:
    """Before a verdict: who was published on the way, if anybody was."""
    last = store.published()
    if last is None or last.gain is None:
        return "Nothing is confirmed: no verdict has been passed yet."
    said = scale.interval(last.gain.gain, last.gain.low, last.gain.high)
    name = store.variant(last.variant).name
    return (
        f"No verdict yet. {name} was published: the fresh runs that decided it say {said} over the "
        "baseline."
    )


def _searched(store: Store, variants: pd.DataFrame, trials: pd.DataFrame) -> str:
    settings = store.run().settings
    trains = cut(store.run().trains, 60)
    limits = [
        f"{value:g} {key.replace('_', '-')}"
        for key, value in _section(settings, "limits").items()
        if isinstance(value, int | float) and value > 0
    ]
    operators = sorted(set(variants.loc[variants["origin"] != "baseline", "operator"]))
    makers = ", ".join(cut(name, 24) for name in operators) or "no operator yet"
    budget = _budget(trials)
    return (
        f"{trains[:1].upper()}{trains[1:]}: {len(variants)} variants, the baseline included, made "
        f"by {makers}; "
        f"{trials['finished_at'].notna().sum()} trials ended{budget}. "
        f"Limit of the search: {' or '.join(limits) or 'none'}."
    )


def _budget(trials: pd.DataFrame) -> str:
    if trials.empty:
        return ""
    amount, kind = float(trials["budget_amount"].iloc[0]), str(trials["budget_kind"].iloc[0])
    units = {"wall": "seconds", "cpu": "calibrated CPU-seconds", "tokens": "tokens"}
    words = f"{amount:,.0f}" if amount >= 10 else f"{amount:g}"
    return f", each with a training budget of {words} {units.get(kind, kind)}"


def _champion(champions: pd.DataFrame, scale: Scale) -> str:
    if champions.empty:
        return "No trial has given a score yet."
    best = champions.iloc[0]
    score = f"{scale.score_name} {scale.score(best['fitness'], best['fitness_sd'])}"
    score += _bracketed(Scale.of(None, champions).how)
    if best["origin"] == "baseline":
        return f"No variant is thought better than the baseline, {score}."
    gain = ""
    if best["gain_sd"] > 0:
        gain = f", {scale.gain(best['gain'], best['gain_sd'])} {scale.gain_unit} over the baseline"
    return (
        f"Selection believes most in {best['name']}: {score}{gain}. "
        f"Its last edit: {cut(best['hypothesis'], 200)}"
    )


def _bracketed(how: str) -> str:
    return f" ({how})" if how else ""


def _pairs(rung: Mapping[str, Any], how: str) -> str:
    count = rung["pair_count"]
    return f"{count} pair{'' if count == 1 else 's'} of fresh seeds{', ' if how else ''}{how}"


def _section(settings: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = settings.get(name)
    return section if isinstance(section, Mapping) else {}
