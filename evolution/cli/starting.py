"""``evolve init``: writes the files that a project of one's own begins with."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from evolution.cli.options import say
from population import EvolveError

_FILES = ("evolve.toml", "program.md", "prepare.py", "train.py")


class InitError(EvolveError):
    """The files cannot be written there."""


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")] = Path(),
    profile: Annotated[
        str, typer.Option(help="Sizes and data: tiny (tests), cpu or gpu (autoresearch's own).")
    ] = "cpu",
) -> None:
    """Write evolve.toml, program.md, prepare.py, train.py and its seeds, to be changed at will.

    Examples:
      evolve init
      evolve init night --profile gpu
    """
    from evolution.templates import SEEDS

    files = _files(profile)
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        raise InitError(
            f"{folder / taken[0]} is there already. `evolve init` writes {', '.join(_FILES)} and a "
            "folder of seeds, and replaces none of them. Move it away, or choose another folder: "
            "`evolve init FOLDER`."
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
        with contextlib.suppress(OSError):  # only if it is empty now
            (folder / SEEDS).rmdir()
        raise InitError(
            f"The files could not be written to {folder}: {error.strerror or error}. A folder that "
            "can be written is needed. Choose another: `evolve init FOLDER`."
        ) from None
    for path in written:
        typer.echo(path)
    here = "" if folder == Path() else f"cd {folder} && "
    say(f"next: {here}evolve run")


def _files(profile: str) -> dict[str, str]:
    """Texts by name, with the sizes of the profile."""
    import tomlkit

    from evolution.profiles import load_profile
    from evolution.seeds import at_sizes
    from evolution.templates import SEEDS, seed_paths, template_path
    from population import set_knobs

    files = {name: template_path(name).read_text(encoding="utf-8") for name in _FILES}
    shipped, sizes = files["train.py"], load_profile(profile).knobs
    settings = tomlkit.parse(files["evolve.toml"])
    settings.setdefault("run", tomlkit.table())["profile"] = profile
    files["evolve.toml"] = tomlkit.dumps(settings)
    files["train.py"] = set_knobs(shipped, sizes)
    for path in seed_paths():
        files[f"{SEEDS}/{path.name}"] = at_sizes(path.read_text(encoding="utf-8"), shipped, sizes)
    return files
