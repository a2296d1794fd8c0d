"""What a run would start from: settings, manual, genome, ruler, data. Reads, prepares nothing."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolution.config import EvolutionConfig
from evolution.doctor.finding import Finding, Level
from evolution.doctor.own_data import MOST_CHARS, own_data_finding
from evolution.manuals import HASH_DIGITS, read_manual
from evolution.profiles import Profile, load_profile
from evolution.ruler import Ruler
from evolution.sizes import sizes_notice
from evolution.templates import own_settings, project_file, template_path
from evolution.workspace import begin_script, check_genome, check_language_model
from population import MAIN, Budget, EvolveError, Genome


@dataclass(frozen=True, slots=True)
class Project:
    """What was read, and how it stands; None for what cannot be read.

    ``title`` and ``budget`` are those of a run: a profile's, or a script's of the user's own.
    """

    config: EvolutionConfig | None
    title: str | None
    budget: Budget | None
    findings: Sequence[Finding]
    cache: Path

    @property
    def is_whole(self) -> bool:
        """True if there is all that a plan needs."""
        return None not in (self.config, self.title, self.budget)

    def whole(self) -> tuple[EvolutionConfig, str, Budget]:
        """All of that; the project must be whole."""
        assert self.config is not None
        assert self.title is not None
        assert self.budget is not None
        return self.config, self.title, self.budget


def read_project(
    config: Path | None, overrides: Mapping[str, object], *, most_chars: int = MOST_CHARS
) -> Project:
    """Read everything as `evolve run` would, from the same places; so much of one's own text."""
    settings, finding = _settings(config, overrides)
    folder = config.parent if config is not None else Path.cwd()
    if settings is not None and settings.task.is_script:
        budget, found = _script(settings, folder)
        return Project(settings, settings.task.title, budget, [finding, found], cache_folder())
    return _language_model(settings, finding, folder, most_chars)


def verdict_depths(config: Path | None) -> Sequence[float]:
    """Scales of depth at which the settings' verdicts train; the usual ones if none are read."""
    settings, _ = _settings(config, {})
    return (settings or EvolutionConfig()).verdict.depths


def _script(settings: EvolutionConfig, folder: Path) -> tuple[Budget | None, Finding]:
    """The user's own script: its files, data and manual, checked as a run would."""
    try:
        beginning = begin_script(settings, folder)
    except EvolveError as error:
        remedy = "Mend that, or let `evolve init --from FOLDER` write the settings anew."
        return None, Finding("script", Level.PROBLEM, str(error), remedy)
    task, names = beginning.task, ", ".join(beginning.genome.files)
    words = (
        f"{names}: {task.metric.name}, to {task.metric.direction}, at most "
        f"{task.budget.amount:g} s a trial; the manual fits"
    )
    facts = {"files": list(beginning.genome.files), "metric": task.metric.to_json()}
    return task.budget, Finding("script", Level.OK, words, facts=facts)


def _together(settings: EvolutionConfig, folder: Path) -> tuple[Budget | None, Finding]:
    """Whether settings, manual, genome and seeds fit one another."""
    try:
        checked = check_language_model(settings, folder)
    except EvolveError as error:
        remedy = "A run would refuse to start: mend that first."
        return None, Finding("project", Level.PROBLEM, str(error), remedy)
    words = f"settings, manual, genome and {len(checked.seeds)} seeds fit one another"
    profile, main = checked.profile, str(project_file(folder, MAIN))
    notice = sizes_notice(main, checked.genome.main, profile.knobs, profile=profile.name)
    if notice is not None:
        words += f"; {notice}"
    return checked.budget, Finding("project", Level.OK, words)


def _language_model(
    settings: EvolutionConfig | None, finding: Finding, folder: Path, most_chars: int
) -> Project:
    findings = [finding, _manual(folder), _genome(folder)]
    ruler, finding = _ruler(folder)
    findings.append(finding)
    cache = cache_folder()
    sizes: Profile | None = None
    if settings is not None:
        try:
            sizes = load_profile(settings.run.profile)
        except EvolveError as error:
            remedy = "Choose one with --profile or in evolve.toml."
            findings.append(Finding("profile", Level.PROBLEM, str(error), remedy))
    if settings is not None and sizes is not None and ruler is not None:
        own = [Path(name) for name in settings.run.data]
        findings.append(
            own_data_finding(own, ruler, sizes, settings.run.budget, most_chars=most_chars)
            if own
            else _data(ruler, sizes, cache)
        )
    budget = None
    if settings is not None and all(f.level is not Level.PROBLEM for f in findings):
        budget, whole = _together(settings, folder)
        findings.append(whole)
    return Project(settings, sizes.name if sizes is not None else None, budget, findings, cache)


