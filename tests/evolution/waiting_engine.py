"""``python -m tests.evolution.waiting_engine RUN``: an engine that asks by batches, and waits."""

import sys
from pathlib import Path

from evolution.executors import ScriptedExecutor
from evolution.operators import built_in
from population import RunPaths
from tests.evolution.runs import an_engine, world
from tests.evolution.test_batches_end_to_end import a_staff
from tests.evolution.test_commissions import waiting


def main(folder: Path) -> None:
    executor = ScriptedExecutor(world, slot_count=2)
    with an_engine(
        RunPaths(folder), executor, operators=built_in(), after_turn=waiting, staff=a_staff
    ) as (engine, _, _):
        engine.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
