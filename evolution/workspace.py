"""A run's folder: made whole or not at all, opened only if it is still what it was.

Brings together the task, the repository and the database of one run. Knows nothing of the search.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil

from evolution import keys
from evolution.config import EvolutionConfig
from evolution.earlier_lessons import LESSONS_FILE, page_lessons
from evolution.events import EventLog
from evolution.ideas import first_ideas
from evolution.manuals import (
    HASH_DIGITS,
    TRAILER,
    Circumstances,
    budget_of,
    check_manual,
    keep_manual,
    read_manual,
)
from evolution.profiles import Profile, load_profile
from evolution.ruler import Ruler
from evolution.run_lock import RunLock
from evolution.script_manual import script_manual
from evolution.script_task import ScriptTask
from evolution.seeds import DEFAULT_FOLDER, Seed, check_distinct, entering, find_seeds
from evolution.sizes import sizes_notice
from evolution.task import LanguageModelTask, Task
from evolution.templates import project_file, template_path
from population import (
    MAIN,
    Branches,
    Budget,
    BudgetKind,
    Contract,
    Genome,
    Lesson,
    Manual,
    Metric,
    Origin,
    RunPaths,
    RunRecord,
    RunState,
    Store,
    Variant,
    canonical_hash,
    commit_message,
    rule_problems,
    set_knobs,
)
from population.errors import EvolveError
from population.paths import check_run_name
from population.plumbing import git_executable

#: Free space a new run needs: database, repository, scratch and logs of a first evening.
DISK_FLOOR_MB = 300
BASELINE_NAME = "g000-000"
#: The store's fact that holds the training budget of one trial.
BUDGET = "budget"
#: The store's fact that says that the scores of a run are made up.
DRY_RUN = "dry_run"


class WorkspaceError(EvolveError):
    """A run that cannot be made or opened as asked."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """An open run: one engine's, until its context ends.

    ``budget`` is that of one trial, as it was when the run began: settings and ruler may have
    changed since, and scores of different budgets cannot be compared.
    """

    paths: RunPaths
    config: EvolutionConfig
    task: Task
    budget: Budget
    store: Store
    branches: Branches
    events: EventLog
    baseline: Genome

    @property
    def name(self) -> str:
        """The run's name: its folder."""
        return self.paths.root.name


Report = Callable[[str], None]


def _silent(_: str) -> None:
    """Say nothing."""


def create_run(
    runs: Path,
    config: EvolutionConfig,
    *,
    name: str | None = None,
    project: Path | None = None,
    lessons: Sequence[Lesson] | None = None,
    report: Report = _silent,
) -> RunPaths:
    """Make a run's folder under ``runs``; on any error nothing of it remains.

    Args:
        runs: The folder of all runs; made if missing.
        config: Frozen beside the run.
        name: Of the run; by default the profile and the time.
        project: Where the user's own ``train.py``, ``prepare.py`` and ``program.md`` may lie; what
            is missing there comes from the package. A script of the user's own must lie there.
        lessons: What the run begins with; by default what ``lessons.md`` there says.
        report: Told what is being done, for people.

    Raises:
        WorkspaceError: The name is taken or unusable, the disk is full, the genome breaks the
            contract.
        population.ManualError: ``program.md`` cannot be read, or does not fit the run.
        population.GitMissingError: There is no git.
        evolution.ruler.RulerError: The data cannot be prepared.
        evolution.script_task.TaskError: A script or its data cannot be read.
        evolution.ideas.IdeaError: The settings name a folder of ideas that is not there.
    """
    git_executable()
    is_script = config.task.is_script
    if is_script:
        config = _placed(config, project)
    stem = config.task.title if is_script else load_profile(config.run.profile).name
    name = _usable_name(runs, name, stem)
    _check_disk(runs)
    ideas = first_ideas(project, config.agents.ideas, report)
    start = begin_script if is_script else _begin_language_model
    beginning = start(config, project, report)
    if lessons is None:
        lessons = _project_lessons(project, report)

    runs.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=runs))
    try:
        paths = RunPaths(draft)
        if ideas:
            paths.ideas.mkdir()
        for file, text in ideas.items():
            (paths.ideas / file).write_text(text, encoding="utf-8")
        for target, content in beginning.files(paths).items():
            target.write_bytes(content)
        paths.settings.write_text(config.as_toml(), encoding="utf-8")
        paths.logs.mkdir(exist_ok=True)
        paths.events.touch()
        _first_rows(paths, name, config, beginning, lessons)
        draft.chmod(0o755)
        _publish(draft, runs / name)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, EvolveError):
            raise WorkspaceError(
                f"The run {name!r} could not be made in {runs}: {error.strerror or error}. A "
                f"writable folder with {DISK_FLOOR_MB} MB free is needed. Free some space, or "
                "choose another folder with --runs."
            ) from error
        raise
    report(f"run {name!r} in {runs / name}")
    return RunPaths(runs / name)


