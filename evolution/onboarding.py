"""Onboarding: settings and manual for a script of the user's own, written without running it.

Guesses what can be told from the text of the script, and says what it guessed. Touches nothing in
the folder of the script.
"""

import ast
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from agents import is_off_limits
from evolution.config import EvolutionConfig
from evolution.printed_metric import PrintedMetric, printed_metrics
from evolution.script_manual import script_manual
from evolution.script_task import ScriptTask, text_of
from evolution.script_wishes import Wishes
from evolution.task_settings import PART
from population import EvolveError

_USUAL_ENTRIES = ("train.py", "main.py")
_MOST_CANDIDATES = 6


class OnboardingError(EvolveError):
    """A folder that no search can begin from as it is."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be written, and what was assumed.

    Attributes:
        files: Texts by name.
        assumed: Lines for people.
    """

    files: Mapping[str, str]
    assumed: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """What the texts of a script say."""

    files: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)


def draft(source: Path, target: Path, wishes: Wishes) -> Draft:
    """Settings and manual for the script in ``source``, to be written to ``target``.

    Raises:
        OnboardingError: There is no script, it is no Python, or it prints no metric.
        evolution.config.ConfigError: What was found or wished for is no setting.
        evolution.script_task.TaskError: A file cannot be read.
    """
    entry = _entry(source, wishes.script)
    found = _read(source, entry)
    metric = _metric(source, found.files, wishes.metric)
    direction = wishes.direction or ("maximize" if metric.is_maximized else "minimize")
    task: dict[str, Any] = {"files": found.files, "metric": metric.name, "direction": direction}
    if metric.pattern:
        task["pattern"] = metric.pattern
    task["pattern_use"] = "last" if metric.is_repeated else "only"
    task["time_limit"] = float(wishes.time_limit)
    task["data"] = found.data
    if source.resolve() != target.resolve():
        task["folder"] = _relative(source, target)
    config = EvolutionConfig.from_mapping({"task": task}, source="--from")
    ScriptTask.open(config.task, source).genome()  # all of it can be read
    files = {
        "evolve.toml": _settings_text(task, metric),
        "program.md": script_manual(config.task.as_metric(), found.frozen),
    }
    return Draft(files, tuple(_assumed(task, metric, found)))


def _entry(source: Path, script: str | None) -> str:
    """The file that a trial starts, by its path in ``source``."""
    if not source.is_dir():
        raise OnboardingError(
            f"{source} is no folder. --from takes the folder that holds your script. "
            "Name it, and the script with --script if it holds several: "
            "`evolve init --from FOLDER --script FILE`."
        )
    if script is not None:
        if not (source / script).is_file():
            raise OnboardingError(
                f"There is no file {script!r} in {source}. --script names the file that a trial "
                f"starts, by its path in that folder. It holds: {_listed(_scripts(source))}."
            )
        return PurePosixPath(script).as_posix()
    scripts = _scripts(source)
    starts = _not_imported(source, scripts)
    if len(starts) == 1:
        return starts[0]
    usual = next((name for name in _USUAL_ENTRIES if name in scripts), None)
    if usual is None:
        raise OnboardingError(
            f"{source} holds {len(scripts)} Python scripts: {_listed(scripts)}. One of them must "
            "be what a trial starts. Name it: `evolve init --from FOLDER --script FILE`."
        )
    return usual


def _scripts(source: Path) -> list[str]:
    names = sorted(path.name for path in source.glob("*.py") if path.is_file())
    return [n for n in names if not n.startswith(("test_", ".", "__", "conftest", "setup.py"))]


def _not_imported(source: Path, scripts: list[str]) -> list[str]:
    """Those that no other one imports: only they can be what is started."""
    if len(scripts) == 1:
        return scripts
    base = PurePosixPath()
    imported = {path for one in scripts for path in _imported(source, base, _parsed(source, one))}
    return [one for one in scripts if one not in imported]


def _listed(names: list[str]) -> str:
    more = ", …" if len(names) > _MOST_CANDIDATES else ""
    return (", ".join(names[:_MOST_CANDIDATES]) + more) or "none"


def _read(source: Path, entry: str) -> _Found:
    """The entry, what it imports beside itself, and the files that they name."""
    found, waiting = _Found(), [entry]
    while waiting:
        path = waiting.pop(0)
        if path in found.files or path in found.data:
            continue
        tree = _parsed(source, path)
        if path != entry and is_off_limits(PurePosixPath(path).stem):
            found.data.append(path)  # it measures or brings data: beside the script, as it is
        else:
            found.files.append(path)
            found.frozen += [n for n in _frozen_names(tree) if n not in found.frozen]
        waiting += _imported(source, PurePosixPath(entry).parent, tree)
        found.data += [d for d in _named_data(source, tree) if d not in found.data]
    taken = set(found.files)
    found.data = [
        d
        for d in found.data
        if d not in taken
        and not any(f.startswith(f"{d}/") for f in taken)
        and not any(d.startswith(f"{other}/") for other in found.data)
    ]
    return found


def _parsed(source: Path, path: str) -> ast.Module:
    where = source / path
    try:
        return ast.parse(text_of(where))
    except OSError as error:
        problem = f"{where} cannot be read: {error.strerror or error}"
    except SyntaxError as error:
        line = f", line {error.lineno}," if error.lineno else ""
        problem = f"{where}{line} is not Python: {error.msg}"
    except (MemoryError, RecursionError):
        problem = f"{where} is nested too deeply to be read"
    except ValueError as error:  # no UTF-8, nul bytes
        problem = f"{where} is not UTF-8 text: {error}"
    raise OnboardingError(
        f"{problem}. A script that runs is needed. Mend it, see that `python {path}` works, and "
        "try again."
    )


