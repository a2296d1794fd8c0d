"""What holds the trainers of a run: the level that settings ask for and this machine can keep.

Which levels work here is found out by ``evolution.sandbox.levels``, by trying them. Here it is
decided which one a run gets, and a run without any box is refused unless it was allowed by name.
"""

import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from evolution.config import EvolutionConfig
from evolution.sandbox.levels import Level, LevelReport, find_level, works
from population.errors import EvolveError
from population.untrusted import one_line

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


class ContainmentError(EvolveError):
    """The box that was asked for does not work here, or there is none and that was not allowed."""


def choose_level(
    config: EvolutionConfig,
    *,
    allow_unsafe: bool,
    find: Callable[[], LevelReport] = find_level,
    reason_against: Callable[[Level], str] = works,
) -> Level:
    """The level that every trainer of a run gets.

    Args:
        config: Of the run; ``sandbox.level`` is ``auto`` or the level that must be kept.
        allow_unsafe: True if trainers may run without a box, where nothing better works.
        find: Finds the strongest level that works here.
        reason_against: "" if a level works here, else why it does not.

    Raises:
        ContainmentError: In three parts.
    """
    asked = config.sandbox.level
    report = None if asked != "auto" else find()
    level = Level(asked) if report is None else report.level
    if level is Level.BASIC:
        if not allow_unsafe:
            raise ContainmentError(_refusal(report))
        return level
    reason = reason_against(level) if report is None else ""
    if reason:
        raise ContainmentError(
            f"[sandbox] level is {level.value!r}, which does not work here: "
            f"{one_line(reason, 300)}. A run keeps the level that its settings name. {remedy()} "
            'Or set level = "auto" to take the strongest that works.'
        )
    return level


def remedy() -> str:
    """What would give this machine a stronger level, in a sentence."""
    if platform.system() != "Linux":
        return "Boxes need Linux: run in a virtual machine or a container."
    if shutil.which("bwrap") is None:
        return "Install bubblewrap, e.g. `apt install bubblewrap`."
    if _is_restricted():
        return (
            "AppArmor keeps user namespaces from programs without a profile: load one for bwrap, "
            "e.g. `apt install apparmor-profiles` and enable its bwrap-userns-restrict."
        )
    return (
        "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1; in a "
        "container, a seccomp profile that permits them), or use a kernel with Landlock."
    )


def _is_restricted() -> bool:
    try:
        return _APPARMOR.read_text(encoding="ascii").strip() == "1"
    except (OSError, UnicodeDecodeError):
        return False


def _refusal(report: LevelReport | None) -> str:
    needed = (
        "What a model wrote is hostile until proven otherwise, so trainers need a box: they could "
        "read your files and keys, and forge scores."
    )
    way = "Or go on without one, with --allow-unsafe; every table will say so."
    if report is None:
        found = "[sandbox] level is 'basic', which is no box at all"
        return f'{found}. {needed} Set level = "auto". {way}'
    reasons = "; ".join(
        f"{level.value}: {one_line(reason, 300)}"
        for level, reason in report.reasons.items()
        if reason
    )
    return f"No box works here ({reasons}). {needed} {remedy()} {way}"
