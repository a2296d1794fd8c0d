"""Seeds: hand-written variants, one idea a file, that enter a run as children of the baseline.

Finds and reads the files, and fits them to a profile's sizes. Knows nothing of stores and commits:
a seed of the folder goes into a run by the same door as one that `evolve seed` hands in.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from evolution.profiles import load_profile, profile_names
from evolution.script_task import text_of
from evolution.templates import seed_paths, template_path
from population import MAIN, Genome, KnobValue, canonical_hash, knobs, set_knobs
from population.errors import EvolveError

#: The setting's default: a folder beside train.py, or else the shipped one.
DEFAULT_FOLDER = "seeds"
#: Of the trials that a run may spend on offspring, at most this share goes to its seeds.
SEED_SHARE = 0.5
_IDEA = re.compile(r"\ufeff?#\s*idea:(.*)", re.IGNORECASE)


class SeedError(EvolveError):
    """A file that cannot become a variant of the run."""


class Titled(NamedTuple):
    """The text of a genome, and the idea that stood above it; "" if none did."""

    idea: str
    text: str


@dataclass(frozen=True, slots=True)
class Seed:
    """One hand-written variant, read and fitted.

    Attributes:
        source: Its file, for people.
        idea: What was changed and why it should help: one line.
        text: Its ``train.py``, without the line of the idea.
    """

    source: str
    idea: str
    text: str

    @property
    def as_file(self) -> str:
        """Its text with the idea's line above, so that line numbers are those of the file."""
        return f"# Idea: {self.idea}\n{self.text}"


def read_idea(text: str) -> Titled:
    """Take the idea off the first line: ``# Idea: …``.

    It becomes the commit's message. In the genome it would be a line that every two seeds differ
    in, and no two of them could be merged.
    """
    first, _, rest = text.partition("\n")
    found = _IDEA.fullmatch(first.rstrip("\r"))
    return Titled(found[1].strip(), rest) if found else Titled("", text)


def at_sizes(text: str, start: str, sizes: Mapping[str, KnobValue]) -> str:
    """A seed of ``start`` at a profile's sizes: it keeps what it changed.

    A size that the seed left alone becomes the profile's. One that it changed is changed there in
    the same proportion: half the layers stay half the layers.
    """
    own, before = knobs(text), knobs(start)
    shared = [name for name in sizes if name in own and name in before]
    return set_knobs(text, {name: _size(own[name], before[name], sizes[name]) for name in shared})


def _size(own: KnobValue, before: KnobValue, size: KnobValue) -> KnobValue:
    if own == before:
        return size
    match own, before, size:
        case bool(), _, _:
            return own
        case int(), int(), int() if before:
            return max(1, round(size * own / before))
        case float(), float(), float() if before:
            return size * own / before
    return own


def find_seeds(
    project: Path | None,
    setting: str,
    *,
    baseline: str,
    sizes: Mapping[str, KnobValue],
    report: Callable[[str], None],
) -> list[Seed]:
    """The seeds of a project, in the order of their names; none if the setting is "".

    Args:
        project: The folder of the baseline; None for the shipped one.
        setting: The folder of the seeds, beside the baseline.
        baseline: Text of the project's ``train.py``, before it took the profile's sizes.
        sizes: What the shipped ``train.py`` takes from the profile. Its seeds take them with it.
        report: Told of what is left out.

    Raises:
        SeedError: There is no such folder, a file cannot be read, or it says no idea.
    """
    shipped = template_path(MAIN).read_text(encoding="utf-8")
    paths = _seed_files(project, setting, has_shipped_genome=baseline == shipped)
    if paths is None:
        report(f"no seeds: this train.py is not the shipped one and has no folder {setting}")
        return []
    seeds = [_read(path) for path in paths]
    if baseline == shipped:
        return [replace(seed, text=at_sizes(seed.text, shipped, sizes)) for seed in seeds]
    return _without_foreign(seeds, baseline, shipped, report)


def _without_foreign(
    seeds: Sequence[Seed], baseline: str, shipped: str, report: Callable[[str], None]
) -> list[Seed]:
    """Leave out shipped seeds of another genome: they would undo what this one changed."""
    foreign = {text for start, text in _shipped_seeds(shipped) if start != baseline}
    own = [seed for seed in seeds if seed.text not in foreign]
    if len(own) < len(seeds):
        report(
            f"{len(seeds) - len(own)} shipped seeds are left out: this train.py is no longer the "
            "one that they change"
        )
    return own


def _seed_files(
    project: Path | None, setting: str, *, has_shipped_genome: bool
) -> list[Path] | None:
    """None if only the shipped ones could be meant, and they are seeds of another genome."""
    if not setting:
        return []
    folder = (project or Path()) / Path(setting).expanduser()
    if project is not None and folder.is_dir():
        return sorted(folder.glob("*.py"))
    if setting != DEFAULT_FOLDER:
        raise SeedError(
            f"There is no folder {folder}, which the setting population.seeds names. A folder of "
            'train.py files is needed. Make it, or set population.seeds to "" for a run without '
            "seeds."
        )
    return seed_paths() if has_shipped_genome else None


def _shipped_seeds(shipped: str) -> Iterator[tuple[str, str]]:
    """The shipped genome and each shipped seed of it, at the sizes of every profile."""
    for profile in map(load_profile, profile_names()):
        start = set_knobs(shipped, profile.knobs)
        for path in seed_paths():
            yield start, at_sizes(_read(path).text, shipped, profile.knobs)


def fitted(text: str, baseline: str, sizes: Mapping[str, KnobValue]) -> str:
    """A file handed to a run; one of the shipped seeds takes the sizes of a shipped baseline."""
    shipped = template_path(MAIN).read_text(encoding="utf-8")
    is_shipped_seed = text in {_read(path).text for path in seed_paths()}
    if not is_shipped_seed or baseline != set_knobs(shipped, sizes):
        return text
    return at_sizes(text, shipped, sizes)


def entering(seeds: Sequence[Seed], *, trials: int) -> list[Seed]:
    """Those that a run of so many offspring trials has room for, in order; 0 is no limit."""
    return list(seeds[: int(SEED_SHARE * trials)] if trials else seeds)


def check_distinct(seeds: Sequence[Seed], baseline: Genome) -> None:
    """Refuse a seed that is the baseline or another seed again.

    Raises:
        SeedError: In three parts.
    """
    known = {canonical_hash(baseline): "the baseline"}
    for seed in seeds:
        genome_hash = canonical_hash(baseline.with_main(seed.text))
        if genome_hash in known:
            raise SeedError(
                f"{seed.source} is the same genome as {known[genome_hash]}, comments and layout "
                "aside. Every seed must differ from the baseline and from the other seeds. Change "
                "it or take it away; `evolve run --no-seeds` starts without any."
            )
        known[genome_hash] = seed.source


def read_file(path: Path) -> str:
    """The text of a file that somebody wrote.

    Raises:
        SeedError: It cannot be read, or is no text.
    """
    try:
        return text_of(path)
    except UnicodeDecodeError as error:
        found = f"{path} is not UTF-8 text: {error}"
    except OSError as error:
        found = f"{path} cannot be read: {error.strerror or error}"
    raise SeedError(
        f"{found}. A train.py that was changed is needed. Name such a file, or take this one "
        "out of the folder of seeds."
    )


def _read(path: Path) -> Seed:
    idea, text = read_idea(read_file(path))
    if not idea:
        raise SeedError(
            f"{path}, line 1, says no idea. A seed begins with one line that says what was changed "
            "and why it should help: it becomes the commit's message. Write it above the rest: "
            "# Idea: …"
        )
    return Seed(str(path), idea, text)