@contextlib.contextmanager
def open_run(paths: RunPaths, *, report: Report = _silent) -> Iterator[Workspace]:
    """Open a run for its one engine; refuse if ruler or data are not what it began with.

    Raises:
        evolution.run_lock.RunLockedError: Another engine works on it.
        WorkspaceError: What measures, or the data, were changed.
        evolution.ruler.RulerError: Its data are missing or changed.
        evolution.script_task.TaskError: A script's data are missing.
        population.SchemaError: A newer program wrote it.
    """
    if not paths.database.exists():
        raise WorkspaceError(
            f"There is no run in {paths.root}. A folder made by `evolve run` is needed. "
            "`evolve status` lists the newest; `evolve run` starts one."
        )
    with (
        RunLock(paths.lock),
        contextlib.ExitStack() as stack,
        Store.open(paths.database) as store,
    ):
        record = store.run()
        config = EvolutionConfig.load(paths.settings)
        stack.enter_context(keys.held(config.agents.command_key))  # before any child starts
        reopen = _reopened_script if config.task.is_script else _reopened_language_model
        task = reopen(paths, config, store, report)
        if not paths.program.is_file():
            raise WorkspaceError(
                f"The run has no {paths.program}. It began with one, and the operators read it. "
                "Put it back, or start a new run."
            )
        if record.baseline is None:
            raise WorkspaceError(
                f"The run {paths.root.name!r} has no baseline: it was not made whole. "
                "A run made by `evolve run` has one. Start a new run."
            )
        with (
            Branches.open(paths.repository) as branches,
            EventLog(paths.events, clock=time.time) as events,
        ):
            yield Workspace(
                paths=paths,
                config=config,
                task=task,
                budget=_frozen_budget(store, task),
                store=store,
                branches=branches,
                events=events,
                baseline=branches.genome(record.baseline),
            )


def task_contract(store: Store) -> Contract:
    """What the genomes of a run must keep, from its store alone."""
    return Contract(is_script=bool(store.run().script_files))


def check_genome(
    genome: Genome,
    source: str,
    contract: Contract | None = None,
    *,
    manual: Manual | None = None,
    baseline: Genome | None = None,
) -> None:
    """Refuse a genome that breaks the contract or the manual, with the first line that does.

    Args:
        genome: To be taken in.
        source: What a refusal calls it.
        contract: What the task asks; by default that of a language model's ``train.py``.
        manual: In force; None for one that asks nothing beyond the contract.
        baseline: What is frozen is compared with; None for the genome itself.

    Raises:
        WorkspaceError: In three parts.
    """
    contract = contract or Contract()
    problems = rule_problems(manual or Manual(), genome, baseline or genome, contract)
    if problems:
        first = problems[0]
        more = f" ({len(problems) - 1} more after this one)" if len(problems) > 1 else ""
        if first.rule == "frozen":
            raise WorkspaceError(
                f"{source}, line {first.line}, breaks program.md (frozen): {first.message}{more}. "
                "What the run's manual freezes stays as the baseline has it. Put it back, or thaw "
                "it in the run's program.md."
            )
        if contract.is_script:
            raise WorkspaceError(
                f"{source}, line {first.line}, cannot be evolved ({first.rule}): {first.message}"
                f"{more}. A genome is Python that compiles. Mend the line and try again."
            )
        raise WorkspaceError(
            f"{source}, line {first.line}, breaks the contract ({first.rule}): {first.message}"
            f"{more}. A genome has a block of ALL_CAPS knobs, a top-level build_model(), a "
            "__main__ guard, and imports only what program.md and the standard library give. "
            "Mend the line and try again."
        )


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a run starts from.

    Attributes:
        task: What it trains.
        genome: Its baseline.
        manual: What it may do; checked against the rest.
        ruler: Text of ``prepare.py``; None where there is none.
        seeds: Hand-written variants that wait for the engine.
    """

    task: Task
    genome: Genome
    manual: Manual
    ruler: bytes | None = None
    seeds: Sequence[Seed] = ()

    def files(self, paths: RunPaths) -> dict[Path, bytes]:
        """What the run's folder begins with."""
        files = {paths.program: self.manual.text.encode()}
        return files if self.ruler is None else {**files, paths.ruler: self.ruler}


