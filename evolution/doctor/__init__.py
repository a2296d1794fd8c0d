"""The doctor: can a run start here, on what, and how long would it take? Looks, changes nothing."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evolution.doctor.choosing import ChoosingError, choice_finding, choose_here
from evolution.doctor.containment import containment_finding
from evolution.doctor.earlier import earlier_run
from evolution.doctor.finding import Finding, Level, can_start
from evolution.doctor.machine import (
    clock_finding,
    cores_finding,
    disk_findings,
    gpus_finding,
    memory_finding,
)
from evolution.doctor.own_data import MOST_CHARS, QUICK_CHARS
from evolution.doctor.plan import plan_finding
from evolution.doctor.prices import Rates
from evolution.doctor.project import Project, read_project, verdict_depths
from evolution.doctor.software import (
    agents_finding,
    git_finding,
    key_finding,
    names_finding,
    python_finding,
)
from evolution.doctor.torch_probe import probe_torch, torch_finding
from evolution.sandbox.levels import find_level
from evolution.sizing import AUTO

if TYPE_CHECKING:
    from evolution.doctor.outlook import Outlook  # it loads scipy: only where a plan is asked for

__all__ = [
    "Examination",
    "Finding",
    "Level",
    "Project",
    "Rates",
    "can_start",
    "examine",
]


class Examination(NamedTuple):
    """What was found; and, where it was asked for and the project is whole, the outlook."""

    findings: list[Finding]
    outlook: "Outlook | None"


def examine(
    runs: Path,
    *,
    config: Path | None = None,
    profile: str | None = None,
    data: Sequence[Path] = (),
    quick: bool = False,
    rates: Rates | None = None,
) -> Examination:
    """Everything that a new run depends on, one finding each, and what a run would give.

    Args:
        runs: The folder of all runs.
        config: Settings; by default ``./evolve.toml``, or else the shipped ones.
        profile: In place of the settings' own; ``auto`` for what suits this machine.
        data: The user's own text, in place of the settings' own.
        quick: True to leave out torch and the probe of this machine's pace, unless ``auto`` asks.
        rates: Prices for an outlook; None for none.
    """
    wall, monotonic, found = time.time(), time.monotonic(), None
    findings = [python_finding(), git_finding(), names_finding(), key_finding()]
    is_auto = profile == AUTO
    probe = None if quick and not is_auto else probe_torch()
    if not quick:
        findings.append(torch_finding(probe))
    gpus, gpu_finding = gpus_finding(probe)
    findings += [cores_finding(), memory_finding(), gpu_finding]
    asked: dict[str, object] = {"run.data": [str(path.resolve()) for path in data]}
    is_chosen = True
    if is_auto:
        try:
            choice = choose_here(probe, verdict_depths(config))
            findings.append(choice_finding(choice))
            asked |= choice.overrides()
        except ChoosingError as error:  # the rest is looked at with the settings' own profile
            is_chosen = False
            remedy = "Mend torch, or name a profile."
            findings.append(Finding("profile", Level.PROBLEM, str(error), remedy))
    else:
        asked["run.profile"] = profile
    wanted = {k: v for k, v in asked.items() if v not in (None, [])}
    project = read_project(config, wanted, most_chars=QUICK_CHARS if quick else MOST_CHARS)
    findings.append(containment_finding(find_level(), project.config))
    findings += [*project.findings, *disk_findings(runs, project.cache)]
    if project.config is not None:
        findings.append(agents_finding(project.config.agents))
    findings.append(clock_finding(wall, time.time(), time.monotonic() - monotonic))
    if is_chosen and project.is_whole:
        settings, _, budget = project.whole()
        findings.append(plan_finding(project, gpus, probe, earlier_run(runs, settings, budget)))
        if rates is not None:
            from evolution.doctor.outlook import outlook

            found = outlook(runs, project, gpus, probe, rates)
    return Examination(_worst_last(findings), found)


def _worst_last(findings: Sequence[Finding]) -> list[Finding]:
    """Problems stand at the end, where people look first on a terminal."""
    order = list(Level)
    return sorted(findings, key=lambda finding: order.index(finding.level))
