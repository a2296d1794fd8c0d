"""The command ``evolve``: one small function a verb; answers on stdout, progress on stderr."""

import sys
from collections.abc import Sequence

from population import EvolveError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and leave with its exit code: 0 done, 1 failed, 2 usage, 130 interrupted.

    A user's mistake prints its three parts alone; anything else is a bug and keeps its traceback.
    """
    from evolution.cli.app import app
    from evolution.cli.text import clean
    from evolution.keys import hidden

    try:
        with hidden():
            app(args=None if arguments is None else list(arguments), prog_name="evolve")
    except EvolveError as error:
        sys.stderr.write(f"{clean(str(error))}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
