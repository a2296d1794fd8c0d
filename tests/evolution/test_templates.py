"""What a wheel carries is found there, away from the checkout."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
from pathlib import Path
from evolution.templates import TEMPLATES, seed_paths, template_path
for path in (*map(template_path, TEMPLATES), *seed_paths()):
    print(path)
"""


def test_a_built_package_holds_the_templates_and_the_seeds(tmp_path):
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = [Path(line) for line in done.stdout.splitlines()]
    assert {path.parents[len(path.parts) - len(tmp_path.parts) - 1] for path in found} == {tmp_path}
    shipped = sorted((ROOT / "seeds").glob("*.py"))
    assert [path.read_bytes() for path in found[-len(shipped) :]] == [
        path.read_bytes() for path in shipped
    ]
