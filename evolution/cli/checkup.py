"""``evolve doctor``: whether a run can start here, and what to do if not."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution.cli.options import RUNS, JsonOption, RunsOption, answer

if TYPE_CHECKING:
    from rich.console import Console

    from evolution.doctor import Finding
    from evolution.doctor.outlook import Outlook


def doctor(  # noqa: PLR0917 - typer passes them by name
    config: Annotated[
        Path | None, typer.Option(help="Settings; by default ./evolve.toml if there is one.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Sizes and data: tiny, cpu, gpu; auto: by machine; over evolve.toml."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Your own text; may be given again.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out torch and the probe of this machine's pace.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="What a night gives: trials, detectable gain, cost.")
    ] = False,
    usd_per_device_hour: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="DOLLARS", help="With --plan: price of a GPU or core."),
    ] = None,
    usd_per_kwh: Annotated[
        float | None, typer.Option(min=0.0, metavar="DOLLARS", help="With --plan: electricity.")
    ] = None,
    watts: Annotated[
        float | None,
        typer.Option(min=0.0, help="With --plan: of one busy device; by default a guess."),
    ] = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Look whether a run can start here, and how long it would take; changes nothing.

    Ends with exit code 1 if something keeps a run from starting.

    Examples:
      evolve doctor
      evolve doctor --data essays.txt
      evolve doctor --quick --json
      evolve doctor --plan --usd-per-device-hour 2
    """
    from evolution.doctor import Rates, can_start, examine

    own = [Path(path).expanduser() for path in data or ()]
    rates = Rates(usd_per_device_hour, usd_per_kwh, watts) if plan else None
    findings, found = examine(
        runs, config=config, profile=profile, data=own, quick=quick, rates=rates
    )
    healthy = can_start(findings)
    facts = {
        "can_start": healthy,
        "findings": [
            {
                "name": finding.name,
                "level": str(finding.level),
                "found": finding.found,
                "remedy": finding.remedy,
                "facts": dict(finding.facts),
            }
            for finding in findings
        ],
    }
    if plan:
        facts["plan"] = found.as_dict() if found is not None else None
    answer(facts, as_json, lambda console: _print(console, findings, found, healthy=healthy))
    if not healthy:
        raise typer.Exit(1)


def _print(
    console: "Console",
    findings: "Sequence[Finding]",
    found: "Outlook | None",
    *,
    healthy: bool,
) -> None:
    """The outlook with what stands in its way, or else all findings."""
    from rich.table import Table
    from rich.text import Text

    from evolution.cli.planning import print_outlook
    from evolution.cli.text import one_line

    styles = {"ok": "green", "warning": "yellow", "problem": "bold red"}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        if found is not None and finding.level == "ok":
            continue
        words = Text(one_line(finding.found, 1000))
        if finding.remedy:
            words.append(f"\n→ {one_line(finding.remedy, 500)}", style="bold")
        level = Text(str(finding.level), style=styles[finding.level])
        table.add_row(level, Text(finding.name), words)
    if found is not None:
        print_outlook(console, found)
        console.print()
    console.print(table)
    problems = sum(finding.level == "problem" for finding in findings)
    last = "A run can start: `evolve run`." if healthy else f"{problems} keep a run from starting."
    if not healthy and problems == 1:
        last = "One problem keeps a run from starting."
    console.print(Text(f"\n{last}"))
