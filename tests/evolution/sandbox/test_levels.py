"""The self-test finds what works, and says why the rest does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evolution.sandbox import levels, visible
from evolution.sandbox.levels import Level, find_level, works
from tests.evolution.sandbox.confined import need


@pytest.fixture(autouse=True)
def _fresh():
    yield
    works.cache_clear()
    find_level.cache_clear()


def test_the_strongest_level_that_works_is_found():
    report = find_level()
    assert works(report.level) == "" or report.level is Level.BASIC
    stronger = list(Level)[: list(Level).index(report.level)]
    assert all(report.reasons[level] for level in stronger)


def test_without_bubblewrap_the_next_level_is_found_with_the_reason(monkeypatch, tmp_path):
    need("landlock")
    monkeypatch.setenv("PATH", str(tmp_path))
    works.cache_clear()
    find_level.cache_clear()
    report = find_level()
    assert report.level is Level.LANDLOCK
    assert "not installed" in report.reasons[Level.NAMESPACE]


def test_a_box_with_a_hole_is_not_believed(monkeypatch):
    need("namespace")
    works.cache_clear()
    build = levels.bubblewrap.box_command
    leaky = {"readable": ("/",), "workspace_bytes": None}
    monkeypatch.setattr(
        levels.bubblewrap, "box_command", lambda *a, **k: build(*a, **{**k, **leaky})
    )
    monkeypatch.setattr(levels, "system_readable", lambda: ("/",))
    assert "can read a file outside: it succeeded" in works("namespace")


def test_refused_user_namespaces_are_said_in_words(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text(
        "#!/bin/sh\n"
        'test "$1" = --help && echo --unshare-user --size --remount-ro --die-with-parent --cap-drop'
        " && exit 0\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    switch = tmp_path / "switch"
    monkeypatch.setattr(levels, "_APPARMOR_SWITCH", switch)
    works.cache_clear()
    assert works("namespace").startswith("user namespaces are refused here")
    switch.write_text("1\n")
    works.cache_clear()
    assert works("namespace").startswith("AppArmor refuses user namespaces")


def test_elsewhere_only_basic_is_left(monkeypatch):
    monkeypatch.setattr(levels, "_IS_LINUX", False)
    works.cache_clear()
    find_level.cache_clear()
    report = find_level()
    assert report.level is Level.BASIC
    assert all("needs Linux" in report.reasons[Level(name)] for name in ("namespace", "landlock"))


def test_the_command_prints_what_was_found():
    command = [sys.executable, "-m", "evolution.sandbox.levels", "--json"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(printed.stdout) == find_level().to_dict()


def test_no_private_folder_is_shown_whole(monkeypatch, tmp_path):
    home = tmp_path / "home"
    project = visible.PACKAGE_ROOT
    for folder in (home / ".ssh", home / "lib"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    extra = [str(home), str(home / ".ssh"), str(home / "lib"), "/run", "/tmp", "/", str(project)]
    monkeypatch.setattr(sys, "path", ["", *extra, *sys.path])
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{home}:/run/secrets:{home / 'lib'}")
    shown = set(visible.system_readable())
    assert str(home / "lib") in shown
    assert shown.isdisjoint({*extra, "/run/secrets", "/etc", "/root"} - {str(home / "lib")})
    assert {str(project / "evolution/__init__.py"), str(project / "evolution/sandbox")} <= shown
    assert all(Path(path).exists() for path in shown)
