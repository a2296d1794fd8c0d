"""``python -m tests.evolution.mortal_engine RUN REPLIES [ROLE]``: an engine that kills itself.

It dies of SIGKILL when so many replies have come, of ROLE or of anybody, before the last of them is
booked.
"""

import itertools
import os
import signal
import sys
import threading
from pathlib import Path

from evolution.executors import ScriptedExecutor
from evolution.models import Models
from evolution.operators import built_in
from evolution.staff import AgentStaff
from population import RunPaths
from tests.evolution.runs import an_engine, world


class Mortal:
    """A model whose user dies with its ``replies``-th reply in hand."""

    _numbers = itertools.count(1)
    _lock = threading.Lock()

    def __init__(self, model, replies, role):
        self._model, self._replies, self._role = model, replies, role

    @property
    def name(self):
        return self._model.name

    def reply(self, prompt):
        reply = self._model.reply(prompt)
        if self._role not in ("", prompt.role):
            return reply
        with self._lock:
            if next(self._numbers) == self._replies:
                os.kill(os.getpid(), signal.SIGKILL)
        return reply


class MortalModels(Models):
    replies, role = 0, ""

    def of(self, role):
        return Mortal(super().of(role), self.replies, self.role)


def main(folder: Path, replies: int, role: str = "") -> None:
    MortalModels.replies, MortalModels.role = replies, role

    def staff(workspace):
        settings = workspace.config.agents
        return AgentStaff(settings, workspace.store, MortalModels(settings, clock=lambda: 0.0))

    def wait(engine, _):
        if engine._commissions.in_flight:
            engine._commissions.wait(5)

    executor = ScriptedExecutor(world, slot_count=2)
    with an_engine(
        RunPaths(folder), executor, operators=built_in(), after_turn=wait, staff=staff
    ) as (engine, _, _):
        engine.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
