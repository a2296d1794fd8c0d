"""The manual of a run of the user's own script: `program.md`, when the user wrote none."""

from collections.abc import Sequence

from population import Metric

_TEXT = """---
# The manual of a search: what counts, what may change, what must hold.
metric: {name} # as the script prints it
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
        name=metric.name,
        direction=metric.direction.value,
        frozen=", ".join(frozen),
        better="Lower" if metric.direction.value == "minimize" else "Higher",
    )
