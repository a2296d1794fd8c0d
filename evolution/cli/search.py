"""``evolve run`` and ``evolve resume``: one sitting of the engine, with its view and its end."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolution import keys
from evolution.cli.options import (
    RUNS,
    AgentsOption,
    AllowUnsafeOption,
    JsonOption,
    LessonsOption,
    LimitUsdOption,
    RunsOption,
    answer,
    find_run,
    say,
    stderr,
)
from population import RunPaths, RunState

if TYPE_CHECKING:
    from evolution.cli.live import LiveView
    from evolution.config import EvolutionConfig
    from evolution.engine import Engine
    from evolution.sandbox.levels import Level
    from evolution.workspace import Workspace

_INTERRUPTED = 130


def run(  # noqa: PLR0917 - typer passes them by name
    name: Annotated[
        str | None, typer.Option(help="Name of the new run; by default profile and time.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Sizes and data: tiny, cpu, gpu; auto: by machine; over evolve.toml."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings; by default ./evolve.toml if there is one.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="COUNT", help="End after so many offspring; 0: no limit.")
    ] = None,
    hours: Annotated[
        float | None, typer.Option(help="End after so many hours; 0: no limit.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="COUNT", help="Trainings at once; 0: one a core or GPU.")
    ] = None,
    rng_seed: Annotated[
        int | None, typer.Option(metavar="SEED", help="All chance of the search follows from it.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Your own text; may be given again.")
    ] = None,
    no_seeds: Annotated[
        bool, typer.Option("--no-seeds", help="Begin with the baseline alone.")
    ] = False,
    agents: AgentsOption = None,
    limit_usd: LimitUsdOption = None,
    lessons: LessonsOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing: scores are made up, within seconds.")
    ] = False,
    allow_unsafe: AllowUnsafeOption = False,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Start a new run: breed, train and score variants, then confirm the champion.

    Ctrl-C once lets what trains finish, twice ends now; `evolve resume` goes on from either.

    Examples:
      evolve run
      evolve run --profile tiny --trials 12 --name first
      evolve run --hours 8 --data essays.txt
      evolve run --agents claude --limit-usd 10
      evolve run --agents claude --limit-usd 10 --lessons night-1
    """
    from evolution.earlier_lessons import earlier_lessons
    from evolution.workspace import DRY_RUN, create_run
    from population import Store

    overrides = {
        **_profile(profile, config),
        # Hours that were asked for are not cut short by the default number of trials.
        "limits.trials": 0 if hours and trials is None else trials,
        "limits.hours": hours,
        **({} if workers is None else {"workers.count": workers}),
        "run.rng_seed": rng_seed,
        "agents.kind": agents,
        "agents.limit_usd": limit_usd,
        "population.seeds": "" if no_seeds else None,
        "run.data": [str(Path(p).expanduser().resolve()) for p in data] if data else None,
    }
    settings, project = _settings(config, {k: v for k, v in overrides.items() if v is not None})
    learnt = earlier_lessons(lessons, runs, at=time.time()) if lessons is not None else None
    with keys.held(settings.agents.command_key):
        if not dry_run:
            _check_containment(settings, allow_unsafe=allow_unsafe)  # before anything is made
            _check_models(settings)
        paths = create_run(runs, settings, name=name, project=project, lessons=learnt, report=say)
    if dry_run:
        with Store.open(paths.database) as store:
            store.set_fact(DRY_RUN, True)
    _sit(paths, as_json=as_json, allow_unsafe=allow_unsafe)


def _profile(name: str | None, config: Path | None) -> dict[str, object]:
    """The profile as settings; ``auto`` becomes what suits this machine, said aloud."""
    from evolution.cli.starting import chosen
    from evolution.config import EvolutionConfig
    from evolution.sizing import AUTO
    from evolution.templates import own_settings, template_path

    if name != AUTO:
        return {"run.profile": name}
    settings = EvolutionConfig.load(own_settings(config) or template_path("evolve.toml"))
    return chosen(settings.verdict.depths).overrides()


