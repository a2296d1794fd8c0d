"""Statuses and standings as Rich renderables. Takes values, prints nothing."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.scale import INTERVAL, amount
from evolution.cli.spending import spending_words
from evolution.cli.text import (
    clean,
    duration,
    gain_unit,
    gain_words,
    islands_words,
    one_line,
    plateau_words,
    plus_minus,
    published_line,
    score,
    verdict_lines,
    with_unit,
)
from evolution.manuals import HASH_DIGITS, ManualStanding
from evolution.repertoire import OperatorRecord
from evolution.sources import Source, SourceCredit
from evolution.status import RunningTrial, RunStatus, Standing
from population import Assurance, Mark, Metric, Purpose, RunState, TrialStatus
from population.assurance import common

_STATUS_WORDS = {
    TrialStatus.COMPLETE: "complete",
    TrialStatus.STOPPED_EARLY: "stopped early",
    TrialStatus.CRASHED: "crashed",
    TrialStatus.TIMED_OUT: "timed out",
    TrialStatus.REJECTED: "rejected",
    TrialStatus.RUNNING: "running",
    TrialStatus.QUEUED: "queued",
    TrialStatus.WITHDRAWN: "withdrawn",
}
_BAR_WIDTH = 20


def status_view(status: RunStatus, *, is_live: bool = True) -> RenderableType:
    """Everything a status says, as labelled lines and the trials under way."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for label, value in status_lines(status, is_live=is_live):
        lines.add_row(label, value)
    parts: list[RenderableType] = [lines]
    if any(record.offspring for record in status.operators):
        parts += [Text(), operators_table(status.operators, status.metric)]
    if any(credit.source is not Source.BUILT_IN for credit in status.sources):
        parts += [Text(), sources_table(status.sources, status.metric)]
    if status.running:
        parts += [Text(), running_table(status.running)]
    return Group(*parts)


def status_lines(status: RunStatus, *, is_live: bool = True) -> list[tuple[str, RenderableType]]:
    """Label and text, in order of what people ask first."""
    made_up = " (dry run: scores are made up)" if status.is_dry_run else ""
    words = state_words(status, is_live) + made_up
    lines: list[tuple[str, RenderableType]] = [
        ("run", Text.assemble((clean(status.name), "bold"), f"   {words}")),
        ("offspring", _offspring(status)),
        ("champion", _champion(status)),
        ("gain", _gain(status)),
    ]
    if status.sigma is not None:
        factor, _ = gain_unit(status.metric)
        spread = f"{status.sigma * factor:.{1 if factor > 1 else 3}{'f' if factor > 1 else 'g'}}"
        sigma = f"σ {with_unit(spread, status.metric)} from seed to seed"
        lines.append(("noise", Text(sigma)))
    lines += [("trials", _trials(status)), ("time", Text(time_words(status)))]
    if status.published is not None:
        lines.append(("published", Text(published_line(status.published, status.metric))))
    if status.islands:
        lines.append(("islands", Text(islands_words(status.islands))))
    if status.plateau is not None and status.plateau.ended_at is None:
        lines.append(("progress", Text(plateau_words(status.plateau), style="yellow")))
    if status.models is not None:
        lines.append(("models", Text("\n".join(spending_words(status.models)))))
    if status.broken:
        lines.append(("errors", Text(_broken(status), style="yellow")))
    if status.pinned or status.banned or status.open_suggestions:
        lines.append(("people", _people(status)))
    if status.manual is not None:
        lines.append(("manual", _manual(status.manual)))
    if status.verdict is not None:
        name = status.champion.name if status.champion is not None else None
        if status.champion is not None and status.verdict.champion != status.champion.sha:
            name = (status.verdict.champion or "")[:10]
        said = verdict_lines(status.verdict, name, status.metric, status.verdict_assurance)
        lines.append(("verdict", Text("\n".join(said))))
    return lines


def _broken(status: RunStatus) -> str:
    """Whose threads broke, how often, and what the last one said: a bug, to be reported."""
    counts = ", ".join(f"{clean(name)} {count}×" for name, count in status.broken.items())
    return f"{counts}; the last: {clean(status.last_break)}"


