"""The frames of a run as files: Parquet, CSV, and what each column means. Knows no terminal.

Scores stay as they are kept (lower is better), so that tables of different runs can be compared by
one rule; beside them stands a column ``metric`` with the value as the run's metric shows it.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.frames import (
    CURVE_COLUMNS,
    TIME,
    TRIAL_COLUMNS,
    VARIANT_COLUMNS,
    VERDICT_COLUMNS,
    Column,
    assured,
    curves_frame,
    trials_frame,
    variants_frame,
    verdicts_frame,
)
from analysis.people import SUGGESTION_COLUMNS, suggestions_frame
from population import Direction, Metric, RunRecord, Store
from population.assurance import of_trials
from population.publishing import published


class FileFormat(StrEnum):
    """How tables are written."""

    PARQUET = "parquet"
    CSV = "csv"
    BOTH = "both"

    @property
    def endings(self) -> tuple[str, ...]:
        """Of the files it writes."""
        return ("parquet", "csv") if self is FileFormat.BOTH else (self.value,)


class Table(NamedTuple):
    """One frame to be written: how it is made, its columns, where the shown score comes from."""

    frame: Callable[[Store], pd.DataFrame]
    columns: Mapping[str, Column]
    score: str | None


class Exported(NamedTuple):
    """Where an export lies, the files in it, and how many rows each table has."""

    folder: Path
    files: Sequence[str]
    rows: Mapping[str, int]


TABLES: Mapping[str, Table] = {
    "variants": Table(variants_frame, VARIANT_COLUMNS, "fitness"),
    "trials": Table(trials_frame, TRIAL_COLUMNS, "val_bpb"),
    "curves": Table(curves_frame, CURVE_COLUMNS, "value"),
    "verdicts": Table(verdicts_frame, VERDICT_COLUMNS, None),
    "suggestions": Table(suggestions_frame, SUGGESTION_COLUMNS, None),
}

METRIC = "metric"
_SNAPSHOT = "snapshot"
_SCORES = frozenset({"fitness", "val_bpb", "test_bpb", "last_snapshot", METRIC})
_GAINS = frozenset(
    {
        "expected_gain",
        "fitness_sd",
        "gain",
        "gain_sd",
        "best_gain",
        "parent_gain",
        "parent_gain_sd",
        "low",
        "high",
        "test_gain",
        "test_low",
        "test_high",
    }
)
_UNITS = {"hours": "h", "budget_amount": "s or tokens", "value": "of the quantity"}
_ENDINGS = {"_seconds": "s", "_mb": "MB", "_tokens": "tokens", "_hours": "h", "_usd": "USD"}
_ARROW: Mapping[str, pa.DataType] = {
    "str": pa.large_string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "object": pa.list_(pa.string()),
    TIME: pa.timestamp("us", tz="UTC"),
}


def export_tables(
    store: Store, target: Path, file_format: FileFormat = FileFormat.PARQUET
) -> Exported:
    """Write every frame of a run, its facts and the meaning of its columns into one folder.

    Works on a run that is under way: all tables are of one moment.

    Raises:
        population.publishing.PublishError: The folder cannot be written, or is not ours.
    """
    with store.at_one_moment():
        frames = {name: table_of(store, name) for name in TABLES}
        facts, metric = run_facts(store, frames), store.metric()
    with published(target) as folder:
        for name, frame in frames.items():
            _write(folder / name, frame, documented(name, metric), file_format.endings)
        columns = {name: _described(documented(name, metric), metric) for name in frames}
        _write_json(folder / "run.json", facts)
        _write_json(folder / "columns.json", columns)
        page = columns_page(columns, metric)
        (folder / "columns.md").write_text(page, encoding="utf-8")
        files = sorted(path.name for path in folder.iterdir())
    return Exported(target, files, {name: len(frame) for name, frame in frames.items()})


def table_of(store: Store, name: str) -> pd.DataFrame:
    """One frame, with the score as the run's metric shows it beside the score that is kept."""
    table, metric = TABLES[name], store.metric()
    frame = table.frame(store)
    if table.score is None:
        return frame
    kept = frame[table.score]
    if name == "curves":  # only snapshots are readings of the metric
        kept = kept.where(frame["quantity"] == _SNAPSHOT)
    sign = metric.shown(1.0)
    return frame.assign(**{METRIC: (kept * sign).astype("float64")})