def resume(
    name: Annotated[str | None, typer.Argument(help="Which run; by default the newest.")] = None,
    limit_usd: LimitUsdOption = None,
    allow_unsafe: AllowUnsafeOption = False,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was paused, interrupted or killed: nothing finished is lost.

    Examples:
      evolve resume
      evolve resume night-1
      evolve resume night-1 --limit-usd 20
    """
    paths = find_run(runs, name)
    _sit(paths, as_json=as_json, allow_unsafe=allow_unsafe, limit_usd=limit_usd)


def _settings(
    config: Path | None, overrides: Mapping[str, Any]
) -> "tuple[EvolutionConfig, Path | None]":
    """The settings, and the folder whose genome, ruler and manual are meant."""
    from evolution.config import EvolutionConfig
    from evolution.templates import own_settings, template_path

    path = own_settings(config)
    if path is None:
        say("no evolve.toml here: the built-in task, with the shipped settings")
        return EvolutionConfig.load(template_path("evolve.toml"), overrides), Path.cwd()
    return EvolutionConfig.load(path, overrides), path.parent


def _check_containment(config: "EvolutionConfig", *, allow_unsafe: bool) -> "Level":
    """What holds the trainers; refuses to train without a box, unless that is allowed."""
    from evolution.containment import choose_level

    return choose_level(config, allow_unsafe=allow_unsafe)


def _check_models(config: "EvolutionConfig") -> None:
    """Refuse to begin where the language model of the settings has no key or no price."""
    from evolution.models import check_models

    if config.agents.is_on:
        check_models(config.agents)


def _say_containment(level: "Level") -> None:
    nothing = ": NO BOX holds the trainers, as --allow-unsafe allows"
    say(f"containment {level.value}{nothing if level.value == 'basic' else ''}")


def _sit(
    paths: RunPaths, *, as_json: bool, allow_unsafe: bool, limit_usd: float | None = None
) -> None:
    """One sitting: open the run, let the engine work, show and tell what came of it."""
    from agents.spend import LIMIT
    from evolution.cli.live import LiveView
    from evolution.cli.rehearsal import rehearsal
    from evolution.cli.tables import status_view
    from evolution.sitting import sitting
    from evolution.status import run_status
    from evolution.workspace import DRY_RUN, open_run

    with open_run(paths, report=say) as workspace:
        if limit_usd is not None:
            workspace.store.set_fact(LIMIT, limit_usd)
        if workspace.store.fact(DRY_RUN) is True:
            play = rehearsal
        else:
            level = _check_containment(workspace.config, allow_unsafe=allow_unsafe)
            _say_containment(level)
            play = partial(sitting, level=level)
        with (
            LiveView(workspace.store, stderr()) as view,
            play(workspace, watch=view.refresh) as engine,
            _obeying_signals(engine, view),
        ):
            engine.run()
        found = run_status(workspace.store, time.time(), is_live=False)
        overview = _draw_overview(workspace)
    facts = {**found.as_dict(), "overview": str(overview) if overview else None}
    answer(facts, as_json, lambda console: console.print(status_view(found, is_live=False)))
    if overview is not None:
        say(f"\nfrontier and family tree: {overview}")
    if found.state is RunState.PAUSED:
        say(f"paused; go on with `evolve resume {paths.root.name}`")
        raise typer.Exit(_INTERRUPTED)


def _draw_overview(workspace: "Workspace") -> Path | None:
    """The figure at the end of a sitting; without a picture the run is as good."""
    from analysis import save_overview

    target = workspace.paths.figures / "overview.png"
    try:
        target.parent.mkdir(exist_ok=True)
        return save_overview(workspace.store, target)
    except OSError as error:
        say(f"the overview could not be written to {target}: {error.strerror or error}")
        return None


@contextmanager
def _obeying_signals(engine: "Engine", view: "LiveView") -> Iterator[None]:
    """First SIGINT: start nothing more. Second, or SIGTERM: end now. Both can be resumed."""
    asked = 0

    def obey(number: int, _: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if number == signal.SIGINT and asked == 1:
            engine.request_drain()
            view.note = "waiting for what trains; Ctrl-C again to end now"
        else:
            engine.request_stop()
            view.note = "ending"

    before = {number: signal.signal(number, obey) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
