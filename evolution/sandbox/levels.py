"""Which containment works on this machine: each box is built and tried, never guessed.

``python -m evolution.sandbox.levels --json`` says it. Standard library only.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from evolution.sandbox import bubblewrap, landlock, seccomp
from evolution.sandbox.confinement import Policy, system_listable, system_readable
from evolution.sandbox.visible import PACKAGE_ROOT

_PROBE_SECONDS = 30.0
_WORKSPACE_BYTES = 1 << 20
_IS_LINUX = sys.platform.startswith("linux")
_APPARMOR_SWITCH = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


class Level(StrEnum):
    """How a genome is contained, the strongest first."""

    NAMESPACE = "namespace"
    LANDLOCK = "landlock"
    BASIC = "basic"


@dataclass(frozen=True)
class LevelReport:
    """What the self-test found.

    Attributes:
        level: The strongest level that works here.
        reasons: Why a level does not work; "" for one that does. Levels weaker than the one that
            was found are not tried, and not named.
        has_landlock: Whether Landlock is there to stand behind the mounts of ``namespace``.
    """

    level: Level
    reasons: Mapping[Level, str] = field(default_factory=dict)
    has_landlock: bool = False

    def to_dict(self) -> dict[str, object]:
        """The report as JSON has it."""
        return {
            "level": str(self.level),
            "has_landlock": self.has_landlock,
            "reasons": {str(level): reason for level, reason in self.reasons.items()},
        }


@functools.cache
def find_level() -> LevelReport:
    """The strongest level that works, by building boxes and trying to get out of them.

    A box is a child process, and takes about 0.2 s. The answer is kept for this process.
    """
    reasons: dict[Level, str] = {}
    for level in Level:
        reasons[level] = works(level)
        if not reasons[level]:
            break
    # ``basic`` is what is left, whatever the test of it says.
    return LevelReport(level, reasons, has_landlock=not landlock.why_missing())


@functools.cache
def works(level: Level | str) -> str:
    """Why a level does not work here; "" if it does."""
    level = Level(level)
    if reason := _why_impossible(level):
        return reason
    if not _IS_LINUX:
        return ""  # resource limits alone, which need no proof
    with tempfile.TemporaryDirectory(prefix="evolve-level-") as folder:
        return _probe(level, Path(folder))


def _why_impossible(level: Level) -> str:
    """What is plainly missing, without any test."""
    if level is Level.BASIC:
        return ""
    if not _IS_LINUX:
        return f"it needs Linux, and this is {sys.platform}"
    missing = landlock.why_missing() if level is Level.LANDLOCK else bubblewrap.why_missing()
    return missing or seccomp.why_missing()


def _probe(level: Level, folder: Path) -> str:
    """Build the box, run the attempts in it, and say what is wrong."""
    workspace = folder / "workspace"
    workspace.mkdir()
    (folder / "secret").write_text("planted", encoding="utf-8")
    targets = {
        "secret": str(folder / "secret"),
        "outside": str(folder / "outside"),
        "pid": str(os.getpid()),
    }
    try:
        answer = subprocess.run(
            _probe_command(level, workspace, targets),
            cwd=workspace,
            env={"PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"the box does not start: {error}"
    return _judge(level, answer)


def _probe_command(level: Level, workspace: Path, targets: Mapping[str, str]) -> list[str]:
    policy = Policy(
        level=level,
        readable=system_readable(),
        writable=(str(workspace),),
        listable=system_listable(),
    )
    module = [sys.executable, "-P", "-s", "-B", "-m", "evolution.sandbox.level_probe"]
    return bubblewrap.box_command(
        level,
        [*module, json.dumps(policy.to_dict()), json.dumps(targets)],
        readable=policy.readable,
        workspace=str(workspace),
        workspace_bytes=_WORKSPACE_BYTES,
    )


def _judge(level: Level, answer: "subprocess.CompletedProcess[str]") -> str:
    try:
        findings = json.loads(answer.stdout)
    except ValueError:
        return _explain(answer.stderr, answer.returncode)
    # What ``basic`` does not close is known; that honest work goes on there is what is tested.
    wrong = {
        name: finding
        for name, finding in findings.items()
        if finding and (level is not Level.BASIC or not name.startswith("can "))
    }
    return "; ".join(f"a program in the box {name}: {finding}" for name, finding in wrong.items())


def _explain(stderr: str, code: int) -> str:
    """Why a box did not even answer, in words for who can change it."""
    lines = stderr.strip().splitlines()
    last = lines[-1] if lines else f"the box ended with code {code} and said nothing"
    if "bwrap" not in last:
        return last
    if _first_word(_APPARMOR_SWITCH) == "1":
        return (
            "AppArmor refuses user namespaces to programs without a profile: "
            f"install Ubuntu's profile for bwrap, or ask an administrator ({last})"
        )
    if _first_word(_USER_NAMESPACES) == "0":
        return f"user namespaces are switched off: user.max_user_namespaces is 0 ({last})"
    if "namespace" in last or "uid map" in last:
        return f"user namespaces are refused here, as in most containers ({last})"
    return last


def _first_word(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _main() -> None:
    report = find_level()
    if "--json" in sys.argv[1:]:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2) + "\n")
        return
    sys.stdout.write(f"containment level here: {report.level}\n")
    for level, reason in report.reasons.items():
        sys.stdout.write(f"  {level}: {reason or 'works'}\n")


if __name__ == "__main__":
    _main()
