"""Every command of a guide is run: the ``sh`` blocks, in order, in one shell, in an empty folder.

A guide whose commands need something that is not there yet (a run, a data file) names a function in
``PREPARE``. The command ``evolve`` is the real one, but trains nothing: `run` is a rehearsal of the
``tiny`` profile. Fences without ``sh`` are shown, not run; `tests/test_docs.py` still checks their
verbs and flags.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evolution.workspace import DRY_RUN, create_run
from population import RunState, Store
from tests.evolution.runs import settings
from tests.small_run import a_small_run

ROOT = Path(__file__).parents[2]
GUIDES = [*sorted((ROOT / "docs" / "guides").glob("*.md")), ROOT / "README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EVOLVE = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from evolution.cli import main
words = sys.argv[1:]
if words[:1] == ["run"] and "--help" not in words:
    words += [w for w in ("--dry-run",) if w not in words]
    words += [] if "--profile" in words else ["--profile", "tiny"]
    words = [w for w in words if w not in ("--hours", "8")]
    words += [] if "--trials" in words else ["--trials", "2"]
    words += [] if "--workers" in words else ["--workers", "2"]
sys.exit(main(words))
"""


def a_paused_run(folder: Path) -> None:
    """``mine/runs/week``: a rehearsal that has not been finished."""
    config = settings(limits__trials=2, verdict__depths=[1.0], verdict__pairs=2)
    paths = create_run(folder / "mine" / "runs", config, name="week")
    with Store.open(paths.database) as store:
        store.set_fact(DRY_RUN, True)
        store.update_run(state=RunState.PAUSED)


def a_paused_night(folder: Path) -> None:
    """``runs/night-1``: a few variants of made-up scores."""
    a_small_run(folder / "runs", state=RunState.PAUSED)


def files_to_search_with(folder: Path) -> None:
    """A text, and a script that knows nothing of us."""
    words = "It is the duty of the Congress to see that the union endures, and so on. "
    (folder / "essays.txt").write_text("\n".join(f"Letter {n}. {words * 20}" for n in range(200)))
    (folder / "my-script").mkdir()
    (folder / "my-script" / "fit.py").write_text("rate = 0.5\nprint('loss:', (rate - 0.1) ** 2)\n")


#: By name of a guide: what must be in the folder before its first command.
PREPARE: dict[str, Callable[[Path], None]] = {
    "README.md": files_to_search_with,
    "people.md": a_paused_night,
    "writing-a-seed.md": a_paused_run,
}


def commands_of(page: Path) -> str:
    """The ``sh`` blocks of a page, one after the other."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return "\n".join(text for language, text in blocks if language == "sh")


def with_commands() -> list[Path]:
    return [page for page in GUIDES if commands_of(page)]


@pytest.mark.slow
@pytest.mark.timeout(600)  # some ten processes, each of which loads the libraries anew
@pytest.mark.parametrize("guide", with_commands(), ids=lambda page: page.name)
def test_every_command_of_a_guide_works(guide: Path, tmp_path: Path):
    tools, folder = tmp_path / "tools", tmp_path / "folder"
    tools.mkdir()
    folder.mkdir()
    (tools / "evolve").write_text(EVOLVE)
    (tools / "evolve").chmod(0o755)
    PREPARE.get(guide.name, lambda _: None)(folder)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", commands_of(guide)],
        cwd=folder,
        env={**os.environ, "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_hook_belongs_to_a_guide_that_has_commands():
    assert set(PREPARE) <= {page.name for page in with_commands()}
