"""People: what they suggested to a run and what came of it. Store -> frame. Never writes."""

from collections.abc import Mapping

import pandas as pd

from analysis.frames import TIME, Column, tidy
from population import Store, gain_over_parent

SUGGESTION_COLUMNS: Mapping[str, Column] = {
    "suggestion": Column("str", "Its name, as S3; the variants that took it up carry it."),
    "text": Column("str", "What it says."),
    "author": Column("str", "person, or the file that it came from: ideas/NAME.md."),
    "created_at": Column(TIME, "When the run took it in."),
    "state": Column("str", "open, taken (three variants took it up) or withdrawn."),
    "offer_count": Column("int64", "Commissions of the mutator that were offered it."),
    "taken_count": Column("int64", "Variants that took it up."),
    "best_gain": Column("float64", "Best gain of those over their better parent; or missing."),
}


def suggestions_frame(store: Store) -> pd.DataFrame:
    """One row a suggestion, oldest first; columns: ``SUGGESTION_COLUMNS``."""
    suggestions = store.suggestions()
    variants, fitnesses = {v.sha: v for v in store.variants()}, store.fitnesses()
    rows = []
    for one in suggestions:
        gains = [gain_over_parent(variants[sha], fitnesses) for sha in one.variants]
        rows.append(
            {
                "suggestion": one.label,
                "text": one.text,
                "author": one.author,
                "created_at": one.at,
                "state": str(one.state),
                "offer_count": one.offer_count,
                "taken_count": len(one.variants),
                "best_gain": max((gain[0] for gain in gains if gain is not None), default=None),
            }
        )
    return tidy(rows, SUGGESTION_COLUMNS)
