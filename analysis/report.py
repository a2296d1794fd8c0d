"""The report: one run as one HTML file that can be mailed and printed. Reads the store only.

How it looks is in ``templates/report.html``, which escapes everything that a genome or a model
wrote. Figures are images inside the file; it asks nothing of any network.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from analysis.family_tree import draw_family_tree
from analysis.frontier import plot_frontier
from analysis.plots import plot_operators, plot_repeats, plot_spending
from analysis.report_tables import (
    Views,
    failures_table,
    operators_table,
    settings_table,
    spending_table,
    trust_table,
    variants_table,
)
from analysis.runs import champion_diff, fact_number
from analysis.scale import INTERVAL, amount, cut
from analysis.style import figure_style, new_figure
from analysis.summary import Summary, summarise
from analysis.waterfall import plot_waterfall, waterfall_height
from population import RunPaths, RunRecord, Store

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.axes import Axes

#: Lines of the champion's diff; a larger change is cut, and said to be.
DIFF_LINES = 1500


class Drawing(NamedTuple):
    """A figure: its size in inches, and what draws it on axes."""

    width: float
    height: float
    draw: "Callable[[Axes], object]"


class Trust(NamedTuple):
    """In words: sentences, and a table of how often readings lay where foreseen, its head first."""

    lines: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a diff; ``kind`` is the element that shows it, "" for an unchanged one."""

    kind: str
    text: str


