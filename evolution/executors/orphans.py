"""Orphans: processes of a run that outlived whoever should have ended them."""

import os
from collections.abc import Collection
from contextlib import suppress

import psutil

from evolution.sandbox.environment import MARKER


def sweep_orphans(
    run_id: str, trial: int | str | None = None, *, spare: Collection[int] = ()
) -> list[int]:
    """Kill every process that carries the marker of a run, and wait until it is gone.

    Args:
        run_id: The run.
        trial: Only this trial's; None means all of them.
        spare: Processes that are left alone with all their descendants.

    Returns:
        The process ids that were killed.
    """
    prefix = f"{run_id}/" if trial is None else f"{run_id}/{trial}"
    kept = _with_family(spare)
    killed: list[psutil.Process] = []
    for _ in range(5):  # again for those born meanwhile
        found = [process for process in _marked(prefix, trial is not None) if process not in kept]
        fresh = [process for process in found if process not in killed]
        if not fresh:
            break
        for process in fresh:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(fresh, timeout=1.0)
        killed += fresh
    return [process.pid for process in killed]


def _marked(prefix: str, is_exact: bool) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            marker = process.environ().get(MARKER, "")
        except (psutil.Error, OSError):
            continue  # another user's, or gone
        if marker == prefix or (not is_exact and marker.startswith(prefix)):
            found.append(process)
    return found


def _with_family(pids: Collection[int]) -> set[psutil.Process]:
    kept: set[psutil.Process] = set()
    with suppress(psutil.Error):  # ourselves and who started us
        ourselves = psutil.Process(os.getpid())
        kept |= {ourselves, *ourselves.parents()}
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            kept |= {process, *process.children(recursive=True)}
    return kept