def documented(name: str, metric: Metric) -> dict[str, Column]:
    """The columns of a table as it is exported."""
    table = TABLES[name]
    if table.score is None:
        return dict(table.columns)
    which = "of a snapshot; missing for other rows" if name == "curves" else f"of {table.score}"
    better = "higher" if metric.direction is Direction.MAXIMIZE else "lower"
    meaning = f"{metric.name}, {better} is better: what the run's metric shows {which}."
    return {**table.columns, METRIC: Column("float64", meaning)}


def unit_of(name: str, dtype: str, metric: Metric) -> str:
    """The unit of a column; "" for words, counts and ratios."""
    if dtype == TIME:
        return "UTC"
    if name in _SCORES or name in _GAINS:
        return metric.unit
    ending = next((unit for end, unit in _ENDINGS.items() if name.endswith(end)), "")
    return _UNITS.get(name, ending)


def run_facts(store: Store, frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """What a reader of the tables must know of the run; no path of this machine."""
    run, metric = store.run(), store.metric()
    variants = frames["variants"]
    champion = variants.loc[variants["is_champion"], "variant"]
    return {
        "run": run.name,
        "created_at": pd.Timestamp(run.created_at, unit="s", tz="UTC").isoformat(),
        "state": str(run.state),
        "baseline": run.baseline,
        "champion": champion.iloc[0] if len(champion) else None,
        "metric": metric.to_json(),
        "kept_scores": "lower is better; of a maximised metric the negative is kept",
        **assured(of_trials(store.trials())),
        "rng_seed": run.rng_seed,
        "ruler_hash": run.ruler_hash,
        "data_hash": run.data_hash,
        "settings": _settings_of(run),
        "rows": {name: len(frame) for name, frame in frames.items()},
        "evoresearch": version("evoresearch"),
    }


def _settings_of(run: RunRecord) -> dict[str, Any]:
    """The run's settings, its data by name alone: where they lie is this machine's business."""
    settings: dict[str, Any] = dict(run.settings)
    section = settings.get("run")
    if isinstance(section, Mapping) and isinstance(section.get("data"), list | tuple):
        names = [Path(str(path)).name for path in section["data"]]
        settings["run"] = {**section, "data": names}
    return settings


def columns_page(columns: Mapping[str, Mapping[str, Mapping[str, str]]], metric: Metric) -> str:
    """The meaning of each column, for people."""
    parts = [
        "# Columns\n\nScores are kept so that lower is better; gains so that positive is better. "
        f"The column `metric` holds the value of `{metric.name}` itself. `scoring` says "
        "how a score was obtained: `trusted` if the harness computed it, `reported` if the "
        "genome's own process did. `containment` says what held that process: `namespace` and "
        "`landlock` are boxes, `basic` is none. Where several scores stand behind a row, the "
        "weakest counts. In CSV, missing values are empty, times are ISO 8601 in "
        "UTC, and several commits are separated by a space.\n"
    ]
    for table, rows in columns.items():
        parts.append(
            f"\n## {table}\n\n| column | type | unit | meaning |\n| --- | --- | --- | --- |\n"
        )
        parts += [
            f"| `{name}` | {row['dtype']} | {row['unit']} | {_cell(row['meaning'])} |\n"
            for name, row in rows.items()
        ]
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _described(columns: Mapping[str, Column], metric: Metric) -> dict[str, dict[str, str]]:
    return {
        name: {
            "dtype": column.dtype,
            "unit": unit_of(name, column.dtype, metric),
            "meaning": column.meaning,
        }
        for name, column in columns.items()
    }


def _write(
    path: Path, frame: pd.DataFrame, columns: Mapping[str, Column], endings: Collection[str]
) -> None:
    if "parquet" in endings:
        pq.write_table(_arrow(frame, columns), path.with_suffix(".parquet"))
    if "csv" in endings:
        with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
            _for_csv(frame, columns).to_csv(file, index=False, lineterminator="\n")


def _arrow(frame: pd.DataFrame, columns: Mapping[str, Column]) -> pa.Table:
    """With its types written down, so that a frame without rows has them too."""
    fields = [
        pa.field(name, _arrow_type(frame[name], column), metadata={"meaning": column.meaning})
        for name, column in columns.items()
    ]
    return pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False)


def _arrow_type(values: "pd.Series[Any]", column: Column) -> pa.DataType:
    known = _ARROW.get(column.dtype)
    return pa.Array.from_pandas(values).type if known is None else known


def _for_csv(frame: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Tuples as words with spaces between them, times as ISO 8601."""
    plain = frame.copy()
    for name, column in columns.items():
        if column.dtype == "object":
            plain[name] = plain[name].map(" ".join)
        elif column.dtype == TIME:
            plain[name] = plain[name].map(lambda t: "" if pd.isna(t) else t.isoformat())
    return plain


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, indent=2, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")
