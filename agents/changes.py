"""Changes: what one genome has that another has not, as a unified diff. Pure."""

import difflib

from population import Genome


def changes(before: Genome, after: Genome, name: str = "parent") -> str:
    """The diff from ``before``, which it calls ``name``, to ``after``; empty if they are alike."""
    return "".join(
        line if line.endswith("\n") else f"{line}\n"
        for path in sorted({*before.files, *after.files})
        for line in difflib.unified_diff(
            before.files.get(path, "").splitlines(keepends=True),
            after.files.get(path, "").splitlines(keepends=True),
            f"{name}/{path}",
            path,
        )
    )
