"""Trust: reads off a store whether what is believed of its scores can be trusted."""

from collections.abc import Mapping

from evolution.belief import believer
from evolution.config import StoppingSettings
from evolution.diagnostics import Diagnosis, diagnosed, surprises_of
from population import Store

#: Trials that are foreseen by default: some seconds, late in a long run a minute.
LATEST = 200


def diagnosis_of(store: Store, *, latest: int = LATEST) -> Diagnosis:
    """Foresee the latest trials of a run from those before them, and say how far off that was."""
    mind = believer(store)
    surprises = [
        surprise for foresight in mind.foreseen(latest) for surprise in surprises_of(foresight)
    ]
    return diagnosed(mind.believe(), surprises, _weights(store))


def _weights(store: Store) -> dict[int, float]:
    """Of trials that were to be stopped and ran on: each stands for those that were stopped."""
    settings = store.run().settings.get("stopping")
    share = settings.get("exempt") if isinstance(settings, Mapping) else None
    share = share if isinstance(share, int | float) else StoppingSettings().exempt
    latest = {
        str(fact["trial"]): fact
        for fact in store.decided("stop", "go_on")
        if isinstance(fact, Mapping)
    }
    return {int(trial): 1 / max(share, 0.01) for trial, fact in latest.items() if fact["exempt"]}
