"""Where trials run: one protocol, a local executor and its scripted twin.

A table of contents: names resolve when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolution.executors.local import LocalExecutor, YardstickError
    from evolution.executors.orphans import sweep_orphans
    from evolution.executors.protocol import (
        Event,
        Executor,
        Finished,
        Job,
        Reported,
        SnapshotTaken,
        Started,
    )
    from evolution.executors.scripted import Performance, ScriptedExecutor
    from evolution.executors.site import Limits, Site, Slot, cpu_slots, gpu_slots

_HOMES = {
    "local": "LocalExecutor YardstickError",
    "orphans": "sweep_orphans",
    "protocol": "Event Executor Finished Job Reported SnapshotTaken Started",
    "scripted": "Performance ScriptedExecutor",
    "site": "Limits Site Slot cpu_slots gpu_slots",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Event",
    "Executor",
    "Finished",
    "Job",
    "Limits",
    "LocalExecutor",
    "Performance",
    "Reported",
    "ScriptedExecutor",
    "Site",
    "Slot",
    "SnapshotTaken",
    "Started",
    "YardstickError",
    "cpu_slots",
    "gpu_slots",
    "sweep_orphans",
]


def __getattr__(name: str) -> object:
    """Load the module that owns ``name``, once."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'evolution.executors' has no attribute {name!r}")
    value: object = getattr(import_module(f"evolution.executors.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
