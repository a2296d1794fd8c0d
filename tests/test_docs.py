"""The documents keep their word: links lead somewhere, commands exist, pages match the code."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from evolution.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if "<!-- Written by" not in path.read_text(encoding="utf-8")
)
LINK = re.compile(r"\]\(([^)#\s]+)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_in_a_document_has_its_verb_and_flags(page):
    verbs = get_command(app).commands
    for line in commands_of(page):
        words = shlex.split(line, comments=True)
        verb = verbs[words[1]]
        known = {name for parameter in verb.params for name in parameter.opts} | {"--help"}
        assert {w for w in words[2:] if w.startswith("--")} <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_make_target_in_a_document_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert {a or b for a, b in named} <= targets


def test_the_generated_pages_match_the_code():
    done = subprocess.run(
        [sys.executable, "docs/build.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_file_of_the_tree_in_the_readme_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.split("## The tree")[1].split("```")[1]
    for line in tree.strip().splitlines():
        assert (ROOT / line.split()[0]).exists(), line


def commands_of(page: Path) -> list[str]:
    """The ``evolve`` commands in a page's blocks."""
    blocks = [text for language, text in BLOCK.findall(page.read_text()) if language in ("", "sh")]
    lines = [line for block in blocks for line in block.splitlines()]
    parts = [part.strip(" ()") for line in lines for part in line.split("#")[0].split("&&")]
    return [part for part in parts if part.startswith("evolve ")]
