"""Costs: what the search spent and what it got for it. Frames -> frames.

Counts and sums over ``variants_frame``, ``trials_frame`` and ``descent_frame``; reads no store.
"""

from collections.abc import Mapping

import pandas as pd

from analysis.frames import FRESH, Column, tidy

OPERATOR_COLUMNS: Mapping[str, Column] = {
    "operator": Column("str", "Who made the variants."),
    "proposed": Column("int64", "Variants it made."),
    "scored": Column("int64", "Of these, how many ran to the end and have a score."),
    "stopped_early": Column("int64", "How many were stopped early and have no score."),
    "failed": Column("int64", "How many only crashed, timed out or were rejected."),
    "better": Column("int64", "How many are believed better than their better parent."),
    "best_gain": Column("float64", "The best gain over a better parent; missing without one."),
    "gain_per_hour": Column(
        "float64", "Gains of those that ran to the end, for each device-hour of its first trials."
    ),
    "descent_count": Column("int64", "Edits of it that the champion carries."),
    "descent_gain": Column("float64", "Sum of their effects."),
    "cpu_hours": Column("float64", "CPU-hours of the trials of its variants, verdicts aside."),
}

SPENDING_COLUMNS: Mapping[str, Column] = {
    "went_to": Column("str", "What the trials were for, or what came of them."),
    "trials": Column("int64", "How many ended."),
    "device_hours": Column("float64", "Hours for which they held a device or a core."),
    "cpu_hours": Column("float64", "CPU-hours of their processes."),
    "share": Column("float64", "Of all device-hours, 0 to 1."),
}

FAILURE_COLUMNS: Mapping[str, Column] = {
    "failure": Column("str", "Class of the failure."),
    "operator": Column("str", "Who made the variants that failed so."),
    "trials": Column("int64", "How many trials."),
    "example": Column("str", "The newest of them, in one line."),
}

#: In the order in which figures stack them; the first five are worth their time.
DESTINATIONS = (
    "baseline's noise",
    "champion's descent",
    "better than the parent",
    "verdict",
    "publications",
    "replicates",
    "no better than the parent",
    "stopped early",
    "no score",
)


def operators_frame(
    variants: pd.DataFrame, trials: pd.DataFrame, descent: pd.DataFrame
) -> pd.DataFrame:
    """One row an operator, the one with most variants first; columns: ``OPERATOR_COLUMNS``."""
    rows = []
    bred = variants[variants["origin"] != "baseline"]
    search = trials[~trials["purpose"].isin(FRESH)]
    for operator, made in bred.groupby("operator", sort=False):
        ends = search[search["variant"].isin(made["variant"])]
        ended = ends[ends["finished_at"].notna()]
        scored = set(ended.loc[ended["val_bpb"].notna(), "variant"])
        stopped = set(ended.loc[ended["status"] == "stopped_early", "variant"]) - scored
        screens = ended[ended["purpose"] == "screen"]
        hours = screens["total_seconds"].sum() / 3600
        whole = made.loc[made["variant"].isin(scored), "parent_gain"].clip(lower=0)
        edits = descent[descent["operator"] == operator]
        rows.append(
            {
                "operator": operator,
                "proposed": len(made),
                "scored": len(scored),
                "stopped_early": len(stopped),
                "failed": len(set(ended["variant"]) - scored - stopped),
                "better": int((made["parent_gain"] > 0).sum()),
                "best_gain": made["parent_gain"].max(),
                "gain_per_hour": whole.sum() / hours if hours > 0 else None,
                "descent_count": len(edits),
                "descent_gain": edits["effect"].sum(),
                "cpu_hours": ended["cpu_seconds"].sum() / 3600,
            }
        )
    rows.sort(key=lambda row: -row["proposed"])
    return tidy(rows, OPERATOR_COLUMNS)


def spending_frame(
    trials: pd.DataFrame, variants: pd.DataFrame, descent: pd.DataFrame
) -> pd.DataFrame:
    """One row a destination of the time spent, in order; columns: ``SPENDING_COLUMNS``."""
    ended = trials[trials["finished_at"].notna() & trials["total_seconds"].notna()]
    went_to = _destinations(ended, variants, descent)
    total = ended["total_seconds"].sum()
    rows = []
    for name in DESTINATIONS:
        there = ended[went_to == name]
        if there.empty:
            continue
        rows.append(
            {
                "went_to": name,
                "trials": len(there),
                "device_hours": there["total_seconds"].sum() / 3600,
                "cpu_hours": there["cpu_seconds"].sum() / 3600,
                "share": there["total_seconds"].sum() / total if total else 0.0,
            }
        )
    return tidy(rows, SPENDING_COLUMNS)


def failures_frame(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a class of failure and operator, most frequent first; ``FAILURE_COLUMNS``."""
    rows = [
        {
            "failure": kind,
            "operator": operator,
            "trials": len(failed),
            "example": failed["failure_message"].iloc[-1],
        }
        for (kind, operator), failed in trials[trials["failure"].notna()].groupby(
            ["failure", "operator"]
        )
    ]
    rows.sort(key=lambda row: -row["trials"])
    return tidy(rows, FAILURE_COLUMNS)


def _destinations(
    ended: pd.DataFrame, variants: pd.DataFrame, descent: pd.DataFrame
) -> "pd.Series[str]":
    """What each trial's time went to; the first that holds."""
    better = variants.loc[variants["parent_gain"] > 0, "variant"]
    names = pd.Series("no better than the parent", index=ended.index, dtype="str")
    names[ended["variant"].isin(better)] = "better than the parent"
    names[ended["variant"].isin(descent["variant"])] = "champion's descent"
    names[ended["purpose"] == "replicate"] = "replicates"
    names[ended["status"] == "stopped_early"] = "stopped early"
    names[ended["val_bpb"].isna() & (ended["status"] != "stopped_early")] = "no score"
    names[ended["purpose"] == "baseline"] = "baseline's noise"
    names[ended["purpose"] == "verdict"] = "verdict"
    names[ended["purpose"] == "publication"] = "publications"
    return names
