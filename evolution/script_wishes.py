"""Wishes: what a user says of a script of their own beside its folder."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wishes:
    """What `evolve init --from` was told; None where it shall be guessed.

    Attributes:
        script: The file that a trial starts, by its path in the folder.
        metric: Name of the number that the script prints.
        direction: ``minimize`` or ``maximize``.
        time_limit: Wall seconds of one trial.
    """

    script: str | None = None
    metric: str | None = None
    direction: str | None = None
    time_limit: float = 300.0