def write_report(
    store: Store,
    paths: RunPaths,
    target: Path,
    *,
    now: float,
    is_live: bool = False,
    shares: Mapping[str, float] | None = None,
    progress: str = "",
    trust: Trust | None = None,
) -> Summary:
    """Write the report of a run to ``target``, in place of what is there.

    Args:
        store: Of the run, open for reading.
        paths: Of the run: the champion's diff is in its repository.
        target: The HTML file; its folder is made if it is missing.
        now: Seconds since the epoch: when the run was read.
        is_live: True while an engine works on it.
        shares: How often each operator is asked now, of all offspring; None to leave that out.
        progress: That the search is flat, in words; empty if it is not.
        trust: Whether what is believed of scores can be trusted; None to leave that out.

    Returns:
        What the report says first.

    Raises:
        OSError: The file cannot be written.
        population.BranchesError: The repository cannot be read.
    """
    views = Views.of(store)
    summary = summarise(store, views.variants, views.trials, views.verdicts, is_live=is_live)
    page = _template().render(
        run=_run_words(store, summary, now),
        scale=views.scale,
        summary=summary,
        figures=_addresses(drawings(views)),
        variants=variants_table(views),
        operators=operators_table(views, shares or {}),
        failures=failures_table(views),
        spending=spending_table(views),
        settings=settings_table(store.run()),
        noise=_noise(views),
        trust_lines=trust.lines if trust is not None else (),
        trust=trust_table(trust.rows if trust is not None else ()),
        accounts=_accounts(views),
        progress=progress,
        explanation=_explanation(store),
        diff=_diff_lines(champion_diff(store, paths)),
        reproduce=_reproduce(store.run(), views.scale.how),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return summary


def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    text = (files("analysis") / "templates" / "report.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text)


def _run_words(store: Store, summary: Summary, now: float) -> dict[str, object]:
    record = store.run()
    return {
        "name": cut(record.name, 80),
        "state": summary.state,
        "begun": _moment(record.created_at),
        "read": _moment(now),
        "is_dry_run": store.fact("dry_run") is True,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def drawings(views: Views) -> Mapping[str, Drawing]:
    """The figures of a report by name."""
    variants, trials, metric = views.variants, views.trials, views.store.metric()
    champions = variants[variants["is_champion"]]
    champion = str(champions["variant"].iloc[0]) if len(champions) else None
    gain_sd = float(champions["gain_sd"].iloc[0]) if len(champions) else None
    family = views.store.variants()
    return {
        "frontier": Drawing(
            11,
            4.8,
            lambda ax: plot_frontier(
                trials, variants, ax=ax, metric=metric, verdicts=views.verdicts
            ),
        ),
        "waterfall": Drawing(
            11,
            waterfall_height(views.descent),
            lambda ax: plot_waterfall(
                views.descent, ax=ax, metric=metric, verdicts=views.verdicts, total_sd=gain_sd
            ),
        ),
        "tree": Drawing(
            11,
            6.5,
            lambda ax: draw_family_tree(family, variants, ax=ax, champion=champion, metric=metric),
        ),
        "operators": Drawing(10, 3.6, lambda ax: plot_operators(variants, ax=ax, metric=metric)),
        "repeats": Drawing(
            10,
            3.2,
            lambda ax: plot_repeats(
                trials, ax=ax, metric=metric, sigma=fact_number(views.store, "sigma")
            ),
        ),
        "spending": Drawing(10, 3.2, lambda ax: plot_spending(views.spending, ax=ax)),
    }


def _addresses(figures: Mapping[str, Drawing]) -> dict[str, str]:
    """Each figure as a data address; an image cannot run scripts, and prints sharply."""
    with figure_style():
        return {key: _as_address(*drawing) for key, drawing in figures.items()}


def _as_address(width: float, height: float, draw: "Callable[[Axes], object]") -> str:
    from matplotlib import rc_context

    figure = new_figure(width, height)
    draw(figure.subplots())
    image = io.BytesIO()
    # No date and no program in it: the same run gives the same file.
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with rc_context({"svg.hashsalt": "evolve"}):
        figure.savefig(image, format="svg", metadata=nothing)
    return f"data:image/svg+xml;base64,{base64.b64encode(image.getvalue()).decode()}"


def _noise(views: Views) -> str:
    sigma, scale = fact_number(views.store, "sigma"), views.scale
    if sigma is None:
        return "The noise of one run is not known yet: the baseline has too few scores."
    repeats = views.trials[views.trials["purpose"] == "baseline"]["val_bpb"].notna().sum()
    return (
        f"σ, the spread of one run from seed to seed, is {amount(sigma * scale.gain_factor)} "
        f"{scale.gain_unit}; {repeats} repeats of the baseline and every later repeat tell it. "
        "A difference of two single runs below "
        f"{amount(INTERVAL * 2**0.5 * sigma * scale.gain_factor)} {scale.gain_unit} says little."
    )


def _accounts(views: Views) -> str:
    spent = views.spending
    seconds = fact_number(views.store, "active_seconds") or 0.0
    words = (
        f"{int(spent['trials'].sum())} trials ended; "
        f"{spent['device_hours'].sum():.2f} device-hours, "
        f"{spent['cpu_hours'].sum():.2f} CPU-hours, {seconds / 3600:.2f} hours of sittings."
    )
    models = views.store.spending()
    if models.roles:
        calls = sum(role.call_count for role in models.roles)
        words += f" {calls} calls of a language model cost {models.spent_usd:.2f} dollars."
    return words


def _explanation(store: Store) -> list[str]:
    """The last verdict in the critic's words; empty without any."""
    judged = store.verdicts()[-1:]
    readings = [one for one in store.readings() if judged and one.label == judged[0].label]
    return [
        line
        for one in readings
        for line in (
            cut(one.explanation, 2_000),
            *(f"Suspect: {cut(s.edit, 200)}: {cut(s.why, 300)}" for s in one.suspects),
        )
    ]


def _diff_lines(diff: str) -> list[DiffLine]:
    lines = diff.splitlines()
    shown = [_diff_line(line) for line in lines[:DIFF_LINES]]
    if len(lines) > DIFF_LINES:
        shown.append(DiffLine("", f"… {len(lines) - DIFF_LINES} more lines"))
    return shown


def _diff_line(line: str) -> DiffLine:
    is_header = line.startswith(("+++", "---"))
    kind = "" if is_header else {"+": "ins", "-": "del"}.get(line[:1], "")
    return DiffLine(kind, "".join(c for c in line if c == "\t" or c.isprintable()))


def _measure(record: RunRecord) -> str:
    """What the hash of the ruler is a hash of."""
    return "settings [task] (sha256)" if record.script_files else "ruler (sha256 of prepare.py)"


def _reproduce(record: RunRecord, how: str) -> str:
    return "\n".join(
        (
            f"evolve run --config config.toml --rng-seed {record.rng_seed}"
            + (" --allow-unsafe" if how.endswith("!") else ""),
            "git -C population.git log --graph --notes=fitness --oneline --branches",
            "",
            f"scores: {how or 'none yet'}",
            f"{_measure(record)}: {record.ruler_hash}",
            f"data: {record.data_hash}",
            f"baseline: {record.baseline or 'none yet'}",
        )
    )