def _imported(source: Path, base: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Modules of the folder that a file imports, by their paths."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names):
                modules = [module, *(f"{module}.{alias.name}" for alias in names)]
            case _:
                continue
        for module in modules:
            parts = module.split(".")
            for end in range(1, len(parts) + 1):
                stem = base.joinpath(*parts[:end])
                for path in (f"{stem}.py", f"{stem}/__init__.py"):
                    if (source / path).is_file():
                        yield path


def _named_data(source: Path, tree: ast.Module) -> Iterator[str]:
    """Files and folders beside the script that its strings name."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if 0 < len(text) < 200 and text.isprintable():
                path = PurePosixPath(text)
                is_inside = not path.is_absolute() and ".." not in path.parts and path.parts
                if is_inside and path.suffix != ".py" and _may_be_data(source, path):
                    yield path.as_posix()


def _may_be_data(source: Path, path: PurePosixPath) -> bool:
    """True for what a trial can be given: no hidden file, which may hold secrets, and no pipe."""
    is_plain = all(PART.fullmatch(part) for part in path.parts)
    return is_plain and ((source / path).is_file() or (source / path).is_dir())


def _frozen_names(tree: ast.Module) -> Iterator[str]:
    """Top-level names that look like data, evaluation or seeds."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [t.id for t in targets if isinstance(t, ast.Name)]
            case _:
                continue
        yield from (name for name in names if is_off_limits(name))


def _metric(source: Path, files: list[str], wanted: str | None) -> PrintedMetric:
    """The metric that was asked for, or the likeliest."""
    printed: list[PrintedMetric] = []
    for path in files:
        if path.endswith(".py"):
            printed += printed_metrics(text_of(source / path))
    printed.sort(key=PrintedMetric.worth, reverse=True)
    if wanted is not None:
        known = next((one for one in printed if one.name == wanted), None)
        return known or PrintedMetric(wanted, 0, "", is_repeated=False)
    if not printed:
        raise OnboardingError(
            f"{source / files[0]} has no print of the form `name: value`. The search reads the "
            "score from what the script prints. Add a last line such as "
            'print(f"val_loss: {loss}"), '
            "or name what it prints: `evolve init --from FOLDER --metric NAME`."
        )
    best = printed[0]
    is_repeated = any(one.is_repeated for one in printed if one.name == best.name)
    return replace(best, is_repeated=is_repeated)


def _relative(source: Path, target: Path) -> str:
    """``source`` as the settings in ``target`` name it."""
    here, there = target.resolve(), source.resolve()
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else str(there)


def _settings_text(task: Mapping[str, Any], metric: PrintedMetric) -> str:
    """``evolve.toml``, with a word on each key."""
    seen = f"printed in line {metric.line}" if metric.line else "not seen in a print of the script"
    remarks = {
        "files": "the genome: what evolves; the first is what a trial starts",
        "metric": f"{seen}; read from the output as `name: value`",
        "direction": "minimize or maximize",
        "pattern": "finds the metric in a line of output",
        "pattern_use": "only: one value; last: the last of several",
        "time_limit": "wall seconds of one trial; then it is ended and has no score",
        "data": "lie beside the script in every trial, and never change",
        "folder": "where the files and the data are; nothing is written there",
    }
    entry = shlex.quote(task["files"][0])
    lines = [
        "# A search over a script of your own. Check what [task] says before the first run.",
        "",
        "[task]",
        *(f"{key} = {_toml(value)}  # {remarks[key]}" for key, value in task.items()),
        f"# command = {_toml(f'python {entry}')}  # another interpreter or further flags",
        '# seed_variable = "EVORESEARCH_SEED"  # the variable of the environment with the seed',
        'scoring = "reported"  # the script computes its own score, and is believed',
        "",
        "[limits]",
        "trials = 24  # offspring, and then the verdict; --hours and --trials say otherwise",
        "",
        "[baseline]",
        "repeats = 4  # runs of the script as it is, which tell the noise",
        "",
        "[operators]  # how often each is asked, relative to the others",
        "literal = 0.6  # numbers: assignments, keyword arguments, defaults, loops",
        "knob = 0.2  # top-level ALL_CAPS constants",
        "merge = 0.1  # two parents by a three-way merge",
        "guided = 0.3  # one parent, with edits from the whole archive that seem to help",
        "structure = 0.0  # edits of the code; made for models in torch, may change what measures",
    ]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """A literal of TOML: those of JSON, in what settings need."""
    return json.dumps(value, ensure_ascii=False)


def _assumed(task: Mapping[str, Any], metric: PrintedMetric, found: _Found) -> Iterator[str]:
    better = "lower" if task["direction"] == "minimize" else "higher"
    where = f"line {metric.line}" if metric.line else "not seen in the script, as you named it"
    yield f"genome: {', '.join(found.files)}"
    yield f"metric: {metric.name} ({where}), {better} is better"
    if metric.is_repeated:
        yield "it is printed in a loop: the last value counts"
    yield f"time limit: {task['time_limit']:g} s a trial"
    yield f"data beside it: {', '.join(found.data) or 'none'}"
    yield f"kept as they are: {', '.join(found.frozen) or 'no names'}"