def cache_folder() -> Path:
    """Where the shipped ruler keeps prepared data."""
    return Path(os.environ.get("EVORESEARCH_CACHE") or Path.home() / ".cache" / "evoresearch")


def _settings(
    config: Path | None, overrides: Mapping[str, object]
) -> tuple[EvolutionConfig | None, Finding]:
    path = own_settings(config) or template_path("evolve.toml")
    facts = {"path": str(path)}
    try:
        settings = EvolutionConfig.load(path, overrides)
    except EvolveError as error:
        remedy = "Mend the file; docs/config.md has every key."
        return None, Finding("settings", Level.PROBLEM, str(error), remedy, facts)
    return settings, Finding("settings", Level.OK, str(path), facts=facts)


def _manual(folder: Path) -> Finding:
    path = project_file(folder, "program.md")
    try:
        manual = read_manual(path)
    except EvolveError as error:
        remedy = "docs/guides/program-md.md has every key; delete the file to take the shipped one."
        return Finding("program.md", Level.PROBLEM, str(error), remedy)
    words = f"{path}, hash {manual.hash[:HASH_DIGITS]}"
    facts = {"path": str(path), "rules": manual.rules()}
    return Finding("program.md", Level.OK, words, facts=facts)


def _genome(folder: Path) -> Finding:
    path = project_file(folder, MAIN)
    try:
        check_genome(Genome.single(path.read_text(encoding="utf-8")), str(path))
    except (OSError, UnicodeDecodeError) as error:
        remedy = "Make it a readable UTF-8 text, or delete it to take the shipped one."
        return Finding(MAIN, Level.PROBLEM, f"{path}: {error}", remedy)
    except EvolveError as error:
        remedy = "Mend that line, or delete the file to take the shipped one."
        return Finding(MAIN, Level.PROBLEM, str(error), remedy, {"path": str(path)})
    return Finding(MAIN, Level.OK, f"{path} keeps the contract", facts={"path": str(path)})


def _ruler(folder: Path) -> tuple[Ruler | None, Finding]:
    path = project_file(folder, "prepare.py")
    try:
        ruler = Ruler.load(path)
    except EvolveError as error:
        remedy = "Mend it, or delete it to take the shipped one."
        return None, Finding("prepare.py", Level.PROBLEM, str(error), remedy, {"path": str(path)})
    words = f"{path}, hash {ruler.hash[:12]}"
    facts = {"path": str(path), "hash": ruler.hash}
    return ruler, Finding("prepare.py", Level.OK, words, facts=facts)


def _data(ruler: Ruler, profile: Profile, cache: Path) -> Finding:
    """Whether the profile's own text is prepared, and still is what was prepared."""
    source = str(profile.facts.get("source", "its source"))
    folders = [f for f in sorted(cache.glob(f"{profile.name}-*")) if _source_of(f) != "own"]
    if not folders:
        facts: dict[str, Any] = {"is_prepared": False, "source": source}
        words = f"profile {profile.name} is not prepared yet; the next run does it, from {source}"
        if source == "climbmix":
            remedy = "That downloads several gigabytes: see that there is a network."
            return Finding("data", Level.WARNING, words, remedy, facts)
        return Finding("data", Level.OK, words, facts=facts)
    damaged = []
    for folder in reversed(folders):
        try:
            data = ruler.read(folder)
        except EvolveError as error:
            damaged.append((folder, str(error)))
            continue
        size_mb = sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) / 1e6
        words = f"{folder}, {size_mb:.0f} MB, hashes match"
        facts = {
            "is_prepared": True,
            "folder": str(folder),
            "megabytes": round(size_mb, 1),
            "data_hash": data.data_hash,
            "tokens": dict(data.tokens),
        }
        return Finding("data", Level.OK, words, facts=facts)
    folder, reason = damaged[0]
    facts = {"is_prepared": False, "folder": str(folder), "reason": reason}
    words = f"{folder} is not what was prepared: {reason}"
    return Finding("data", Level.WARNING, words, "The next run prepares it again.", facts)


def _source_of(folder: Path) -> str | None:
    """What a prepared folder was made from; None if it does not say."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return str(manifest["recipe"]["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