class _Checked(NamedTuple):
    """What a run of the built-in task starts from, but for its data."""

    profile: Profile
    ruler: Ruler
    ruler_path: Path
    budget: Budget
    genome: Genome
    manual: Manual
    seeds: list[Seed]


def _begin_language_model(
    config: EvolutionConfig, project: Path | None, report: Report
) -> Beginning:
    found = check_language_model(config, project, report)
    report(f"data of profile {found.profile.name!r}")
    data = found.ruler.prepare(found.profile, data=_data_paths(config.run.data), progress=report)
    return Beginning(
        task=LanguageModelTask(found.profile, found.ruler, data, found.budget.amount),
        genome=found.genome,
        manual=found.manual,
        ruler=found.ruler_path.read_bytes(),
        seeds=found.seeds,
    )


def check_language_model(
    config: EvolutionConfig, project: Path | None, report: Report = _silent
) -> _Checked:
    """Everything that a run of the built-in task would refuse to start with, data aside.

    Raises:
        EvolveError: In three parts.
    """
    profile = load_profile(config.run.profile, config.run.knobs)
    manual_path = project_file(project, "program.md")
    manual = read_manual(manual_path)
    genome = _baseline_genome(project, profile, manual)
    main = str(project_file(project, MAIN))
    notice = sizes_notice(main, genome.main, profile.knobs, profile=profile.name)
    if notice is not None:
        report(notice)
    source = project_file(project, "prepare.py")
    ruler = Ruler.load(source)
    budget = _budget(config, ruler, profile, manual)
    circumstances = Circumstances(Metric(), budget, genome, config.operator_weights())
    check_manual(manual, circumstances, source=str(manual_path))
    seeds = _first_seeds(project, config, profile, genome, manual, report)
    return _Checked(profile, ruler, source, budget, genome, manual, seeds)


def _placed(config: EvolutionConfig, project: Path | None) -> EvolutionConfig:
    """The settings with the folder of the script by its whole path: the run lies elsewhere."""
    folder = Path(config.task.folder) if config.task.folder else project or Path()
    task = config.task.model_copy(update={"folder": str(folder.resolve())})
    return config.model_copy(update={"task": task})


def begin_script(
    config: EvolutionConfig, project: Path | None, report: Report = _silent
) -> Beginning:
    """What a run of the user's own script starts from; all of it checked.

    Raises:
        WorkspaceError, population.ManualError, evolution.script_task.TaskError: In three parts.
    """
    config = _placed(config, project)
    folder = Path(config.task.folder)
    report(f"script {config.task.main!r} in {folder}")
    task = ScriptTask.open(config.task, folder)
    genome = task.genome()
    path = (project or folder) / "program.md"
    manual = read_manual(path) if path.is_file() else Manual.parse(script_manual(task.metric))
    check_genome(genome, str(folder / genome.entry), task.contract, manual=manual)
    weights = config.operator_weights()
    circumstances = Circumstances(task.metric, task.budget, genome, weights, task.contract)
    check_manual(manual, circumstances, source=str(path))
    if config.population.seeds != DEFAULT_FOLDER and config.population.seeds:
        raise WorkspaceError(
            f"population.seeds names {config.population.seeds!r}, but [task] makes a script of "
            "your own the genome, whose run begins without seeds. Leave population.seeds out, "
            'and hand seeds to the live run: `evolve seed FILE -m "what was changed"`.'
        )
    return Beginning(task=task, genome=genome, manual=manual)


