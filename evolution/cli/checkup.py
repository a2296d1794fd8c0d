"""``evolve doctor``: whether a run can start here, and what to do if not."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution.cli.options import RUNS, JsonOption, RunsOption, answer

if TYPE_CHECKING:
    from rich.console import Console

    from evolution.doctor import Finding


def doctor(
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
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Look whether a run can start here, and how long it would take; changes nothing.

    Ends with exit code 1 if something keeps a run from starting.

    Examples:
      evolve doctor
      evolve doctor --data essays.txt
      evolve doctor --quick --json
    """
    from evolution.doctor import can_start, examine

    own = [Path(path).expanduser() for path in data or ()]
    findings = examine(runs, config=config, profile=profile, data=own, quick=quick)
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
    answer(facts, as_json, lambda console: _print(console, findings, healthy=healthy))
    if not healthy:
        raise typer.Exit(1)


def _print(console: "Console", findings: "Sequence[Finding]", *, healthy: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from evolution.cli.text import one_line

    styles = {"ok": "green", "warning": "yellow", "problem": "bold red"}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        words = Text(one_line(finding.found, 1000))
        if finding.remedy:
            words.append(f"\n→ {one_line(finding.remedy, 500)}", style="bold")
        level = Text(str(finding.level), style=styles[finding.level])
        table.add_row(level, Text(finding.name), words)
    console.print(table)
    problems = sum(finding.level == "problem" for finding in findings)
    last = "A run can start: `evolve run`." if healthy else f"{problems} keep a run from starting."
    if not healthy and problems == 1:
        last = "One problem keeps a run from starting."
    console.print(Text(f"\n{last}"))