def _people(status: RunStatus) -> Text:
    """What people have asked for that is in force."""
    parts = [
        f"{word} {clean(', '.join(names))}"
        for word, names in (("pinned", status.pinned), ("banned", status.banned))
        if names
    ]
    count = status.open_suggestions
    if count:
        parts.append(f"{count} suggestion{'' if count == 1 else 's'} open")
    return Text("; ".join(parts))


def operators_table(operators: Sequence[OperatorRecord], metric: Metric) -> Table:
    """One line an operator: how often it is asked now, what it made, what that gained and cost."""
    factor, unit = gain_unit(metric)
    unit = one_line(unit)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("operator", no_wrap=True)
    per_hour = f"gain a device-hour ({unit})" if unit else "gain a device-hour"
    has_costs = any(record.usd for record in operators)
    heads = ("asked now", "offspring", "trained", "helped", per_hour)
    for head in (*heads, "dollars") if has_costs else heads:
        table.add_column(head, justify="right", no_wrap=True)
    for record in operators:
        rate = record.gain_per_hour
        cells = [
            one_line(record.operator, 24),
            "—" if record.share is None else f"{record.share:.0%}",
            str(record.offspring),
            str(record.trained),
            str(record.helped),
            "—" if rate is None else amount(rate * factor),
        ]
        table.add_row(*cells, *([f"{record.usd:.2f}"] if has_costs else []))
    return table


def sources_table(sources: Sequence[SourceCredit], metric: Metric) -> Table:
    """One line a source of edits: how many it made, what the best gained, what the champion kept.

    A variant of a suggestion counts there, whichever operator carried it out.
    """
    unit = one_line(gain_unit(metric)[1])
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("source", no_wrap=True)
    table.add_column("offspring", justify="right", no_wrap=True)
    table.add_column("scored", justify="right", no_wrap=True)
    best = "best gain over a parent"
    table.add_column(f"{best} ({unit})" if unit else best, justify="right", no_wrap=True)
    table.add_column("in the champion", justify="right", no_wrap=True)
    for credit in sources:
        known = credit.best_gain is not None and credit.best_gain_sd is not None
        gain = gain_words(credit.best_gain or 0.0, credit.best_gain_sd or 0.0, metric)
        table.add_row(
            credit.source.value,
            str(credit.offspring),
            str(credit.scored),
            f"{clean(credit.best or '')} {gain}" if known else "—",
            str(credit.kept),
        )
    return table


def name_text(name: str, mark: Mark | None, style: str = "") -> Text:
    """A variant's name, and how it stands with people."""
    text = Text(clean(name), style=style)
    return (
        text.append(f" {mark}", style="yellow" if mark is Mark.PINNED else "red") if mark else text
    )


def _manual(manual: ManualStanding) -> Text:
    """Its file and its hash; and what is wrong with an edit that is not in force."""
    path = f"{clean(manual.path)}  " if manual.path is not None else ""
    words = Text(f"{path}{manual.hash[:HASH_DIGITS]}")
    if manual.problem is not None:
        words.append(f"\nthe edit is not in force: {clean(manual.problem)}", style="yellow")
    return words


def state_words(status: RunStatus, is_live: bool) -> str:
    """What is being done; a run whose engine was killed says so."""
    if status.state is RunState.RUNNING:
        if not is_live:
            return "interrupted: its engine is gone; go on with `evolve resume`"
        return phase_words(status)
    if status.state is RunState.PAUSED:
        return "paused; go on with `evolve resume`"
    return str(status.state)


def phase_words(status: RunStatus) -> str:
    """What a live run is at."""
    purposes = {trial.purpose for trial in status.running}
    if Purpose.VERDICT in purposes:
        return "confirming the champion"
    if purposes == {Purpose.BASELINE}:
        return "measuring the baseline's noise"
    return "searching"


def time_words(status: RunStatus) -> str:
    """Elapsed, device-hours, and what is thought to be left."""
    words = f"{duration(status.elapsed_seconds)}, {status.device_hours:.2f} device-hours"
    if status.seconds_left is None:
        return words
    return words + (f"; about {duration(status.seconds_left)} left" if status.seconds_left else "")


