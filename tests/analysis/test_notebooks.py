"""The notebooks run top to bottom on the sample run, and are stored as they were shown."""

import base64
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.analysis.notebooks import NOTEBOOKS, run_notebook

FIGURES = {"01_progress": 5, "02_lineage": 3}


def pictures(notebook: Any) -> list[bytes]:
    """The figures that a notebook shows, as PNG."""
    return [
        base64.b64decode(output["data"]["image/png"])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_top_to_bottom_and_shows_its_figures(path: Path, tmp_path: Path):
    copy = shutil.copy(path, tmp_path)
    shown = run_notebook(Path(copy), tmp_path)
    assert len(pictures(shown)) == FIGURES[path.stem]
    texts = [output.get("text", "") for cell in shown.cells for output in cell.get("outputs", [])]
    assert not any("Traceback" in text or "Warning" in text for text in texts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_stored_notebook_shows_small_figures_and_names_no_machine(path: Path):
    stored = nbformat.read(path, as_version=4)
    assert len(pictures(stored)) == FIGURES[path.stem]
    assert all(len(picture) < 160_000 for picture in pictures(stored))
    text = re.sub(r'"image/png": "[^"]+"', "", path.read_text(encoding="utf-8"))
    assert not re.search(r"(?<![\w.…])/(?:tmp|home|root|Users|usr|opt|var|work)/", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_prose_and_calls_only(path: Path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not re.search(r"^\s*(def|class|for|if|while|with|try)\b", cell.source, re.M)
