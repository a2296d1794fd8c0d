import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_keep_to_the_layers():
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert program is not None, "import-linter is part of the dev extra: pip install -e '.[dev]'"
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_command_line_answers_without_loading_torch_or_the_statistics():
    code = (
        "import sys; from evolution.cli.app import app; from typer.main import get_command;"
        "get_command(app); print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"torch", "numpy", "scipy", "pandas", "matplotlib", "sqlalchemy", "git", "libcst"}
    assert not heavy & set(done.stdout.split())
