"""``evolve init``: writes the files that a project of one's own begins with."""

import contextlib
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution.cli.options import (
    RUNS,
    AgentsOption,
    LessonsOption,
    LimitUsdOption,
    RunsOption,
    say,
)
from evolution.script_wishes import Wishes
from population import EvolveError

if TYPE_CHECKING:
    from evolution.sizing import Choice

_FILES = ("evolve.toml", "program.md", "prepare.py", "train.py")


class InitError(EvolveError):
    """The files cannot be written there."""


def init(  # noqa: PLR0917 - typer passes them by name
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")] = Path(),
    profile: Annotated[
        str,
        typer.Option(
            help="Sizes and data: tiny (tests), cpu, gpu (autoresearch's own); auto: by machine."
        ),
    ] = "cpu",
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Begin from your own script in FOLDER."),
    ] = None,
    script: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --from: which file a trial starts.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --from: the number it prints.")
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help="With --from: minimize or maximize that number.")
    ] = None,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="With --from: wall time of one trial.")
    ] = 300.0,
    agents: AgentsOption = None,
    limit_usd: LimitUsdOption = None,
    lessons: LessonsOption = None,
    runs: RunsOption = RUNS,
) -> None:
    """Write evolve.toml, program.md, prepare.py, train.py, its seeds and a folder for ideas.

    With --from, write evolve.toml and program.md for a script of your own, which is neither run
    nor changed: its files, its metric and the rest are guessed from its text.

    Examples:
      evolve init
      evolve init night --profile gpu
      evolve init night --profile auto
      evolve init night --agents claude --limit-usd 10
      evolve init night-2 --lessons runs/night-1
      evolve init --from ../my-model
      evolve init --from . --script fit.py --metric val_rmse --time-limit 120
    """
    learnt = _lessons(lessons, runs)
    if source is None:
        if script or metric or direction:
            raise InitError(
                "--script, --metric and --direction say what a script of your own does, but there "
                "is no --from. The folder of that script is needed. Add --from FOLDER."
            )
        files = {**_sized(profile), **_ideas()}
        _write(folder, _with_agents(files, agents, limit_usd) | learnt)
    else:
        wishes = Wishes(script, metric, direction, time_limit)
        _begin_from(source, folder, wishes, agents, limit_usd, learnt)
    here = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    say(f"next: {here}evolve run")


def _lessons(source: str | None, runs: Path) -> dict[str, str]:
    """The page of lessons that the run shall begin with, if any are named."""
    import time

    from evolution.earlier_lessons import LESSONS_FILE, earlier_lessons
    from population.lesson_page import lessons_page

    if source is None:
        return {}
    found = earlier_lessons(source, runs, at=time.time())
    say(f"{len(found)} lesson{'' if len(found) == 1 else 's'} of {source}")
    return {LESSONS_FILE: lessons_page(found)}


def _begin_from(
    source: Path,
    folder: Path,
    wishes: Wishes,
    agents: str | None,
    limit_usd: float | None,
    learnt: Mapping[str, str],
) -> None:
    """Settings and manual for a script, and what was assumed of it."""
    from evolution.onboarding import draft

    written = draft(source, folder, wishes)
    files = {**written.files, **_ideas()}
    _write(folder, {**_with_agents(files, agents, limit_usd), **learnt})
    for line in written.assumed:
        say(f"  {line}")
    say(f"check this in {folder / 'evolve.toml'}; nothing was run, {source} is as it was")


