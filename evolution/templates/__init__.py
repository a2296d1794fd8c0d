"""Templates: the files that a run starts from. Finds them; knows nothing of what they say."""

from pathlib import Path

TEMPLATES = ("prepare.py", "train.py", "program.md", "evolve.toml")
SEEDS = "seeds"


def template_path(name: str) -> Path:
    """Where a file that runs start from lies: beside this module in a wheel, else the checkout.

    Raises:
        FileNotFoundError: If it is in neither place: the installation is broken.
    """
    here = Path(__file__).parent
    for folder in (here, here.parents[1]):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"The template {name} is neither in {here} nor in {here.parents[1]}. An installation holds "
        f"{', '.join(TEMPLATES)}. Install evoresearch again."
    )


def project_file(project: Path | None, name: str) -> Path:
    """The project's own file of this name; where there is none, the shipped one."""
    own = project / name if project else None
    return own if own and own.is_file() else template_path(name)


def own_settings(config: Path | None) -> Path | None:
    """The settings that are meant: those named, or ``./evolve.toml``; None for the shipped ones."""
    here = Path("evolve.toml")
    return config if config is not None else here if here.exists() else None


def seed_paths() -> list[Path]:
    """The shipped hand-written variants, in the order of their names.

    Raises:
        FileNotFoundError: There are none: the installation is broken.
    """
    here = Path(__file__).parent
    for folder in (here, here.parents[1]):
        found = sorted((folder / SEEDS).glob("*.py"))
        if found:
            return found
    raise FileNotFoundError(
        f"The folder {SEEDS} is neither in {here} nor in {here.parents[1]}. An installation holds "
        "hand-written variants there. Install evoresearch again."
    )
