"""Folders of a genome are counted and removed whatever it made of them."""

import os
from pathlib import Path

import pytest

from evolution.sandbox.usage import MORE_THAN_ANY, remove_folder, written_bytes


def nest(folder: Path, depth: int, name: str = "d") -> None:
    """Folders in folders, made one below the other: no path is long enough for the last."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    descriptor = os.open("last", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(descriptor, bytes(1 << 16))
    os.close(descriptor)
    os.close(here)


@pytest.mark.parametrize(("depth", "name"), [(1500, "d"), (40, "n" * 250)])
def test_folders_of_any_depth_are_removed(tmp_path, depth, name):
    folder = tmp_path / "box"
    folder.mkdir()
    nest(folder, depth, name)
    remove_folder(folder)
    assert list(tmp_path.iterdir()) == []


def test_what_was_locked_up_is_removed_and_what_a_link_names_is_not(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = tmp_path / "box"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/c").touch()
    (folder / "link").symlink_to(outside)
    (folder / "a/b").chmod(0)
    (folder / "a").chmod(0o300)
    remove_folder(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "kept").exists()
    remove_folder(folder)  # again, when there is nothing


def test_what_is_written_is_counted_below_names_too_long_for_a_path(tmp_path):
    nest(tmp_path, 40, "n" * 250)
    assert 1 << 16 <= written_bytes(tmp_path) < MORE_THAN_ANY
    assert written_bytes(tmp_path / "nowhere") == 0


def test_a_flood_of_entries_or_of_levels_counts_as_more_than_any_limit(tmp_path):
    deep, wide = tmp_path / "deep", tmp_path / "wide"
    deep.mkdir()
    wide.mkdir()
    nest(deep, 100)
    assert written_bytes(deep) >= MORE_THAN_ANY
    for number in range(20_001):
        (wide / str(number)).symlink_to("x")
    assert written_bytes(wide) >= MORE_THAN_ANY
    remove_folder(deep)