def _with_agents(
    files: Mapping[str, str], agents: str | None, limit_usd: float | None
) -> dict[str, str]:
    """The files with a language model in their settings, if one is wanted; checked."""
    import tomlkit

    from evolution.config import EvolutionConfig

    wanted = {"kind": agents, "limit_usd": limit_usd}
    given = {key: value for key, value in wanted.items() if value is not None}
    if not given:
        return dict(files)
    settings = tomlkit.parse(files["evolve.toml"])
    settings.setdefault("agents", tomlkit.table()).update(given)
    EvolutionConfig.from_mapping(settings.unwrap(), source="the settings")
    return {**files, "evolve.toml": tomlkit.dumps(settings)}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files or none; print their paths."""
    from evolution.ideas import IDEAS
    from evolution.templates import SEEDS

    taken = [name for name in files if os.path.lexists(folder / name)]
    if taken:
        raise InitError(
            f"{folder / taken[0]} is there already. `evolve init` writes {_listed(files)}, and "
            "replaces none of them. Move it away, or choose another folder: `evolve init FOLDER`."
        )
    written: list[Path] = []
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            written.append(folder / name)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        for name in (SEEDS, IDEAS):
            with contextlib.suppress(OSError):  # only if it is empty now
                (folder / name).rmdir()
        raise InitError(
            f"The files could not be written to {folder}: {error.strerror or error}. A folder that "
            "can be written is needed. Choose another: `evolve init FOLDER`."
        ) from None
    for path in written:
        typer.echo(path)


def _ideas() -> dict[str, str]:
    """The page that says what the folder of ideas is for."""
    from evolution.ideas import IDEAS, README
    from evolution.templates import template_path

    name = f"{IDEAS}/{README}"
    return {name: template_path(name).read_text(encoding="utf-8")}


def _listed(files: Mapping[str, str]) -> str:
    """The names of files, those of a folder by the folder's."""
    return ", ".join(dict.fromkeys(name.partition("/")[0] for name in files))


def _sized(profile: str) -> dict[str, str]:
    """The files at the sizes of a profile, or at those that this machine asks for."""
    from evolution.sizing import AUTO

    if profile != AUTO:
        return _files(profile)
    choice = chosen()
    note = ["sized by `evolve init --profile auto`, by what it found; change any of it", ""]
    note += [line for line in choice.lines() if not line.startswith("chose ")]
    return _files(choice.profile, choice, note)


def chosen(depths: Sequence[float] | None = None) -> "Choice":
    """The profile for this machine; says what was found, what was chosen, and why.

    Args:
        depths: Scales of depth at which verdicts train; None for the usual ones.
    """
    from evolution.doctor.choosing import DEPTHS, choose_here

    say("asking torch what this machine has, and timing a core")
    choice = choose_here(depths=depths or DEPTHS)
    for line in choice.lines():
        say(f"  {line}")
    return choice


def _files(
    profile: str, choice: "Choice | None" = None, note: Sequence[str] = ()
) -> dict[str, str]:
    """Texts by name, with the sizes of the profile or of the choice, and why above them."""
    import tomlkit

    from evolution.profiles import load_profile
    from evolution.seeds import at_sizes
    from evolution.sizing import with_note
    from evolution.templates import SEEDS, seed_paths, template_path
    from population import set_knobs

    files = {name: template_path(name).read_text(encoding="utf-8") for name in _FILES}
    shipped = files["train.py"]
    sizes = load_profile(profile, choice.knobs if choice else {}).knobs
    settings = tomlkit.parse(files["evolve.toml"])
    run = settings.setdefault("run", tomlkit.table())
    run["profile"] = profile
    if choice is not None:
        run["budget"] = choice.budget
        settings.setdefault("workers", tomlkit.table())["count"] = choice.workers
    text = tomlkit.dumps(settings)
    comment = "".join(f"# {line}".rstrip() + "\n" for line in note)
    files["evolve.toml"] = text.replace("[run]\n", f"[run]\n{comment}", 1)
    files["train.py"] = with_note(set_knobs(shipped, sizes), note)
    for path in seed_paths():
        seed = at_sizes(path.read_text(encoding="utf-8"), shipped, sizes)
        # The same note: a seed differs from the baseline by its idea alone.
        files[f"{SEEDS}/{path.name}"] = with_note(seed, note)
    return files
