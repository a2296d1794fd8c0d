"""The manual of a run of the user's own script: `program.md`, when the user wrote none."""

import json
import re
from collections.abc import Sequence

from population import Metric

_TEXT = """---
# The manual of a search: what counts, what may change, what must hold.
metric: {metric} # as the script prints it
direction: {direction}
frozen: [{frozen}] # names that offspring keep as they are: evaluation, data, seeds
---

# Manual for those who change this script

Each version of the script is a *variant*. It runs once within a time limit, and prints `{name}`,
which is its score. {better} is better. Nothing else counts, except that of two equal variants
the simpler one is the better one.

## What must hold

- What is measured stays what it is: the data, their split, and how `{name}` is computed and
  printed.
- The frozen names above keep their values.

## What helps

- One idea a variant, so that its effect can be told.
- Scores may carry noise. A difference that is smaller than the noise is not yet a gain.
"""


def script_manual(metric: Metric, frozen: Sequence[str] = ()) -> str:
    """The text of ``program.md`` for a script that prints ``metric``."""
    return _TEXT.format(
        metric=_scalar(metric.name),
        name=metric.name,
        direction=metric.direction.value,
        frozen=", ".join(map(_scalar, frozen)),
        better="Lower" if metric.direction.value == "minimize" else "Higher",
    )


def _scalar(word: str) -> str:
    """A word of YAML, in quotation marks where it would be read as something else."""
    return word if re.fullmatch(r"[A-Za-z_]\w*_\w*|[A-Za-z_]\w{5,}", word) else json.dumps(word)
