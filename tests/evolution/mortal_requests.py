"""``python -m tests.evolution.mortal_requests RUN``: an engine that kills itself.

It dies of SIGKILL when it has done what the first request asked, before it could note so.
"""

import os
import signal
import sys
from pathlib import Path

from population import RunPaths
from tests.evolution.runs import an_engine


def main(folder: Path) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with an_engine(RunPaths(folder)) as (engine, workspace, _):
        workspace.store.settle_request = die
        engine.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