def _reopened_language_model(
    paths: RunPaths, config: EvolutionConfig, store: Store, report: Report
) -> Task:
    """The task as the run began with it: same ruler, same data."""
    record = store.run()
    ruler = Ruler.load(paths.ruler)
    if ruler.hash != record.ruler_hash:
        raise WorkspaceError(
            f"The ruler {paths.ruler} was changed since the run began: its hash is "
            f"{ruler.hash[:12]}, the run's is {record.ruler_hash[:12]}. Scores by another "
            "ruler cannot be compared. Put the old file back, or start a new run."
        )
    profile = load_profile(config.run.profile, config.run.knobs)
    # Prepared anew if the cache was cleared: the same recipe gives the same hash.
    data = ruler.prepare(profile, data=_data_paths(config.run.data), progress=report)
    _check_data(str(data.path), data.data_hash, record.data_hash)
    ruler.check(data.path, record.data_hash)
    return LanguageModelTask(profile, ruler, data, config.run.budget)


def _reopened_script(
    paths: RunPaths,
    config: EvolutionConfig,
    store: Store,
    report: Report,  # noqa: ARG001 - the twin of `_reopened_language_model`
) -> Task:
    """The task as the run began with it: same settings, same data."""
    record = store.run()
    task = ScriptTask.open(config.task, Path(config.task.folder))
    if task.ruler_hash != record.ruler_hash:
        raise WorkspaceError(
            f"[task] in {paths.settings} was changed since the run began. Scores of another "
            "command or metric cannot be compared. Put the old settings back, or start a new run."
        )
    _check_data(str(task.project), task.data_hash, record.data_hash)
    return task


def _check_data(place: str, found: str, needed: str) -> None:
    if found != needed:
        raise WorkspaceError(
            f"The data in {place} are not those the run began with: their hash is {found[:12]}, "
            f"the run's is {needed[:12]}. Scores on other data cannot be compared. "
            "Bring the old data back, or start a new run."
        )


def _usable_name(runs: Path, name: str | None, profile: str) -> str:
    if name is None:
        stem = f"{profile}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        taken = (n for n in range(2, 1000) if not (runs / f"{stem}-{n}").exists())
        return stem if not (runs / stem).exists() else f"{stem}-{next(taken)}"
    check_run_name(name)
    if (runs / name).exists():
        raise WorkspaceError(
            f"There is already a run {name!r} in {runs}. A new run needs a new name. "
            f"Go on with the old one by `evolve resume {name}`, or choose another --name."
        )
    return name


def _check_disk(runs: Path) -> None:
    folder = next(p for p in (runs, *runs.resolve().parents) if p.exists())
    free_mb = psutil.disk_usage(str(folder)).free / 1e6
    if free_mb < DISK_FLOOR_MB:
        raise WorkspaceError(
            f"{folder} has {free_mb:.0f} MB free. A run needs at least {DISK_FLOOR_MB} MB. "
            "Free some space, or choose another folder with --runs."
        )


def _baseline_genome(project: Path | None, profile: Profile, manual: Manual) -> Genome:
    source = project_file(project, MAIN)
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(
            f"{source} cannot be read: {error.strerror}. A run starts from its genome. Give "
            "yourself the right to read it, and try again."
        ) from error
    except UnicodeDecodeError as error:
        raise WorkspaceError(
            f"{source} is not UTF-8 text: {error}. A genome is a Python file. Save it as UTF-8."
        ) from None
    # The shipped genome takes the sizes of profile and settings; an edited one is taken as it is.
    if text == template_path(MAIN).read_text(encoding="utf-8"):
        text = set_knobs(text, profile.knobs)
    genome = Genome.single(text)
    check_genome(genome, str(source), manual=manual)
    return genome


