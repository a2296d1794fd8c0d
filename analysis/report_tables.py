"""The tables of a report: rows of words from the frames. How they look is the template's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.costs import failures_frame, operators_frame, spending_frame
from analysis.descent import descent_frame
from analysis.frames import records, trials_frame, variants_frame, verdicts_frame
from analysis.scale import Scale, amount, cut
from population import RunRecord, Store

#: Variants in the table, best first.
TOP = 30


@dataclass(frozen=True, slots=True)
class Views:
    """The frames that the report is made of, read once."""

    store: Store
    variants: pd.DataFrame
    trials: pd.DataFrame
    verdicts: pd.DataFrame
    descent: pd.DataFrame
    spending: pd.DataFrame

    @classmethod
    def of(cls, store: Store) -> "Views":
        """Read everything; a live run is read as it is at this moment."""
        variants, trials = variants_frame(store), trials_frame(store)
        descent = descent_frame(store)
        spending = spending_frame(trials, variants, descent)
        return cls(store, variants, trials, verdicts_frame(store), descent, spending)

    @property
    def scale(self) -> Scale:
        """How scores are shown."""
        return Scale.of(self.store.metric(), self.variants, self.trials)


@dataclass(frozen=True, slots=True)
class Head:
    """One column of a table."""

    text: str
    style: str = ""

    @property
    def is_number(self) -> bool:
        """True for a column that is set to the right."""
        return self.style == "number"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    cells: Sequence[str]
    is_champion: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the template wants it."""

    head: Sequence[Head]
    rows: Sequence[Row]
    caption: str = ""


def variants_table(views: Views) -> Table:
    """The variants of the best fitness, each with what it brought over its better parent."""
    scale = views.scale
    scored = views.variants[views.variants["fitness"].notna()].sort_values("fitness")
    head = (
        Head("", "number"),
        Head("variant", "name"),
        Head(scale.score_name, "number"),
        Head("scored, held by", "name"),
        Head(f"gain ({scale.gain_unit})", "number"),
        Head("over parent", "number"),
        Head("trials", "number"),
        Head("operator", "name"),
        Head("hypothesis"),
    )
    rows = [
        Row(
            (
                str(rank),
                str(row["name"]),
                scale.score(row["fitness"], row["fitness_sd"]),
                Scale.of(scale.metric, scored[scored["variant"] == row["variant"]]).how or "—",
                _gain(scale, row["gain"], row["gain_sd"]),
                _gain(scale, row["parent_gain"], row["parent_gain_sd"]),
                str(row["trial_count"]),
                cut(row["operator"], 24),
                cut(row["hypothesis"], 160),
            ),
            is_champion=bool(row["is_champion"]),
        )
        for rank, row in enumerate(records(scored.head(TOP)), 1)
    ]
    caption = f"{len(rows)} of {len(scored)} scored, {len(views.variants)} in all; best first"
    return Table(head, rows, caption)


def _gain(scale: Scale, gain: float, sd: float) -> str:
    return scale.gain(gain, sd) if sd > 0 else "—"  # NaN is not above 0


def operators_table(views: Views, shares: Mapping[str, float]) -> Table:
    """What each operator made, what came of it, and how often it is asked now.

    Args:
        views: Of the run.
        shares: Of all offspring, by operator; empty where that is not known.
    """
    scale = views.scale
    usd = views.store.spending().usd_by_operator
    head = (
        Head("operator", "name"),
        *(
            Head(text, "number")
            for text in (
                "proposed",
                "scored",
                "stopped early",
                "failed",
                "better than parent",
                f"best gain over parent ({scale.gain_unit})",
                f"edits in the champion ({scale.gain_unit})",
                "CPU-hours",
                f"gain a device-hour ({scale.gain_unit})",
                *(["dollars"] if usd else []),
                *(["asked now"] if shares else []),
            )
        ),
    )
    rows = [
        Row(
            (
                cut(row["operator"], 24),
                *(str(row[key]) for key in ("proposed", "scored", "stopped_early", "failed")),
                str(row["better"]),
                _shown_gain(row["best_gain"], scale),
                f"{row['descent_count']} ({_shown_gain(row['descent_gain'], scale)})"
                if row["descent_count"]
                else "—",
                f"{row['cpu_hours']:.2f}",
                _shown_gain(row["gain_per_hour"], scale),
                *([f"{usd.get(row['operator'], 0.0):.2f}"] if usd else []),
                *([_share(shares.get(row["operator"]))] if shares else []),
            )
        )
        for row in records(operators_frame(views.variants, views.trials, views.descent))
    ]
    return Table(head, rows)


def _share(share: float | None) -> str:
    return "—" if share is None else f"{share:.0%}"


def _shown_gain(value: float, scale: Scale) -> str:
    return "—" if pd.isna(value) else amount(value * scale.gain_factor, "+")


def _number(value: float, form: str) -> str:
    return "—" if pd.isna(value) else format(value, form)


def failures_table(views: Views) -> Table:
    """Failures by class."""
    head = (
        Head("class", "name"),
        Head("operator", "name"),
        Head("trials", "number"),
        Head("the newest of them"),
    )
    rows = [
        Row(
            (
                str(row["failure"]).replace("_", " "),
                cut(row["operator"], 24),
                str(row["trials"]),
                cut(str(row["example"]), 200),
            )
        )
        for row in records(failures_frame(views.trials))
    ]
    return Table(head, rows)


def spending_table(views: Views) -> Table:
    """What the time went to."""
    head = (
        Head("went to", "name"),
        *(Head(text, "number") for text in ("trials", "device-hours", "CPU-hours", "share")),
    )
    rows = [
        Row(
            (
                str(row["went_to"]),
                str(row["trials"]),
                f"{row['device_hours']:.3f}",
                f"{row['cpu_hours']:.3f}",
                f"{row['share']:.1%}",
            )
        )
        for row in records(views.spending)
    ]
    return Table(head, rows)


def trust_table(words: Sequence[Sequence[str]]) -> Table:
    """How often readings lay where they were foreseen; ``words`` are rows, the head first."""
    head, *rows = words or [()]
    styles = ["", *["number"] * len(head)]
    heads = tuple(Head(text, style) for text, style in zip(head, styles, strict=False))
    return Table(heads, [Row(tuple(row)) for row in rows])


def settings_table(record: RunRecord) -> Table:
    """Every setting, as it was frozen when the run began."""
    pairs = _flat(record.settings)
    rows = [Row((cut(key, 80), cut(str(value), 200))) for key, value in pairs]
    return Table((Head("key"), Head("value")), rows)


def _flat(settings: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
