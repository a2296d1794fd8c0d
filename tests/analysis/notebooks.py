"""Runs the notebooks as their readers do. ``make notebooks`` keeps what they show."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "analysis" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
_KERNEL = "this-interpreter"


def run_notebook(path: Path, folder: Path) -> Any:
    """The notebook, run top to bottom in ``folder`` by the interpreter that runs this."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="nb-") as place:
        _install_kernel(Path(place) / "kernels" / _KERNEL)
        places = dict.fromkeys(("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"), place)
        with patch.dict(os.environ, places):
            client = NotebookClient(
                notebook,
                kernel_name=_KERNEL,
                timeout=120,
                resources={"metadata": {"path": str(folder)}},
                store_widget_state=False,
            )
            client.execute()
    return notebook


def keep_outputs(path: Path, notebook: Any) -> None:
    """Write a notebook with what it shows, and nothing of when and where it ran."""
    notebook.metadata = nbformat.read(path, as_version=4).metadata
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            output.pop("metadata", None)
            if "data" in output:
                output["metadata"] = {}
    text = nbformat.writes(notebook, indent=1)
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _install_kernel(folder: Path) -> None:
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    command += ["--log-level=ERROR"]
    spec = {"argv": command, "display_name": _KERNEL, "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def main() -> None:
    """Run every notebook and keep what it shows."""
    for path in NOTEBOOKS:
        keep_outputs(path, run_notebook(path, path.parent))


if __name__ == "__main__":
    main()
