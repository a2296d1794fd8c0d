"""Machine: the facts of the hardware that a profile is chosen by. Values alone; looks nowhere."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One CUDA device, as torch sees it.

    Attributes:
        name: Of the product.
        memory_mb: In all, in MiB.
        capability: CUDA compute capability, as (major, minor).
        has_bf16: True if bfloat16 products run in hardware.
    """

    name: str
    memory_mb: float
    capability: tuple[int, int]
    has_bf16: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to train on.

    Attributes:
        core_count: Processor cores that this process may use.
        memory_mb: Main memory that is free, in MiB.
        core_rate: Pace of one core as a multiple of the reference's; None if it was not measured.
        has_bf16: True if a core multiplies bfloat16 in hardware.
        gpus: Those that torch may use.
        has_mps: True if torch can use an Apple GPU.
    """

    core_count: int
    memory_mb: float
    core_rate: float | None = None
    has_bf16: bool = False
    gpus: tuple[Gpu, ...] = ()
    has_mps: bool = False

    def in_words(self) -> str:
        """What was found, in one line."""
        counts = Counter(f"{g.name} ({g.memory_mb / 1024:.0f} GiB)" for g in self.gpus)
        parts = [f"{count} × {name}" for name, count in counts.items()]
        cores = "1 core" if self.core_count == 1 else f"{self.core_count} cores"
        if self.core_rate is not None:
            cores += f" at {self.core_rate:.1f} × the pace of the reference"
        parts += ["an Apple GPU"] if self.has_mps else []
        bf16 = " with bfloat16" if self.has_bf16 else ""
        return ", ".join([*parts, cores + bf16, f"{self.memory_mb / 1024:.0f} GiB of free memory"])
