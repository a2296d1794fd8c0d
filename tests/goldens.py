"""Golden files: texts that people read, kept beside the tests and read again in review."""

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
REWRITE = "EVORESEARCH_GOLDEN"


def assert_golden(name: str, text: str) -> None:
    """Fail with the difference unless ``text`` is what ``tests/golden/NAME`` holds."""
    file = FOLDER / name
    if os.environ.get(REWRITE):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return
    kept = file.read_text(encoding="utf-8") if file.exists() else ""
    difference = difflib.unified_diff(
        kept.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm=""
    )
    assert text == kept, "\n".join([*difference, "", "If this is meant: make golden"])
