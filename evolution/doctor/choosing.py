"""``--profile auto``: what suits this machine, in settings that say ``auto`` nowhere."""

from collections.abc import Sequence

from evolution.config import VerdictSettings
from evolution.doctor.finding import Finding, Level
from evolution.doctor.machine import machine_of
from evolution.doctor.torch_probe import TorchProbe, probe_torch
from evolution.profiles import load_profile
from evolution.sizing import Choice, choose
from evolution.sizing.choice import Published
from population import EvolveError

#: Scales of depth that a verdict trains at unless the settings say otherwise.
DEPTHS: Sequence[float] = VerdictSettings().depths


class ChoosingError(EvolveError):
    """Torch does not tell what this machine has."""


def choose_here(probe: TorchProbe | None = None, depths: Sequence[float] = DEPTHS) -> Choice:
    """The profile that suits this machine.

    Args:
        probe: What torch says; by default it is asked, which takes some seconds.
        depths: Scales of depth at which verdicts train; models must fit at all of them.

    Raises:
        ChoosingError: Torch does not load.
    """
    probe = probe or probe_torch()
    if probe.version is None:
        raise ChoosingError(
            f"Torch does not load: {probe.error}. --profile auto chooses by what torch can use. "
            "Mend torch (`pip install torch`), or name a profile: --profile cpu."
        )
    return choose(machine_of(probe), published(depths))


def published(depths: Sequence[float] = DEPTHS) -> Published:
    """The shipped profiles, as far as a choice starts from them, and a verdict's largest depth."""
    cpu, gpu = load_profile("cpu"), load_profile("gpu")
    return Published(cpu.budget.amount, gpu.budget.amount, gpu.knobs, gpu.facts, max(depths))


def choice_finding(choice: Choice) -> Finding:
    """The choice in the doctor's words."""
    return Finding("profile", Level.OK, "; ".join(choice.lines()), facts=choice.as_dict())
