"""``--profile auto``: what suits this machine, in settings that say ``auto`` nowhere."""

from evolution.doctor.finding import Finding, Level
from evolution.doctor.machine import machine_of
from evolution.doctor.torch_probe import TorchProbe, probe_torch
from evolution.profiles import load_profile
from evolution.sizing import Choice, choose
from evolution.sizing.choice import Published
from population import EvolveError

#: What `--profile` is called that names no profile.
AUTO = "auto"


class ChoosingError(EvolveError):
    """Torch does not tell what this machine has."""


def choose_here(probe: TorchProbe | None = None) -> Choice:
    """The profile that suits this machine.

    Args:
        probe: What torch says; by default it is asked, which takes some seconds.

    Raises:
        ChoosingError: Torch does not load.
    """
    probe = probe or probe_torch()
    if probe.version is None:
        raise ChoosingError(
            f"Torch does not load: {probe.error}. --profile auto chooses by what torch can use. "
            "Mend torch (`pip install torch`), or name a profile: --profile cpu."
        )
    return choose(machine_of(probe), published())


def published() -> Published:
    """The shipped profiles, as far as a choice starts from them."""
    cpu, gpu = load_profile("cpu"), load_profile("gpu")
    return Published(cpu.budget.amount, gpu.budget.amount, gpu.knobs, gpu.facts)


def choice_finding(choice: Choice) -> Finding:
    """The choice in the doctor's words."""
    return Finding("profile", Level.OK, "; ".join(choice.lines()), facts=choice.as_dict())