def running_table(running: Sequence[RunningTrial]) -> Table:
    """One line a trial under way, with a bar where its progress is known."""
    table = Table.grid(padding=(0, 2))
    for _ in range(6):
        table.add_column(no_wrap=True)
    for trial in running:
        depth = f" × {trial.depth_scale:g}" if trial.depth_scale != 1.0 else ""
        known = trial.progress is not None
        share = min(max(trial.progress or 0.0, 0.0), 1.0)
        table.add_row(
            Text(f"#{trial.trial}", style="dim"),
            Text(clean(trial.name)),
            Text(one_line(trial.operator, 20), style="cyan"),
            Text(f"{trial.purpose}{depth}", style="dim"),
            ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH) if known else Text("…"),
            Text(f"{share:4.0%}  {duration(trial.seconds)}" if known else duration(trial.seconds)),
        )
    return table


def leaderboard_table(standings: Sequence[Standing], baseline: str | None, metric: Metric) -> Table:
    """Variants by fitness, best first, ± 95 %; the baseline stands where it belongs.

    How scores were obtained and what held their trainers stands in the head if all are alike, else
    in a column.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", expand=True)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("variant", no_wrap=True)
    unit = gain_unit(metric)[1]
    shared = common(standing.assurance for standing in standings)
    score_words = one_line(metric.name, 40) + (f" ({shared})" if shared else "")
    table.add_column(score_words, justify="right", no_wrap=True)
    if shared is None:
        table.add_column("scored", no_wrap=True)
    table.add_column(f"gain ({one_line(unit)})" if unit else "gain", justify="right", no_wrap=True)
    table.add_column("trials", justify="right", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    table.add_column("hypothesis", no_wrap=True, overflow="ellipsis", ratio=1)
    for rank, standing in enumerate(standings, 1):
        is_baseline = standing.sha == baseline
        gain = standing.gain, standing.gain_sd
        known = gain[0] is not None and gain[1] is not None and not is_baseline
        table.add_row(
            str(rank),
            name_text(standing.name, standing.mark),
            plus_minus(metric.shown(standing.fitness), INTERVAL * standing.fitness_sd),
            *([assurance_text(standing.assurance)] if shared is None else []),
            gain_words(gain[0] or 0.0, gain[1] or 0.0, metric) if known else "—",
            str(standing.trial_count),
            Text(one_line(standing.operator, 20)),
            Text(one_line(standing.hypothesis)),
            style="bold" if is_baseline else None,
        )
    return table


def assurance_text(assurance: Assurance) -> Text:
    """How a score was obtained and what held its trainer; in yellow if nothing did."""
    return Text(str(assurance), style="" if assurance.is_contained else "yellow")


def _offspring(status: RunStatus) -> Text:
    limit = f" of {status.offspring_limit}" if status.offspring_limit is not None else ""
    return Text(f"{status.offspring_done}{limit} tried, {status.variant_count} variants in all")


def _champion(status: RunStatus) -> Text:
    best = status.champion
    if best is None:
        return Text("none yet: no trial has given a score")
    if status.baseline is not None and best.sha == status.baseline.sha:
        return Text(f"the baseline, {_worth(best, status)}")
    return Text.assemble(
        name_text(best.name, best.mark, "bold green"),
        f", {_worth(best, status)}: {one_line(best.hypothesis)}",
    )


def _worth(standing: Standing, status: RunStatus) -> str:
    return score(standing.fitness, standing.fitness_sd, standing.assurance, status.metric)


def _gain(status: RunStatus) -> Text:
    best, baseline = status.champion, status.baseline
    if best is None or baseline is None or best.gain is None or best.gain_sd is None:
        return Text("unknown until the baseline has a score")
    against = _worth(baseline, status)
    if best.sha == baseline.sha:
        return Text("none: no variant is thought better than the baseline")
    gain = with_unit(gain_words(best.gain, best.gain_sd, status.metric), status.metric)
    return Text(
        f"{gain} over the baseline's {against}; "
        + ("see the verdict" if status.verdict else "not yet confirmed")
    )


def _trials(status: RunStatus) -> Text:
    words = [f"{n} {_STATUS_WORDS[s]}" for s, n in status.trial_counts.items() if n]
    return Text(", ".join(words) or "none yet")