def _first_seeds(
    project: Path | None,
    config: EvolutionConfig,
    profile: Profile,
    baseline: Genome,
    manual: Manual,
    report: Report,
) -> list[Seed]:
    """The hand-written variants that the run begins with; every one of the folder is checked."""
    found = find_seeds(
        project,
        config.population.seeds,
        baseline=project_file(project, MAIN).read_text(encoding="utf-8"),
        sizes=profile.knobs,
        report=report,
    )
    for seed in found:
        genome = baseline.with_main(seed.as_file)
        check_genome(genome, seed.source, manual=manual, baseline=baseline)
    check_distinct(found, baseline)
    seeds = entering(found, trials=config.limits.trials)
    if len(seeds) < len(found):
        report(
            f"{len(seeds)} of {len(found)} seeds: half of {config.limits.trials} trials is left "
            "for breeding; `evolve seed` adds others"
        )
    elif seeds:
        report(f"{len(seeds)} seeds: {', '.join(Path(seed.source).stem for seed in seeds)}")
    return seeds


def _data_paths(names: Sequence[str]) -> list[Path] | None:
    return [Path(name).expanduser().resolve() for name in names] or None


def _project_lessons(project: Path | None, report: Report) -> list[Lesson]:
    """The lessons of a page in the project's folder; none if there is none."""
    if project is None or not (project / LESSONS_FILE).exists():
        return []
    found = page_lessons(project / LESSONS_FILE, at=time.time())
    report(f"{len(found)} lesson{'' if len(found) == 1 else 's'} of {project / LESSONS_FILE}")
    return found


def _first_rows(
    paths: RunPaths,
    name: str,
    config: EvolutionConfig,
    beginning: Beginning,
    lessons: Sequence[Lesson],
) -> None:
    """Repository with the baseline's commit, database with its row; seeds wait for the engine."""
    now = time.time()
    task, genome, manual = beginning.task, beginning.genome, beginning.manual
    trailers = {"Operator": "baseline", TRAILER: manual.hash[:HASH_DIGITS]}
    message = commit_message("The baseline", trailers)
    with Branches.create(paths.repository, entry=genome.entry) as branches:
        sha = branches.commit(genome, message=message, at=now)
        branches.anchor(sha, run=name, name=BASELINE_NAME)
        branches.point_head(run=name, name=BASELINE_NAME)
    variant = Variant(
        sha=sha,
        name=BASELINE_NAME,
        generation=0,
        parents=(),
        origin=Origin.BASELINE,
        operator="baseline",
        hypothesis="The baseline",
        genome_hash=canonical_hash(genome),
        created_at=now,
    )
    record = RunRecord(
        name=name,
        created_at=now,
        state=RunState.CREATED,
        settings=config.model_dump(mode="json"),
        ruler_hash=task.ruler_hash,
        data_hash=task.data_hash,
        baseline=sha,
        rng_seed=config.run.rng_seed,
    )
    with Store.create(paths.database, record) as store:
        store.add_variant(variant)
        store.set_fact(BUDGET, {"kind": task.budget.kind.value, "amount": task.budget.amount})
        store.set_metric(task.metric)
        keep_manual(store, manual, at=now)
        store.change_lessons(at=now, added=lessons)
        for seed in beginning.seeds:
            store.add_request("seed", {"text": seed.text, "idea": seed.idea}, at=now)


def _budget(config: EvolutionConfig, ruler: Ruler, profile: Profile, manual: Manual) -> Budget:
    """The settings' budget, the manual's, or else what the run's own ruler gives the profile."""
    given = ruler.budget_of(profile.name)
    return Budget(given.kind, budget_of(manual, given.kind, config.run.budget, given.amount))


def _frozen_budget(store: Store, task: Task) -> Budget:
    fact = store.fact(BUDGET)
    if not isinstance(fact, dict):
        return task.budget
    return Budget(BudgetKind(str(fact["kind"])), float(str(fact["amount"])))


def _publish(draft: Path, target: Path) -> None:
    """Give the finished folder its name; refuse if another run took it meanwhile."""
    try:
        draft.rename(target)
    except OSError:
        if target.exists():
            raise WorkspaceError(
                f"There is already a run {target.name!r} in {target.parent}. A new run needs a new "
                f"name. Go on with the old one by `evolve resume {target.name}`, or choose another."
            ) from None
        raise
